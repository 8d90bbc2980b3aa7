"""Brex's items as a pandas frame with pinned dtypes. Pure: a page in, a frame out.

No float holds money or keys: whole numbers are `Int64`, texts `string`, decimals, dates and
moments exact Python objects. A value of another type than declared sends its row, alone, to
quarantine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import msgspec
import pandas as pd

from brex_sync.streams.declare import KEY_SEPARATOR, Column, Kind, Stream
from brex_sync.sync import money
from brex_sync.sync.records import follow, read_records

Item = dict[str, Any]
Values = list[Any]
Follow = Callable[[Sequence[Any], str], Values]

INT64 = range(-(2**63), 2**63)
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
LAST = 4
"""Characters kept of a bank number."""

_UNFIT = (ValueError, OverflowError, RecursionError)
"""What a value that cannot be read raises; the last where it is nested too deep."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode_one = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that cannot be stored, with the reason; bank numbers in `raw` are cut."""

    key: str | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One page, ready to load: the rows, those rejected, and what else was noticed.

    `unknown` are the paths of fields no column is declared for; `newest` is the latest date in
    the stream's window column.
    """

    rows: pd.DataFrame
    rejected: tuple[Rejected, ...]
    unknown: frozenset[str]
    newest: date | None


def normalise(stream: Stream, raw: Sequence[bytes], parent: str | None = None) -> Frame:
    """The items of one page as a frame; `parent` is stored with streams that are per parent."""
    return _as_declared(stream, raw, parent) or _item_by_item(stream, raw, parent)


def _as_declared(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame | None:
    """The frame of a page in which every item is as declared; None for any other page."""
    records = None if stream.masked else read_records(stream.columns, raw)
    if records is None:
        return None
    columns, broken = _columns(stream, records, follow)
    if broken:
        return None
    texts = [text.decode() for text in raw]
    return _frame(stream, columns, texts, parent)


def _item_by_item(stream: Stream, raw: Sequence[bytes], parent: str | None) -> Frame:
    """The frame of any page: bank numbers are cut, what does not fit is rejected."""
    items, texts, rejected = _decode(stream, raw)
    columns, broken = _columns(stream, items, _follow)
    if broken:
        rejected += [
            Rejected(_key(stream, items[i]), reason, texts[i]) for i, reason in broken.items()
        ]
        sound = [i for i in range(len(items)) if i not in broken]
        items, texts = [items[i] for i in sound], [texts[i] for i in sound]
        columns = {name: [values[i] for i in sound] for name, values in columns.items()}
    return _frame(stream, columns, texts, parent, tuple(rejected), _unknown(stream, items))


def _frame(
    stream: Stream,
    columns: dict[str, Values],
    texts: list[str],
    parent: str | None,
    rejected: tuple[Rejected, ...] = (),
    unknown: frozenset[str] = frozenset(),
) -> Frame:
    if stream.per is not None:
        columns = {stream.per.into: [parent] * len(texts), **columns}
    arrays = {f.name: _array(columns[f.name], f.kind) for f in stream.fields()}
    rows = pd.DataFrame({**arrays, RAW: _array(texts, Kind.JSON)}, copy=False)
    return Frame(rows, rejected, unknown, _newest(stream, columns))


def _array(values: Values, kind: Kind) -> Any:
    return pd.array(values, dtype=cast(Any, DTYPES[kind]))


def _decode(stream: Stream, raw: Sequence[bytes]) -> tuple[list[Item], list[str], list[Rejected]]:
    """Items as dicts and as the JSON to keep, bank numbers cut in both."""
    items: list[Item] = []
    texts: list[str] = []
    rejected: list[Rejected] = []
    masked = stream.masked
    for text in raw:
        try:
            item = _decode_one(text)
        except (msgspec.DecodeError, RecursionError) as error:
            rejected.append(Rejected(None, str(error), _unread(stream, text)))
            continue
        if not isinstance(item, dict):
            rejected.append(Rejected(None, "expected a JSON object", _unread(stream, text)))
            continue
        for column in masked:
            _cut(item, column.keys)
        items.append(item)
        texts.append(_encode(item).decode() if masked else text.decode())
    return items, texts, rejected


def _unread(stream: Stream, text: bytes) -> str:
    return "(not kept: it may hold a bank number)" if stream.masked else text.decode()


def _cut(item: Item, keys: Sequence[str]) -> None:
    *above, last = keys
    for key in above:
        item = item.get(key) or {}
        if not isinstance(item, dict):
            return
    if item.get(last) is not None:
        item[last] = str(item[last])[-LAST:]


def _columns(
    stream: Stream, items: Sequence[Any], follow: Follow
) -> tuple[dict[str, Values], dict[int, str]]:
    """Values by physical column, and for each row that does not fit the first reason.

    `follow` gives the values under a key of every item.
    """
    columns: dict[str, Values] = {}
    broken: dict[int, str] = {}
    for column in stream.columns:
        values = list(items)
        for key in column.keys:
            values = follow(values, key)
        if column.kind is Kind.MONEY:
            columns |= _money(column, values, follow, broken)
        else:
            columns[column.name] = _read(column.path, column.kind, values, broken)
        if column.name in stream.key:
            for i, value in enumerate(columns[column.name]):
                if value is None or value == "":
                    broken.setdefault(i, f"{column.path}: missing, and it identifies the row")
    return columns, broken


def _follow(items: Sequence[Any], key: str) -> Values:
    return [item.get(key) if type(item) is dict else None for item in items]


def _money(
    column: Column, values: Values, follow: Follow, broken: dict[int, str]
) -> dict[str, Values]:
    for i, value in enumerate(values):
        if value is not None and not isinstance(value, (dict, msgspec.Struct)):
            broken.setdefault(i, f"{column.path}: expected money, got {_told(value)}")
    amounts, codes = follow(values, "amount"), follow(values, "currency")
    minor = _read(f"{column.path}.amount", Kind.INTEGER, amounts, broken)
    currency = _read(f"{column.path}.currency", Kind.TEXT, codes, broken)
    return {
        column.name: [money.major(m, c) for m, c in zip(minor, currency, strict=True)],
        f"{column.name}_minor": minor,
        f"{column.name}_currency": currency,
    }


def _read(path: str, kind: Kind, values: Values, broken: dict[int, str]) -> Values:
    """Values of one kind; where one is not, its row is broken and the value None."""
    accepted, read = _READERS[kind]
    types = set(map(type, values))
    try:
        if types <= accepted:
            return values if read is None else [None if v is None else read(v) for v in values]
    except _UNFIT:
        pass
    return [_one(path, kind, i, v, broken) for i, v in enumerate(values)]


def _one(path: str, kind: Kind, i: int, value: Any, broken: dict[int, str]) -> Any:
    accepted, read = _READERS[kind]
    if value is None:
        return None
    try:
        if type(value) not in accepted:
            raise ValueError
        return value if read is None else read(value)
    except _UNFIT:
        wanted = kind.name.lower()
        broken.setdefault(i, f"{path}: expected {wanted}, got {_told(value)}")
        return None


def _told(value: Any) -> str:
    try:
        return f"{type(value).__name__} {str(value)[:60]!r}"
    except RecursionError:
        return f"{type(value).__name__} nested too deep"


def _int64(value: int) -> int:
    if value not in INT64:
        raise ValueError
    return value


@lru_cache(maxsize=4096)
def _date(value: str) -> date:
    if len(value) != 10 or value[4] != "-" or value[7] != "-":
        raise ValueError
    return date.fromisoformat(value)


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    return moment


def _json(value: Any) -> str:
    return _encode(value).decode()


_NONE = type(None)
_READERS: dict[Kind, tuple[set[type], Callable[[Any], Any] | None]] = {
    Kind.TEXT: ({str, _NONE}, None),
    Kind.INTEGER: ({int, _NONE}, _int64),
    Kind.BOOLEAN: ({bool, _NONE}, None),
    Kind.DATE: ({str, _NONE}, _date),
    Kind.TIMESTAMP: ({str, _NONE}, _moment),
    Kind.DECIMAL: ({int, Decimal, _NONE}, Decimal),
    Kind.JSON: ({dict, list, str, int, Decimal, bool, _NONE}, _json),
}


def _key(stream: Stream, item: Item) -> str | None:
    """The row's own key as text, where every part of it can be read."""
    parts = [
        value
        for column in stream.columns
        if column.name in stream.key and isinstance(value := item.get(column.path), str)
    ]
    return KEY_SEPARATOR.join(parts) if len(parts) == len(stream.own_key) else None


def _unknown(stream: Stream, items: list[Item]) -> frozenset[str]:
    """Paths in the items that no declared column reads, down to the depth columns are declared."""
    unknown: set[str] = set()
    for prefix, known in _known(stream).items():
        found: Values = items
        for key in prefix:
            found = [v.get(key) if isinstance(v, dict) else None for v in found]
        present = set().union(*(v for v in found if isinstance(v, dict)))
        unknown |= {".".join((*prefix, key)) for key in present - known}
    return frozenset(unknown)


@lru_cache(maxsize=256)
def _known_paths(paths: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], frozenset[str]]:
    known: dict[tuple[str, ...], set[str]] = {(): set()}
    for keys in paths:
        for depth, key in enumerate(keys):
            known.setdefault(keys[:depth], set()).add(key)
    return {prefix: frozenset(keys) for prefix, keys in known.items()}


def _known(stream: Stream) -> dict[tuple[str, ...], frozenset[str]]:
    return _known_paths(tuple(column.keys for column in stream.columns))


def _newest(stream: Stream, columns: dict[str, Values]) -> date | None:
    if stream.window is None:
        return None
    return max((d for d in columns[stream.window.column] if d is not None), default=None)
