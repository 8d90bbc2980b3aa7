"""Fields of items as columns of exact values, by the kinds declared. Pure."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from brex_sync.streams.columns import Column, Kind
from brex_sync.streams.declare import Table
from brex_sync.sync import money

Item = dict[str, Any]
Values = list[Any]
Follow = Callable[[Sequence[Any], str], Values]

INT64 = range(-(2**63), 2**63)
UNFIT = (ValueError, OverflowError, RecursionError)
"""What a value that cannot be read raises; the last where it is nested too deep."""

_OBJECTS = (dict, msgspec.Struct, type(None))

encode = msgspec.json.Encoder(decimal_format="number").encode


def read_columns(
    table: Table, items: Sequence[Any], follow: Follow
) -> tuple[dict[str, Values], dict[int, str]]:
    """Values by physical column, and for each row that does not fit the first reason.

    `follow` gives the values under a key of every item.
    """
    columns: dict[str, Values] = {}
    broken: dict[int, str] = {}
    for column in table.columns:
        values = list(items)
        for depth, key in enumerate(column.keys):
            if depth:
                _refuse_others(column.keys[:depth], values, broken)
            values = follow(values, key)
        if column.kind is Kind.MONEY:
            columns |= _money(column, values, follow, broken)
        else:
            columns[column.name] = _read(column.path, column.kind, values, broken)
        if column.name in table.key and not all(columns[column.name]):
            for i, value in enumerate(columns[column.name]):
                if value is None or value == "":
                    broken.setdefault(i, f"{column.path}: missing, and it identifies the row")
    return columns, broken


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
            columns |= _in_both_units(column.name, _int64(amounts), codes)
        else:
            columns[column.name] = _READERS[column.kind][1](values)
    if not all(map(all, (columns[c.name] for c in table.columns if c.name in table.key))):
        raise ValueError("a row without what identifies it")
    return columns


def _refuse_others(keys: Sequence[str], values: Values, broken: dict[int, str]) -> None:
    """Finds the rows that have something else where an object should be."""
    if _are_objects(values):
        return
    for i, value in enumerate(values):
        if not isinstance(value, _OBJECTS):
            broken.setdefault(i, f"{'.'.join(keys)}: expected an object, got {told(value)}")


def _are_objects(values: Values) -> bool:
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


def _money(
    column: Column, values: Values, follow: Follow, broken: dict[int, str]
) -> dict[str, Values]:
    if not _are_objects(values):
        for i, value in enumerate(values):
            if not isinstance(value, _OBJECTS):
                broken.setdefault(i, f"{column.path}: expected money, got {told(value)}")
    amounts, codes = follow(values, "amount"), follow(values, "currency")
    minor = _read(f"{column.path}.amount", Kind.INTEGER, amounts, broken)
    currency = _read(f"{column.path}.currency", Kind.TEXT, codes, broken)
    return _in_both_units(column.name, minor, currency)


def _in_both_units(name: str, minor: Values, currency: Values) -> dict[str, Values]:
    return {
        name: money.majors(minor, currency),
        f"{name}_minor": minor,
        f"{name}_currency": currency,
    }


def _read(path: str, kind: Kind, values: Values, broken: dict[int, str]) -> Values:
    """Values of one kind; where one is not, its row is broken and the value None."""
    accepted, read = _READERS[kind]
    try:
        if set(map(type, values)) <= accepted:
            return read(values)
    except UNFIT:
        pass
    return [_one(path, kind, i, v, broken) for i, v in enumerate(values)]


def _one(path: str, kind: Kind, i: int, value: Any, broken: dict[int, str]) -> Any:
    accepted, read = _READERS[kind]
    if value is None:
        return None
    try:
        if type(value) not in accepted:
            raise ValueError
        return read([value])[0]
    except UNFIT:
        wanted = kind.name.lower()
        broken.setdefault(i, f"{path}: expected {wanted}, got {told(value)}")
        return None


def told(value: Any) -> str:
    """What a value is, for people: its type and its beginning."""
    try:
        return f"{type(value).__name__} {str(value)[:60]!r}"
    except RecursionError:
        return f"{type(value).__name__} nested too deep"


def _as_they_are(values: Values) -> Values:
    return values


def _int64(values: Values) -> Values:
    if not all(map(INT64.__contains__, filter(None, values))):
        raise ValueError
    return values


def _dates(values: Values) -> Values:
    """Each day once: a page has few different ones."""
    days = {value: None if value is None else _date(value) for value in set(values)}
    return [days[value] for value in values]


def _date(value: str) -> date:
    if len(value) != 10 or value[4] != "-" or value[7] != "-":
        raise ValueError
    return date.fromisoformat(value)


def _decimals(values: Values) -> Values:
    """Numbers as they are written; the decoder, which takes texts for some, has not checked."""
    if not set(map(type, values)) <= _NUMBERS:
        raise ValueError
    return [None if value is None else Decimal(value) for value in values]


def _each(read: Callable[[Any], Any]) -> Callable[[Values], Values]:
    return lambda values: [None if value is None else read(value) for value in values]


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _json(value: Any) -> str:
    return encode(value).decode()


_NONE = type(None)
_NUMBERS: set[type] = {int, Decimal, _NONE}
_READERS: dict[Kind, tuple[set[type], Callable[[Values], Values]]] = {
    Kind.TEXT: ({str, _NONE}, _as_they_are),
    Kind.INTEGER: ({int, _NONE}, _int64),
    Kind.BOOLEAN: ({bool, _NONE}, _as_they_are),
    Kind.DATE: ({str, _NONE}, _dates),
    Kind.TIMESTAMP: ({str, _NONE}, _each(_moment)),
    Kind.DECIMAL: (_NUMBERS, _decimals),
    Kind.JSON: ({dict, list, str, int, Decimal, bool, _NONE}, _each(_json)),
}


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
