"""A list as Brex keeps it: newest first, every item serialised once."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

Item = dict[str, Any]
DAY = len("2026-11-24")
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


def stamp(moment: str) -> str:
    """A moment as text that sorts: a day as it is, a date-time in UTC with microseconds.

    Without a zone UTC is meant. What is no moment stays as it is.
    """
    if len(moment) <= DAY:
        return moment
    try:
        read = datetime.fromisoformat(moment)
        if read.tzinfo:
            read = read.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return moment
    return read.isoformat(timespec="microseconds")


def moment(at: datetime) -> str:
    """A moment as Brex writes it: UTC, with milliseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class Rows:
    """The items of one list, as parallel columns in listing order; `dates` are stamps."""

    ids: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def append(self, key: str, day: str, body: bytes) -> None:
        """Adds a row at the end."""
        self.ids.append(key)
        self.dates.append(day)
        self.bodies.append(body)

    def newer(self, moment: str, *, inclusive: bool) -> int:
        """How many rows, from the start, are dated after `moment`, a stamp, or at it.

        Rows that are dated by the day are compared by the day.
        """
        size = min(len(self.dates[0]), len(moment)) if self.dates else 0
        bound = moment[:size]
        if inclusive:
            return bisect_left(self.dates, True, key=lambda day: day[:size] < bound)
        return bisect_left(self.dates, True, key=lambda day: day[:size] <= bound)


class Collection:
    """The items of one kind, in one list, or in one per parent.

    `id_field` identifies an item; `date_field` orders the list, newest first, where there is one.
    `version` rises with every change. `watchers` are told of each item that is edited or, with
    None for what was before, added.
    """

    def __init__(self, name: str, id_field: str = "id", date_field: str | None = None) -> None:
        self.name = name
        self.id_field = id_field
        self.date_field = date_field
        self.version = 0
        self.watchers: list[Callable[[Item | None, Item], None]] = []
        self._lists: dict[str, Rows] = {"": Rows()}
        self._index: dict[str, bytes] | None = None
        self._known: dict[str, Item] | None = None

    def rows(self, parent: str | None = None) -> Rows:
        """The rows of one list; empty for a parent without any."""
        return self._lists.get(parent or "", Rows())

    def parents(self) -> list[str]:
        """The parents that have a list."""
        return [parent for parent in self._lists if parent]

    def items(self, parent: str | None = None) -> list[Item]:
        """The truth, decoded, in listing order."""
        return [decode(body) for body in self.rows(parent).bodies]

    def newest(self) -> Iterator[Item]:
        """The truth, decoded one by one, in listing order."""
        return map(decode, self.rows().bodies)

    def known(self) -> dict[str, Item]:
        """The truth of the one list by id; shared, so not to be changed."""
        if self._known is None:
            self._known = dict(zip(self.rows().ids, self.newest(), strict=True))
        return self._known

    def __len__(self) -> int:
        return sum(len(rows.ids) for rows in self._lists.values())

    def open_list(self, parent: str) -> None:
        """Makes an empty list for a parent."""
        self._lists.setdefault(parent, Rows())

    def fill(self, rows: Iterable[tuple[str, str, bytes]], parent: str | None = None) -> None:
        """Appends many rows (id, stamp, JSON) that are in listing order already."""
        target = self._lists.setdefault(parent or "", Rows())
        keys, days, bodies = target.ids.append, target.dates.append, target.bodies.append
        for key, day, body in rows:
            keys(key)
            days(day)
            bodies(body)
        self._changed()

    def turn(self, parent: str | None = None) -> None:
        """Puts the last row first: for a list that was filled with the oldest first."""
        rows = self.rows(parent)
        for column in (rows.ids, rows.dates, rows.bodies):
            column.reverse()
        self._changed()

    def add(self, item: Item, parent: str | None = None) -> None:
        """Inserts an item where the listing order puts it: before all that are no newer."""
        self.add_raw(str(item[self.id_field]), self._date(item), encode(item), parent)
        self._tell(None, item)

    def add_raw(self, key: str, day: str, body: bytes, parent: str | None = None) -> None:
        """Inserts an item given as JSON, be it odd."""
        rows = self._lists.setdefault(parent or "", Rows())
        day = stamp(day)
        at = bisect_left(rows.dates, True, key=lambda d: d <= day) if self.date_field else 0
        rows.ids.insert(at, key)
        rows.dates.insert(at, day)
        rows.bodies.insert(at, body)
        index = self._index
        self._changed()
        if index is not None and key not in index:
            index[key] = body
            self._index = index

    def get(self, key: str) -> Item | None:
        """One item by its id."""
        body = self.body(key)
        return None if body is None else decode(body)

    def body(self, key: str) -> bytes | None:
        """One item's JSON by its id."""
        if self._index is None:
            lists = reversed(self._lists.values())
            self._index = {
                k: body
                for rows in lists
                for k, body in zip(reversed(rows.ids), reversed(rows.bodies), strict=True)
            }
        return self._index.get(key)

    def edit(self, key: str, **changes: Any) -> None:
        """Changes fields of an item; raises KeyError where there is none."""
        item = self.get(key)
        if item is None:
            raise KeyError(key)
        changed = item | changes
        parent = self.delete(key)
        name = str(changed.get(self.id_field, key))
        self.add_raw(name, self._date(changed), encode(changed), parent)
        self._tell(item, changed)

    def delete(self, key: str) -> str:
        """Removes an item and returns its parent; raises KeyError where there is none."""
        for parent, rows in self._lists.items():
            if key in rows.ids:
                at = rows.ids.index(key)
                index = self._index if self._index and len(self._index) == len(self) else None
                del rows.ids[at], rows.dates[at], rows.bodies[at]
                self._changed()
                if index is not None:
                    del index[key]
                    self._index = index
                return parent
        raise KeyError(key)

    def _tell(self, before: Item | None, after: Item) -> None:
        for watcher in self.watchers:
            watcher(before, after)

    def _changed(self) -> None:
        self.version += 1
        self._index = self._known = None

    def _date(self, item: Item) -> str:
        return str(item.get(self.date_field) or "") if self.date_field else ""
