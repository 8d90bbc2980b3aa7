"""A frame as lines for COPY."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd

from brex_sync.streams.declare import KEY_SEPARATOR, Child, Stream
from brex_sync.warehouse.load.staged import NULL, SPECIAL, Reject, Staged, StagedChild, to_bytes

_ESCAPES = str.maketrans(SPECIAL)


def stage_child(
    child: Child,
    frame: pd.DataFrame,
    owners: Sequence[int],
    spared: Sequence[tuple[int, str | None]] = (),
) -> StagedChild:
    """Rows of a child table made ready to be committed with their parents'."""
    return StagedChild(child, to_lines(frame), owners, spared)


def stage(
    stream: Stream,
    frame: pd.DataFrame,
    rejects: Sequence[Reject] = (),
    children: Sequence[StagedChild] = (),
    misfits: Sequence[Reject] = (),
) -> Staged:
    """A page made ready to be committed."""
    keys = [plain(frame[name]) for name in stream.own_key]
    joined = keys[0] if len(keys) == 1 else map(KEY_SEPARATOR.join, zip(*keys, strict=True))
    return Staged([to_bytes(to_lines(frame))], list(joined), rejects, children, misfits)


def to_lines(frame: pd.DataFrame) -> list[str]:
    """A frame's rows in Postgres' text format for COPY.

    A column at a time, since one column's values are of one type and seldom need an escape.
    """
    columns = [_texts(frame[name]) for name in frame.columns]
    return list(map("\t".join, zip(*columns, strict=True)))


def plain(column: "pd.Series[Any]") -> list[Any]:
    """A column as plain Python values, every missing one as None.

    The one place where pandas' missing values end: a NaN would become the text 'NaN', or a number
    that no sum survives.
    """
    values = column.to_numpy(dtype=np.dtype(object), na_value=cast(Any, None))
    return values.tolist()


def _texts(column: "pd.Series[Any]") -> list[str]:
    values = plain(column)
    if isinstance(column.dtype, pd.StringDtype):
        return _escaped(values)
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {date}:
        days = {day: NULL if day is None else day.isoformat() for day in set(values)}
        return [days[day] for day in values]
    text = _TEXT_OF.get(kinds.pop(), str) if len(kinds) == 1 else _text
    return [NULL if v is None else text(v) for v in values]


def _escaped(values: list[str | None]) -> list[str]:
    present = list(filter(None, values))
    if _has_special("".join(present)):
        return [NULL if v is None else v.translate(_ESCAPES) for v in values]
    return present if len(present) == len(values) else [NULL if v is None else v for v in values]


def _has_special(text: str) -> bool:
    return any(character in text for character in SPECIAL)


def _text(value: object) -> str:
    return _TEXT_OF.get(type(value), str)(value)


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "t" if value else "f",
    str: lambda value: str(value).translate(_ESCAPES),
}
