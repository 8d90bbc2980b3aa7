"""Words for what a list's parameters leave out, and the rows they leave."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from brex_sync.sandbox.error_replies import bad_request
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, Rows, decode, stamp

Test = Callable[[Item], bool]


@dataclass(frozen=True, slots=True)
class Through:
    """Compares a field of the item that is named: `path` in `collection`."""

    collection: str
    path: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Keeps items whose `path` is one of the values, sent as a list with commas or repeated.

    `among` names a field and the only values of it that the filter knows; `most` is how many
    values may be sent; a `legacy` filter is refused beside any that isn't.
    """

    parameter: str
    path: str
    through: Through | None = None
    among: tuple[str, frozenset[str]] | None = None
    most: int | None = None
    legacy: bool = False

    def test(self, world: World, sent: Sequence[str]) -> Test:
        """Whether an item stays."""
        wanted = {*sent, *(part for value in sent for part in value.split(","))}
        if self.most is not None and len(wanted) > self.most:
            raise bad_request(f"{self.parameter} takes at most {self.most} values")
        if self.through is not None:
            wanted = _referred(world, self.through, wanted)
        path, among = self.path, self.among

        def stays(item: Item) -> bool:
            known = among is None or at(item, among[0]) in among[1]
            return known and _is_one(at(item, path), wanted)

        return stays


@dataclass(frozen=True, slots=True)
class Like:
    """Keeps items in whose `paths`, put together, the value occurs, in any case."""

    parameter: str
    paths: tuple[str, ...]

    def test(self, world: World, sent: Sequence[str]) -> Test:
        """Whether an item stays."""
        wanted = sent[-1].casefold()
        return lambda item: wanted in " ".join(str(at(item, p)) for p in self.paths).casefold()


@dataclass(frozen=True, slots=True)
class Compared:
    """Keeps items whose moment `path` is before or after the value; items without one go."""

    parameter: str
    path: str
    how: Callable[[Any, Any], bool]

    def test(self, world: World, sent: Sequence[str]) -> Test:
        """Whether an item stays."""
        bound = self.bound(sent)

        def stays(item: Item) -> bool:
            moment = stamp(str(at(item, self.path) or ""))
            return bool(moment) and self.how(moment, bound[: len(moment)])

        return stays

    def bound(self, sent: Sequence[str]) -> str:
        """The value as a stamp; anything but a date or a date-time is refused."""
        try:
            moment = datetime.fromisoformat(sent[-1])
        except ValueError:
            raise bad_request(f"{self.parameter} is invalid") from None
        return stamp(moment.isoformat(timespec="microseconds"))

    def narrow(self, rows: Rows, kept: range, sent: Sequence[str]) -> range:
        """Those of `kept` that stay, where the list is in the order of this moment."""
        inclusive = self.how in (operator.ge, operator.lt)
        border = rows.newer(self.bound(sent), inclusive=inclusive)
        if self.how in (operator.ge, operator.gt):
            return range(kept.start, min(kept.stop, border))
        return range(max(kept.start, border), kept.stop)


Filter = OneOf | Like | Compared


def period(name: str, path: str) -> tuple[Filter, Filter]:
    """`name`_start and `name`_end, both inclusive."""
    return (
        Compared(f"{name}_start", path, operator.ge),
        Compared(f"{name}_end", path, operator.le),
    )


def comparisons(name: str) -> tuple[Filter, ...]:
    """`name`[gt], [gte], [lt] and [lte]."""
    ways = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
    return tuple(Compared(f"{name}[{way}]", name, how) for way, how in ways.items())


def at(item: Item, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    found: Any = item
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def kept_by(rows: Rows, kept: range, tests: Sequence[Test]) -> Rows:
    """The rows of `kept` that pass every test."""
    left = Rows()
    for i in kept:
        item = _read(rows.bodies[i])
        if all(test(item) for test in tests):
            left.append(rows.ids[i], rows.dates[i], rows.bodies[i])
    return left


def _read(body: bytes) -> Item:
    """The item, or an empty one where the JSON is odd."""
    try:
        item: Item = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return item


def _is_one(found: Any, wanted: set[str]) -> bool:
    if isinstance(found, list):
        return not wanted.isdisjoint(found)
    return found is not None and str(found) in wanted


def _referred(world: World, through: Through, wanted: set[str]) -> set[str]:
    """The ids of the items that have one of the values."""
    collection = world.collection(through.collection)
    rows = collection.rows()
    pairs = zip(rows.ids, collection.items(), strict=True)
    return {key for key, item in pairs if _is_one(at(item, through.path), wanted)}
