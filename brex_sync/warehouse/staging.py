"""A frame as lines for COPY: the last form a page has in this process."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np
import pandas as pd

from brex_sync.streams.declare import KEY_SEPARATOR, Child, Stream

_NULL = r"\N"
_SPECIAL = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_ESCAPES = str.maketrans(_SPECIAL)
_UNESCAPES = {escape: character for character, escape in _SPECIAL.items()}
_ESCAPED = re.compile(r"\\.")


@dataclass(frozen=True, slots=True)
class Reject:
    """An item that is quarantined: its key where known, why, and its raw text.

    Where there is a `field`, only that field of a stored item is, or that element of a list in it.
    """

    key: str | None
    reason: str
    raw: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class StagedChild:
    """Rows of a child table: lines as COPY reads them, and the place of each one's parent.

    `spared` are rows that could not be read and so are not gone: the place of each one's parent,
    and its own part of the key, None where it may be any of the parent's.
    """

    child: Child
    lines: Sequence[str]
    owners: Sequence[int]
    spared: Sequence[tuple[int, str | None]] = ()

    def of(self, places: Collection[int]) -> list[str]:
        """The lines of the parents at these places."""
        return [
            line for line, owner in zip(self.lines, self.owners, strict=True) if owner in places
        ]

    def spared_of(self, place: int) -> list[str | None]:
        """The own keys of the spared rows of the parent at this place."""
        return [own for owner, own in self.spared if owner == place]


@dataclass(frozen=True, slots=True)
class Staged:
    """Pages ready to be committed: their rows as COPY reads them, and what is quarantined.

    `texts` are the pages', a line for a row, which holds its values in table order, `_raw` last;
    `keys` are the rows' own keys (without their parent's), each as one text; `rejects` are items
    that are no rows, `misfits` fields and elements that rows are stored without.
    """

    texts: Sequence[bytes]
    keys: Sequence[str]
    rejects: Sequence[Reject] = ()
    children: Sequence[StagedChild] = ()
    misfits: Sequence[Reject] = ()

    def lines(self) -> list[str]:
        """The lines of all pages."""
        return [line for text in self.texts for line in text.decode().split("\n")[:-1]]


def together(pages: Sequence[Staged]) -> Staged:
    """Pages that follow each other, as one."""
    if len(pages) == 1:
        return pages[0]
    return Staged(
        [text for page in pages for text in page.texts],
        [key for page in pages for key in page.keys],
        [reject for page in pages for reject in page.rejects],
        [_joined(pages, n) for n in range(len(pages[0].children))],
        [misfit for page in pages for misfit in page.misfits],
    )


def _joined(pages: Sequence[Staged], number: int) -> StagedChild:
    """The rows of one child table in pages that follow each other."""
    lines: list[str] = []
    owners: list[int] = []
    spared: list[tuple[int, str | None]] = []
    before = 0
    for page in pages:
        part = page.children[number]
        lines += part.lines
        owners += [owner + before for owner in part.owners]
        spared += [(owner + before, own) for owner, own in part.spared]
        before += len(page.keys)
    return StagedChild(pages[0].children[number].child, lines, owners, spared)


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


def to_bytes(lines: Iterable[str]) -> bytes:
    """Lines as they are sent: encoded one by one, as only few of them have more than ASCII."""
    return b"\n".join([*map(str.encode, lines), b""])


def plain(column: "pd.Series[Any]") -> list[Any]:
    """A column as plain Python values, every missing one as None.

    The one place where pandas' missing values end: a NaN would become the text 'NaN', or a number
    that no sum survives.
    """
    values = column.to_numpy(dtype=np.dtype(object), na_value=cast(Any, None))
    return values.tolist()


def fields(line: str) -> list[str | None]:
    """The values of a line as text, None for null."""
    return [
        None if field == _NULL else _ESCAPED.sub(lambda m: _UNESCAPES[m[0]], field)
        for field in line.split("\t")
    ]


def _texts(column: "pd.Series[Any]") -> list[str]:
    values = plain(column)
    if isinstance(column.dtype, pd.StringDtype):
        return _escaped(values)
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {date}:
        days = {day: _NULL if day is None else day.isoformat() for day in set(values)}
        return [days[day] for day in values]
    text = _TEXT_OF.get(kinds.pop(), str) if len(kinds) == 1 else _text
    return [_NULL if v is None else text(v) for v in values]


def _escaped(values: list[str | None]) -> list[str]:
    present = list(filter(None, values))
    if _has_special("".join(present)):
        return [_NULL if v is None else v.translate(_ESCAPES) for v in values]
    return present if len(present) == len(values) else [_NULL if v is None else v for v in values]


def _has_special(text: str) -> bool:
    return any(character in text for character in _SPECIAL)


def _text(value: object) -> str:
    return _TEXT_OF.get(type(value), str)(value)


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "t" if value else "f",
    str: lambda value: str(value).translate(_ESCAPES),
}
