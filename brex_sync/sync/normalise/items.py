"""Brex's items as pandas frames with pinned dtypes. Pure: a page in, frames out.

No float holds money or keys: whole numbers are `Int64`, texts `string`, decimals, dates and
moments exact Python objects. A value of another type than declared becomes null and is quarantined
by itself; a row without a key or with money of another type is, whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, cast

import msgspec
import numpy as np
import pandas as pd

from brex_sync import sensitive
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import KEY_SEPARATOR, Child, Stream, Table
from brex_sync.sync.normalise.nested import Nested, Spared, read_nested
from brex_sync.sync.normalise.records import follow, read_records
from brex_sync.sync.normalise.sensitive import is_in, names_any, purge, unread
from brex_sync.sync.normalise.values import (
    UNFIT,
    Follow,
    Item,
    Misfit,
    Unreadable,
    Values,
    columns_of,
    encode,
    follow_keys,
    follow_path,
    read_columns,
    storable,
    unknown_fields,
)

DTYPES: dict[Kind, str] = {
    Kind.TEXT: "string",
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "object",
    Kind.TIMESTAMP: "object",
    Kind.DECIMAL: "object",
    Kind.JSON: "string",
}
RAW = "_raw"
_NONE = pd.DataFrame()

TOLD = 4000
"""Characters of a value that are kept in quarantine."""

_decode_one = msgspec.json.Decoder(float_hook=storable).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that cannot be stored or, where there is a `field`, a field or an element of a list
    of an item that is stored without it, with the reason. What must not be stored is not in `raw`.
    """

    key: str | None
    reason: str
    raw: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ChildFrame:
    """One page's rows of a child table; `owners` are the places of their parents' rows, `spared`
    the rows that are not proved to be gone, by their parents' places and their own keys."""

    child: Child
    rows: pd.DataFrame
    owners: list[int]
    spared: list[Spared]


@dataclass(frozen=True, slots=True)
class Frame:
    """One page, ready to load: the rows, those rejected, and what else was noticed.

    `misfits` are fields and elements of `rows` that do not fit. `unknown` are the paths of fields
    no column is declared for; `newest` is the latest moment in the stream's window column, a date
    counting as its first moment in UTC.
    """

    rows: pd.DataFrame
    rejected: tuple[Rejected, ...]
    unknown: frozenset[str]
    newest: datetime | None
    children: tuple[ChildFrame, ...] = ()
    misfits: tuple[Rejected, ...] = ()


def normalise(stream: Stream, raw: Sequence[bytes], parent: str | None = None) -> Frame:
    """The items of one page as a frame; `parent` is stored with streams that are per parent."""
    return _as_declared(stream, raw, parent) or _item_by_item(stream, raw, parent)


