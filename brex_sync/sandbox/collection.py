"""Ordered collections of API objects, each kept as the JSON bytes that are served."""

import json
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from brex_sync.sandbox.conditions import Condition, instant

Item = dict[str, Any]
Extra = dict[str, bytes]

MOST_SELECTIONS = 32


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON; what UTF-8 cannot carry (a lone surrogate) is escaped."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Kind:
    """What a collection is made of.

    `key` names the field that identifies an item. `order` names the date or timestamp by which
    items are listed, newest first; without it the latest addition comes first. Fields in
    `expandable` are part of the truth and shown only where a request asks for them.
    """

    key: str = "id"
    order: str | None = None
    expandable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """One slice of a listing: its rows as JSON, and how many rows match in all."""

    rows: list[bytes]
    total: int


@dataclass
class Shelf:
    """The rows under one parent, oldest first: a listing reads it backwards."""

    rows: list[bytes] = field(default_factory=list)
    extras: list[Extra | None] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    selections: dict[tuple[Condition, ...], Sequence[int]] = field(default_factory=dict)

    def item(self, position: int) -> Item:
        """The whole truth about one row, expandable fields included."""
        item: Item = json.loads(self.rows[position])
        for name, raw in (self.extras[position] or {}).items():
            item[name] = json.loads(raw)
        return item

    def insert(self, position: int, item: Item, row: bytes, extra: Extra | None, at: str) -> None:
        """Put one row before the row now at `position`."""
        self.rows.insert(position, row)
        self.extras.insert(position, extra)
        self.order.insert(position, at)
        for name, column in self.columns.items():
            column.insert(position, value_at(item, name))
        self.selections.clear()

    def remove(self, position: int) -> None:
        """Take one row out."""
        for column in (self.rows, self.extras, self.order, *self.columns.values()):
            del column[position]
        self.selections.clear()

    def column(self, name: str) -> list[Any]:
        """One field of every row, decoded once and kept up to date afterwards."""
        if name not in self.columns:
            self.columns[name] = [
                value_at(self.item(position), name) for position in range(len(self.rows))
            ]
        return self.columns[name]

    def select(self, conditions: tuple[Condition, ...], order: str | None) -> Sequence[int]:
        """Positions of the rows that meet all conditions, ascending."""
        known = self.selections.get(conditions)
        if known is not None:
            return known
        floors = [c.floor for c in conditions if c.field == order and c.floor is not None]
        start = bisect_left(self.order, max(floors)) if floors else 0
        chosen: Sequence[int] = range(start, len(self.rows))
        for condition in conditions:
            if condition.field == order and condition.floor is not None:
                continue
            column = self.column(condition.field)
            chosen = [position for position in chosen if condition.accepts(column[position])]
        if len(self.selections) >= MOST_SELECTIONS:
            self.selections.clear()
        self.selections[conditions] = chosen
        return chosen

    def render(self, positions: Sequence[int], expand: Sequence[str]) -> list[bytes]:
        """The rows at these positions as JSON, newest first, with the expanded fields."""
        if isinstance(positions, range) and not expand:
            rows = self.rows[positions.start : positions.stop]
            rows.reverse()
            return rows
        return [self.show(position, expand) for position in reversed(positions)]

    def show(self, position: int, expand: Sequence[str]) -> bytes:
        """One row as JSON, with the expanded fields it has."""
        extra = self.extras[position]
        row = self.rows[position]
        if not extra or not expand:
            return row
        added = b"".join(
            b',"%s":%s' % (name.encode(), extra[name]) for name in expand if name in extra
        )
        return row[:-1] + added + b"}"


