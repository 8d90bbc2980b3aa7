"""Fields of items as columns of exact values, by the kinds declared. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from brex_sync.brex.strict_json import exact
from brex_sync.streams.columns import Column, Kind
from brex_sync.streams.declare import Stream, Table
from brex_sync.sync.normalise import money

Item = dict[str, Any]
Values = list[Any]
Follow = Callable[[Sequence[Any], str], Values]

INT64 = range(-(2**63), 2**63)
UNFIT = (ValueError, OverflowError, RecursionError)
"""What a value that cannot be read raises; the last where it is nested too deep."""
LONGEST_KEY = 1000
"""Bytes of one part of a key: two of them fit into an index of Postgres, which holds 2,704."""
LONGEST_NUMBER, SMALLEST_PLACE = 131_072, 16_383
"""Digits before and after the point that `numeric`, and a number in `jsonb`, can have."""

_OBJECTS = (dict, msgspec.Struct, type(None))

encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in an item for a value that cannot be decoded by itself; `raw` is its text."""

    reason: str
    raw: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Misfit:
    """A field, or an element of a list, that does not fit its declaration: its row is stored
    without it. `place` is the item's place in the page, `field` the path in the item."""

    place: int
    field: str
    reason: str
    value: Any


@dataclass(slots=True)
class Read:
    """Items read as columns.

    `columns` are values by physical column, None where one does not fit; `broken` are the items
    that cannot be rows, as their key or their money does not fit, each with the first reason;
    `misfits` are the other fields that do not fit, by item and path.
    """

    columns: dict[str, Values] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)
    misfits: dict[tuple[int, str], Misfit] = field(default_factory=dict)

    def refuse(self, decides: bool, place: int, path: str, why: str, value: Any) -> None:
        """Notes that a value does not fit; whether its row can be stored without it, `decides`
        says."""
        reason = f"{path}: {why}"
        if decides:
            self.broken.setdefault(place, reason)
        else:
            self.misfits.setdefault((place, path), Misfit(place, path, reason, value))


def read_columns(table: Table, items: Sequence[Any], follow: Follow) -> Read:
    """Reads items; `follow` gives the values under a key of every item."""
    read, deciding = Read(), _deciding(table)
    for column in table.columns:
        decides = column.name in deciding
        for place in column.places:
            found = _read_place(place, items, follow, read, decides)
            read.columns |= _filled(read.columns, found)
        if column.name in table.key:
            for i, value in enumerate(read.columns[column.name]):
                if value is None or value == "":
                    read.broken.setdefault(i, f"{column.path}: missing, and it identifies the row")
                elif len(value.encode()) > LONGEST_KEY:
                    read.broken.setdefault(i, f"{column.path}: too long to identify the row")
    return read


def _read_place(
    column: Column, items: Sequence[Any], follow: Follow, read: Read, decides: bool
) -> dict[str, Values]:
    """The values at a column's path, by physical column."""
    values = list(items)
    for depth, key in enumerate(column.keys):
        if depth:
            _refuse_others(column.keys[:depth], values, read, decides)
        values = follow(values, key)
    if column.kind is Kind.MONEY:
        return _money(column, values, follow, read)
    return {column.name: _read(column.path, column.kind, values, read, decides)}


def _filled(columns: dict[str, Values], found: dict[str, Values]) -> dict[str, Values]:
    """What was found at a further path, where there was nothing at the one before."""
    filled = dict(found)
    for name in columns.keys() & found.keys():
        pairs = zip(columns[name], found[name], strict=True)
        filled[name] = [new if old is None else old for old, new in pairs]
    return filled


def _deciding(table: Table) -> frozenset[str]:
    """Names of the columns without which no row is stored: its key, its money, and what orders
    its states."""
    rises = (table.version_column,) if isinstance(table, Stream) and table.version_column else ()
    amounts = [c.name for c in table.columns if c.is_money]
    return frozenset((*table.key, *amounts, *rises))