def _as_declared(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame | None:
    """The frame of a page in which every item is as declared and can be stored as it is; None for
    any other page."""
    records = read_records(stream.reads, raw)
    if records is None:
        return None
    free = [c for c in stream.reads if c.kind is Kind.JSON]
    found = [v for c in free for v in follow_path(records, c.keys, follow) if v is not None]
    if names_any(stream, found):
        return None
    try:
        columns = columns_of(stream, records, follow)
    except UNFIT:
        return None
    nested = _nested(stream, records, columns, follow)
    if any(one.misfits for one in nested):
        return None
    if is_in(stream, columns, (text for one in nested for text in one.texts)):
        return None
    return _frame(stream, columns, [text.decode() for text in raw], parent, nested)


def _item_by_item(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame:
    """The frame of any page: what must not be stored is cut, what does not fit is quarantined."""
    items, texts, rejected = _decode(stream, raw)
    read = read_columns(stream, items, follow_keys)
    rejected += [
        Rejected(_key(stream, items[i], parent), reason, texts[i])
        for i, reason in sorted(read.broken.items())
    ]
    sound = [i for i in range(len(items)) if i not in read.broken]
    columns = {name: [values[i] for i in sound] for name, values in read.columns.items()}
    misfits = [
        _misfit(stream, misfit, items[misfit.place], parent)
        for misfit in read.misfits.values()
        if misfit.place not in read.broken
    ]
    items, texts = [items[i] for i in sound], [texts[i] for i in sound]
    nested = _nested(stream, items, columns, follow_keys)
    misfits += [_misfit(stream, m, items[m.place], parent) for n in nested for m in n.misfits]
    misfits += _undeclared(stream, items, parent)
    once = {(misfit.key, misfit.field): misfit for misfit in misfits}
    unknown = unknown_fields(stream, items)
    frame = _frame(stream, columns, texts, parent, nested, tuple(rejected), unknown)
    return replace(frame, misfits=tuple(once.values()))


def _misfit(stream: Stream, misfit: Misfit, item: Item, parent: str | None) -> Rejected:
    """What is quarantined of a row that is stored."""
    value = misfit.value
    raw = value.raw if isinstance(value, Unreadable) else encode(value).decode()
    return Rejected(_key(stream, item, parent), misfit.reason, raw[:TOLD], misfit.field)


def _undeclared(stream: Stream, items: Sequence[Item], parent: str | None) -> Iterator[Rejected]:
    """Fields that cannot be decoded and that no column reads: only `_raw` goes without them."""
    for item in items:
        for name, value in item.items():
            if isinstance(value, Unreadable):
                reason = f"{name}: {value.reason}"
                yield Rejected(_key(stream, item, parent), reason, value.raw[:TOLD], name)


def _nested(
    stream: Stream, items: Sequence[Any], columns: dict[str, Values], follow: Follow
) -> list[Nested]:
    return read_nested(stream, items, columns[stream.key[0]], follow) if stream.children else []


def _frame(
    stream: Stream,
    columns: dict[str, Values],
    texts: list[str],
    parent: str | None,
    nested: Sequence[Nested],
    rejected: tuple[Rejected, ...] = (),
    unknown: frozenset[str] = frozenset(),
) -> Frame:
    if stream.parent is not None:
        columns = {stream.parent.into: [parent] * len(texts), **columns}
    children = tuple(map(child_frame, nested))
    unknown = unknown.union(*(n.unknown for n in nested))
    rows = _rows(stream, columns, texts)
    return Frame(rows, rejected, unknown, _newest(stream, columns), children)


def child_frame(nested: Nested) -> ChildFrame:
    """The rows of a child table as a frame."""
    rows = _rows(nested.child, nested.columns, nested.texts) if nested.texts else _NONE
    return ChildFrame(nested.child, rows, nested.owners, nested.spared)


def _rows(table: Table, columns: dict[str, Values], texts: list[str]) -> pd.DataFrame:
    arrays = {f.name: to_array(columns[f.name], f.kind) for f in table.fields()}
    return pd.DataFrame({**arrays, RAW: to_array(texts, Kind.JSON)}, copy=False)


def to_array(values: Values, kind: Kind) -> Any:
    """Values of one kind as a pandas array of its pinned dtype."""
    if kind in (Kind.INTEGER, Kind.BOOLEAN):
        return pd.array(values, dtype=cast(Any, DTYPES[kind]))
    objects = np.fromiter(values, dtype=np.dtype(object), count=len(values))
    return pd.arrays.StringArray(objects) if DTYPES[kind] == "string" else objects


def _decode(stream: Stream, raw: Sequence[bytes]) -> tuple[list[Item], list[str], list[Rejected]]:
    """Items as dicts and as the JSON to keep, without what must not be stored in either."""
    items: list[Item] = []
    texts: list[str] = []
    rejected: list[Rejected] = []
    for text in raw:
        try:
            item, whole = _decode_item(stream, text)
            if not isinstance(item, dict):
                raise ValueError("expected a JSON object")
            cut = purge(stream, item)
            kept = text.decode() if whole and not cut else _readable(item)
        except (*UNFIT, msgspec.DecodeError) as error:
            rejected.append(Rejected(None, sensitive.scrubbed(str(error)), unread(stream, text)))
            continue
        items.append(item)
        texts.append(kept)
    return items, texts, rejected


def _decode_item(stream: Stream, text: bytes) -> tuple[Any, bool]:
    """An item, and whether all of it could be decoded; a field that could not is `Unreadable`.

    Raises:
        msgspec.DecodeError, RecursionError: nor could its fields be told apart.
    """
    try:
        return _decode_one(text), True
    except (msgspec.DecodeError, RecursionError):
        return {n: _decode_field(stream, v) for n, v in _decode_fields(text).items()}, False


def _decode_field(stream: Stream, value: msgspec.Raw) -> Any:
    try:
        return _decode_one(value)
    except (msgspec.DecodeError, RecursionError) as error:
        return Unreadable(str(error), unread(stream, bytes(value)))


def _readable(item: Item) -> str:
    """The JSON of an item, without what could not be decoded."""
    return encode({n: v for n, v in item.items() if not isinstance(v, Unreadable)}).decode()


def _key(stream: Stream, item: Item, parent: str | None) -> str | None:
    """The row's own key as text, where every part of it can be read."""
    if stream.parent is not None and stream.own_key == (stream.parent.into,):
        return parent
    parts = [
        value
        for column in stream.columns
        if column.name in stream.key and isinstance(value := item.get(column.path), str)
    ]
    return KEY_SEPARATOR.join(parts) if len(parts) == len(stream.own_key) else None


def _newest(stream: Stream, columns: dict[str, Values]) -> datetime | None:
    if stream.window is None:
        return None
    newest = max(filter(None, columns[stream.window.column]), default=None)
    if newest is None or isinstance(newest, datetime):
        return newest
    return datetime.combine(cast(date, newest), time(), UTC)
