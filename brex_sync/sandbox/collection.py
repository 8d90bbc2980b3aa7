"""A list as Brex keeps it: newest first, every item serialised once."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

Item = dict[str, Any]
SECONDS = len("2026-11-24T12:00:00")
encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Rows:
    """The items of one list, as parallel columns in listing order."""

    ids: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def since(self, moment: str) -> int:
        """How many rows, from the start, are dated `moment` or later, as exactly as they are dated.

        A row with a date is compared by its day, one with a time to the second.
        """
        precision = min(len(self.dates[0]), SECONDS) if self.dates else 0
        return bisect_right(self.dates, _descending(moment[:precision]), key=_descending)


class Collection:
    """The items of one kind, in one list, or in one per parent.

    `id_field` identifies an item; `date_field` orders the list, newest first, where there is one.
    """

    def __init__(self, name: str, id_field: str = "id", date_field: str | None = None) -> None:
        self.name = name
        self.id_field = id_field
        self.date_field = date_field
        self._lists: dict[str, Rows] = {"": Rows()}

    def rows(self, parent: str | None = None) -> Rows:
        """The rows of one list; empty for a parent without any."""
        return self._lists.get(parent or "", Rows())

    def parents(self) -> list[str]:
        """The parents that have a list."""
        return [parent for parent in self._lists if parent]

    def items(self, parent: str | None = None) -> list[Item]:
        """The truth, decoded, in listing order."""
        return [msgspec.json.decode(body) for body in self.rows(parent).bodies]

    def __len__(self) -> int:
        return sum(len(rows.ids) for rows in self._lists.values())

    def open_list(self, parent: str) -> None:
        """Makes an empty list for a parent."""
        self._lists.setdefault(parent, Rows())

    def fill(self, rows: Iterable[tuple[str, str, bytes]], parent: str | None = None) -> None:
        """Appends many rows (id, date, JSON) that are in listing order already."""
        target = self._lists.setdefault(parent or "", Rows())
        for key, day, body in rows:
            target.ids.append(key)
            target.dates.append(day)
            target.bodies.append(body)

    def add(self, item: Item, parent: str | None = None) -> None:
        """Inserts an item where the listing order puts it: before all that are no newer."""
        self.add_raw(str(item[self.id_field]), self._date(item), encode(item), parent)

    def add_raw(self, key: str, day: str, body: bytes, parent: str | None = None) -> None:
        """Inserts an item given as JSON, be it odd."""
        rows = self._lists.setdefault(parent or "", Rows())
        at = 0
        if self.date_field:
            while at < len(rows.dates) and rows.dates[at] > day:
                at += 1
        rows.ids.insert(at, key)
        rows.dates.insert(at, day)
        rows.bodies.insert(at, body)

    def get(self, key: str) -> Item | None:
        """One item by its id."""
        found = self._find(key)
        return None if found is None else msgspec.json.decode(found[1].bodies[found[2]])

    def edit(self, key: str, **changes: Any) -> None:
        """Changes fields of an item; raises KeyError where there is none."""
        item = self.get(key)
        if item is None:
            raise KeyError(key)
        parent = self.delete(key)
        self.add(item | changes, parent)

    def delete(self, key: str) -> str:
        """Removes an item and returns its parent; raises KeyError where there is none."""
        found = self._find(key)
        if found is None:
            raise KeyError(key)
        parent, rows, at = found
        del rows.ids[at], rows.dates[at], rows.bodies[at]
        return parent

    def _find(self, key: str) -> tuple[str, Rows, int] | None:
        for parent, rows in self._lists.items():
            if key in rows.ids:
                return parent, rows, rows.ids.index(key)
        return None

    def _date(self, item: Item) -> str:
        return str(item.get(self.date_field) or "") if self.date_field else ""


def _descending(day: str) -> str:
    """A text that sorts the other way round, for bisecting a list of newest first."""
    return "".join(chr(0x7F - ord(c)) for c in day[:SECONDS])
