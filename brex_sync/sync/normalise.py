"""Brex's items as pandas frames with pinned dtypes. Pure: a page in, frames out.

No float holds money or keys: whole numbers are `Int64`, texts `string`, decimals, dates and
moments exact Python objects. A value of another type than declared sends its row, alone, to
quarantine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, cast

import msgspec
import numpy as np
import pandas as pd

from brex_sync.brex.strict_json import exact
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import KEY_SEPARATOR, Child, Stream, Table
from brex_sync.sync.nested import Nested, read_nested
from brex_sync.sync.records import follow, read_records
from brex_sync.sync.sensitive import may_hold, purge
from brex_sync.sync.values import (
    UNFIT,
    Follow,
    Item,
    Values,
    columns_of,
    encode,
    follow_keys,
    read_columns,
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

_decode_one = msgspec.json.Decoder(float_hook=exact).decode


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that cannot be stored, with the reason; bank numbers in `raw` are cut."""

    key: str | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class ChildFrame:
    """One page's rows of a child table; `owners` are the places of their parents' rows."""

    child: Child
    rows: pd.DataFrame
    owners: list[int]


@dataclass(frozen=True, slots=True)
class Frame:
    """One page, ready to load: the rows, those rejected, and what else was noticed.

    `unknown` are the paths of fields no column is declared for; `newest` is the latest moment in
    the stream's window column, a date counting as its first moment in UTC.
    """

    rows: pd.DataFrame
    rejected: tuple[Rejected, ...]
    unknown: frozenset[str]
    newest: datetime | None
    children: tuple[ChildFrame, ...] = ()


def normalise(stream: Stream, raw: Sequence[bytes], parent: str | None = None) -> Frame:
    """The items of one page as a frame; `parent` is stored with streams that are per parent."""
    return _as_declared(stream, raw, parent) or _item_by_item(stream, raw, parent)


def _as_declared(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame | None:
    """The frame of a page in which every item is as declared; None for any other page."""
    records = None if may_hold(stream, raw) else read_records(stream.reads, raw)
    if records is None:
        return None
    try:
        columns = columns_of(stream, records, follow)
    except UNFIT:
        return None
    nested = _nested(stream, records, columns, follow)
    if any(one.broken for one in nested):
        return None
    return _frame(stream, columns, [text.decode() for text in raw], parent, nested)


def _item_by_item(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame:
    """The frame of any page: bank numbers are cut, what does not fit is rejected."""
    items, texts, rejected = _decode(stream, raw)
    columns, broken = read_columns(stream, items, follow_keys)
    nested = _nested(stream, items, columns, follow_keys)
    for one in nested:
        broken = one.broken | broken
    if broken:
        rejected += [
            Rejected(_key(stream, items[i], parent), broken[i], texts[i]) for i in sorted(broken)
        ]
        sound = [i for i in range(len(items)) if i not in broken]
        items, texts = [items[i] for i in sound], [texts[i] for i in sound]
        columns = {name: [values[i] for i in sound] for name, values in columns.items()}
        nested = _nested(stream, items, columns, follow_keys)
    unknown = unknown_fields(stream, items)
    return _frame(stream, columns, texts, parent, nested, tuple(rejected), unknown)


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
    if stream.per is not None:
        columns = {stream.per.into: [parent] * len(texts), **columns}
    children = tuple(map(child_frame, nested))
    unknown = unknown.union(*(n.unknown for n in nested))
    rows = _rows(stream, columns, texts)
    return Frame(rows, rejected, unknown, _newest(stream, columns), children)


def child_frame(nested: Nested) -> ChildFrame:
    """The rows of a child table as a frame."""
    rows = _rows(nested.child, nested.columns, nested.texts) if nested.texts else _NONE
    return ChildFrame(nested.child, rows, nested.owners)


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
    sensitive = may_hold(stream, raw)
    for text in raw:
        try:
            item = _decode_one(text)
            if sensitive:
                purge(stream, item)
            kept = encode(item).decode() if sensitive else text.decode()
        except (msgspec.DecodeError, RecursionError) as error:
            rejected.append(Rejected(None, str(error), _unread(stream, text)))
            continue
        if not isinstance(item, dict):
            rejected.append(Rejected(None, "expected a JSON object", _unread(stream, text)))
            continue
        items.append(item)
        texts.append(kept)
    return items, texts, rejected


def _unread(stream: Stream, text: bytes) -> str:
    if stream.cut or stream.dropped:
        return "(not kept: it may hold what must not be stored)"
    return text.decode()


def _key(stream: Stream, item: Item, parent: str | None) -> str | None:
    """The row's own key as text, where every part of it can be read."""
    if stream.per is not None and stream.own_key == (stream.per.into,):
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