class Collection:
    """All objects of one kind: the truth that the sandbox serves.

    Safe to change from one thread while another serves it.
    """

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self._shelves: dict[str | None, Shelf] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return sum(len(shelf.rows) for shelf in self._shelves.values())

    def parents(self) -> list[str]:
        """Ids of the parents under which items are kept (none for a plain collection)."""
        return [parent for parent in self._shelves if parent is not None]

    def items(self, parent: str | None = None) -> list[Item]:
        """Decoded truth in listing order; of every parent in turn if none is named."""
        with self._lock:
            chosen = [self._shelf(parent)] if parent is not None else list(self._shelves.values())
            return [
                shelf.item(position)
                for shelf in chosen
                for position in reversed(range(len(shelf.rows)))
            ]

    def add(self, item: Item, parent: str | None = None) -> None:
        """Put an item where the listing order wants it; among equals it becomes the newest."""
        with self._lock:
            self._place(item, parent)

    def edit(self, id: str, /, *, parent: str | None = None, **changes: Any) -> Item:
        """Change fields of an item and return it. KeyError if there is none.

        Only a change of the ordering field moves the item within the listing.
        """
        with self._lock:
            owner, shelf, position = self._find(id, parent)
            item = {**shelf.item(position), **changes}
            shelf.remove(position)
            moved = self.kind.order is not None and self.kind.order in changes
            self._place(item, owner, None if moved else position)
            return item

    def delete(self, id: str, /, *, parent: str | None = None) -> None:
        """Remove an item. KeyError if there is none."""
        with self._lock:
            _, shelf, position = self._find(id, parent)
            shelf.remove(position)

    def get(self, id: str, parent: str | None = None) -> Item | None:
        """One item by its id, or None."""
        with self._lock:
            try:
                _, shelf, position = self._find(id, parent)
            except KeyError:
                return None
            return shelf.item(position)

    def show(self, id: str, parent: str | None = None, expand: Sequence[str] = ()) -> bytes | None:
        """One item as it is served, or None."""
        with self._lock:
            try:
                _, shelf, position = self._find(id, parent)
            except KeyError:
                return None
            return shelf.show(position, expand)

    def page(
        self,
        offset: int,
        limit: int,
        *,
        parent: str | None = None,
        conditions: tuple[Condition, ...] = (),
        expand: Sequence[str] = (),
    ) -> Page:
        """The rows from `offset` of the listing that meet all conditions, at most `limit`."""
        with self._lock:
            shelf = self._shelf(parent)
            chosen = shelf.select(conditions, self.kind.order)
            stop = max(0, len(chosen) - offset)
            return Page(
                shelf.render(chosen[max(0, stop - limit) : stop], expand),
                len(chosen),
            )

    def load(self, items: Iterable[Item], parent: str | None = None) -> None:
        """Add many items at once; without an ordering field the last one is listed first."""
        order = self.kind.order
        with self._lock:
            sortable = list(items)
            if order is not None:
                sortable.sort(key=lambda item: instant(item.get(order)))
            self.load_rows((self._prepare(item) for item in sortable), parent)

    def load_rows(
        self, rows: Iterable[tuple[bytes, Extra | None, str]], parent: str | None = None
    ) -> None:
        """Append rows made elsewhere: JSON, expandable fields, ordering value (ascending)."""
        with self._lock:
            shelf = self._shelf(parent)
            for row, extra, at in rows:
                shelf.rows.append(row)
                shelf.extras.append(extra)
                shelf.order.append(at)
            shelf.columns.clear()
            shelf.selections.clear()

    def _shelf(self, parent: str | None) -> Shelf:
        return self._shelves.setdefault(parent, Shelf())

    def _prepare(self, item: Item) -> tuple[bytes, Extra | None, str]:
        hidden = self.kind.expandable
        shown = {name: value for name, value in item.items() if name not in hidden}
        extra = {name: encode(item[name]) for name in hidden if name in item}
        order = self.kind.order
        return encode(shown), extra or None, "" if order is None else instant(item.get(order))

    def _place(self, item: Item, parent: str | None, position: int | None = None) -> None:
        shelf = self._shelf(parent)
        row, extra, at = self._prepare(item)
        shelf.insert(bisect_right(shelf.order, at) if position is None else position,
                     item, row, extra, at)

    def _find(self, id: str, parent: str | None) -> tuple[str | None, Shelf, int]:
        needle = encode(id)
        for owner, shelf in self._searched(parent):
            for position, row in enumerate(shelf.rows):
                if needle in row and json.loads(row).get(self.kind.key) == id:
                    return owner, shelf, position
        raise KeyError(f"{self.name} has no item {id!r}")

    def _searched(self, parent: str | None) -> Iterator[tuple[str | None, Shelf]]:
        if parent is None:
            yield from self._shelves.items()
        elif parent in self._shelves:
            yield parent, self._shelves[parent]


def value_at(item: Item, path: str) -> Any:
    """A field by its dotted path; several paths apart by a blank give their joined text."""
    if " " in path:
        return " ".join(str(value_at(item, part) or "") for part in path.split())
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