def columns_of(table: Table, records: Sequence[Any], follow: Follow) -> dict[str, Values]:
    """Values by physical column, of items whose types were checked when they were decoded.

    Raises:
        UNFIT: one does not fit; `read_columns` tells which, and why.
    """
    columns: dict[str, Values] = {}
    for column in table.columns:
        values = follow_path(records, column.keys, follow)
        if column.kind is Kind.MONEY:
            amounts, codes = follow(values, "amount"), follow(values, "currency")
            if not all(map(money.is_known, set(codes))):
                raise ValueError("a currency of which nobody knows the decimal places")
            columns |= _in_both_units(column.name, _int64(amounts), codes)
            continue
        columns[column.name] = _READERS[column.kind][1](values)
        for place in column.places[1:]:
            more = _READERS[column.kind][1](follow_path(records, place.keys, follow))
            columns |= _filled(columns, {column.name: more})
    for name in (c.name for c in table.columns if c.name in table.key):
        if not all(columns[name]) or max(map(len, columns[name]), default=0) > LONGEST_KEY // 4:
            raise ValueError("a row without what identifies it")
    return columns


def _refuse_others(keys: Sequence[str], values: Values, read: Read, decides: bool) -> None:
    """Finds the rows that have something else where an object should be."""
    if are_objects(values):
        return
    for i, value in enumerate(values):
        if not isinstance(value, _OBJECTS):
            path = ".".join(keys)
            read.refuse(decides, i, path, f"expected an object, got {told(value)}", value)


def are_objects(values: Values) -> bool:
    """Whether fields can be looked for in all of the values: objects, or none at all."""
    return all(issubclass(kind, _OBJECTS) for kind in set(map(type, values)))


def follow_path(items: Sequence[Any], keys: Sequence[str], follow: Follow) -> Values:
    """The values under a path of keys of every item."""
    values = list(items)
    for key in keys:
        values = follow(values, key)
    return values


def follow_keys(items: Sequence[Any], key: str) -> Values:
    """The values under a key, None where there is none or an item is no object."""
    return [item.get(key) if type(item) is dict else None for item in items]


def _money(column: Column, values: Values, follow: Follow, read: Read) -> dict[str, Values]:
    if not are_objects(values):
        for i, value in enumerate(values):
            if not isinstance(value, _OBJECTS):
                read.refuse(True, i, column.path, f"expected money, got {told(value)}", value)
    amounts, codes = follow(values, "amount"), follow(values, "currency")
    minor = _read(f"{column.path}.amount", Kind.INTEGER, amounts, read, True)
    currency = _read(f"{column.path}.currency", Kind.TEXT, codes, read, True)
    if not all(map(money.is_known, set(currency))):
        for i, code in enumerate(currency):
            if minor[i] is not None and not money.is_known(code):
                why = f"decimal places of {code[:20]!r} are not known; only minor units are stored"
                read.refuse(False, i, f"{column.path}.currency", why, code)
    return _in_both_units(column.name, minor, currency)


def _in_both_units(name: str, minor: Values, currency: Values) -> dict[str, Values]:
    return {
        name: money.majors(minor, currency),
        f"{name}_minor": minor,
        f"{name}_currency": currency,
    }


def _read(path: str, kind: Kind, values: Values, read: Read, decides: bool) -> Values:
    """Values of one kind, None where one is not."""
    accepted, reader = _READERS[kind]
    try:
        if set(map(type, values)) <= accepted:
            return reader(values)
    except UNFIT:
        pass
    return [_one(path, kind, i, v, read, decides) for i, v in enumerate(values)]


def _one(path: str, kind: Kind, i: int, value: Any, read: Read, decides: bool) -> Any:
    accepted, reader = _READERS[kind]
    if value is None:
        return None
    try:
        if type(value) not in accepted:
            raise ValueError
        return reader([value])[0]
    except UNFIT:
        read.refuse(decides, i, path, f"expected {kind.name.lower()}, got {told(value)}", value)
        return None


def told(value: Any) -> str:
    """What a value is, for people: its type and its beginning."""
    if isinstance(value, Unreadable):
        return f"what cannot be read: {value.reason}"
    try:
        return f"{type(value).__name__} {str(value)[:60]!r}"
    except RecursionError:
        return f"{type(value).__name__} nested too deep"


def _as_they_are(values: Values) -> Values:
    return values


def _int64(values: Values) -> Values:
    if set(map(type, values)) <= _INTEGERS:
        if not all(map(INT64.__contains__, filter(None, values))):
            raise ValueError
        return values
    return [None if value is None else _whole(value) for value in values]


def _whole(value: int | Decimal) -> int:
    """A whole number, however it is written: `1.0` and `6e2` are some."""
    if isinstance(value, Decimal):
        if value and (value.adjusted() > 18 or value != value.to_integral_value()):
            raise ValueError
        value = int(value) if value else 0
    if value not in INT64:
        raise ValueError
    return value


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_IS_DATE = re.compile(f"{_DAY}(?:[Tt ]{_CLOCK}{_ZONE}?)?").fullmatch
_IS_MOMENT = re.compile(f"{_DAY}[Tt ]{_CLOCK}{_ZONE}").fullmatch
_LEAP = "60"


def _dates(values: Values) -> Values:
    """Each day once: a page has few different ones."""
    days = {value: None if value is None else _date(value) for value in set(values)}
    return [days[value] for value in values]


def _date(value: str) -> date:
    """A calendar date; of a moment, the date as it is written."""
    if not _IS_DATE(value):
        raise ValueError
    return date.fromisoformat(value[:10])


def _decimals(values: Values) -> Values:
    """Numbers as they are written; the decoder, which takes texts for some, has not checked."""
    if not set(map(type, values)) <= _NUMBERS:
        raise ValueError
    return [None if value is None else Decimal(value) for value in values]


def _each(read: Callable[[Any], Any]) -> Callable[[Values], Values]:
    return lambda values: [None if value is None else read(value) for value in values]


def _moment(value: str) -> datetime:
    """A moment by RFC 3339, in UTC, in which it lies between the years 1 and 9999.

    What is finer than a microsecond is cut off. A leap second is the second after it, as in POSIX
    and in Postgres.
    """
    if not _IS_MOMENT(value):
        raise ValueError
    if value[17:19] == _LEAP:
        before = _moment(f"{value[:17]}59{value[19:]}")
        if (before.hour, before.minute) != (23, 59):
            raise ValueError
        return before + timedelta(seconds=1)
    return datetime.fromisoformat(value.upper()).astimezone(UTC)


def _json(value: Any) -> str:
    return encode(value).decode()


_NONE = type(None)
_INTEGERS: set[type] = {int, _NONE}
_NUMBERS: set[type] = {int, Decimal, _NONE}
_READERS: dict[Kind, tuple[set[type], Callable[[Values], Values]]] = {
    Kind.TEXT: ({str, _NONE}, _as_they_are),
    Kind.INTEGER: (_NUMBERS, _int64),
    Kind.BOOLEAN: ({bool, _NONE}, _as_they_are),
    Kind.DATE: ({str, _NONE}, _dates),
    Kind.TIMESTAMP: ({str, _NONE}, _each(_moment)),
    Kind.DECIMAL: (_NUMBERS, _decimals),
    Kind.JSON: ({dict, list, str, int, Decimal, bool, _NONE}, _each(_json)),
}


def storable(number: str) -> Decimal:
    """A number that is no integer, digit by digit.

    Raises:
        ValueError: it has more digits than Postgres can hold.
    """
    value = exact(number)
    if value and (value.adjusted() >= LONGEST_NUMBER or _places(value) > SMALLEST_PLACE):
        raise ValueError(f"the number {number[:60]} has more digits than can be stored")
    return value


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def unknown_fields(table: Table, items: Sequence[Any]) -> frozenset[str]:
    """Paths in the items that nothing declared reads, down to the depth columns are declared."""
    unknown: set[str] = set()
    paths = tuple(path for column in table.reads for path in _paths(column))
    for prefix, known in _known_paths(paths).items():
        found = follow_path(items, prefix, follow_keys)
        present = set().union(*(v for v in found if isinstance(v, dict)))
        unknown |= {".".join((*prefix, key)) for key in present - known}
    return frozenset(unknown)


def _paths(column: Column) -> tuple[tuple[str, ...], ...]:
    if column.kind is Kind.MONEY:
        return (*column.keys, "amount"), (*column.keys, "currency")
    return (column.keys,)


@lru_cache(maxsize=256)
def _known_paths(paths: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], frozenset[str]]:
    known: dict[tuple[str, ...], set[str]] = {(): set()}
    for keys in paths:
        for depth, key in enumerate(keys):
            known.setdefault(keys[:depth], set()).add(key)
    return {prefix: frozenset(keys) for prefix, keys in known.items()}
