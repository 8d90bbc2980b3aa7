"""What must not be stored of a stream's items: what is recognised, and what the stream declares."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from brex_sync import sensitive
from brex_sync.sensitive import fate_of
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Stream

NOT_KEPT = "(not kept: it may hold what must not be stored)"
_ESCAPED = re.compile(rb"\\(?:u00[2-7]|/)")
"""A letter of a name, or a sign of a link, may be written so."""
_NAME = re.compile(r'"([^"]*)"\s*:')
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_TEXTS = (Kind.TEXT, Kind.JSON)
_AMOUNT = "amount"


def names_any(stream: Stream, values: Iterable[Any]) -> bool:
    """Whether any of the free maps and lists has a field whose values must not be stored."""
    names = stream.masked | frozenset(stream.drop)
    return any(sensitive.names_any(value, names) for value in values if type(value) in (dict, list))


def is_in(stream: Stream, columns: Mapping[str, Sequence[Any]], more: Iterable[str]) -> bool:
    """Whether what columns of a stream hold, or any of more texts, must not be stored."""
    exempt = _exempt(stream)
    texts: set[str] = set(more)
    for column in stream.columns:
        if column.keys[-1] in stream.masked and any(columns[column.name]):
            return True
        if column.kind in _TEXTS and column.keys[-1] not in exempt:
            texts.update(filter(None, columns[column.name]))
    return sensitive.is_in(texts)


def purge(stream: Stream, value: Any) -> bool:
    """Cuts and leaves out what must not be stored, in place, at any depth of a JSON value; whether
    anything was."""
    return sensitive.purge(value, stream.masked, stream.drop, _exempt(stream))


def unread(stream: Stream, text: bytes) -> str:
    """What is kept of a text that cannot be read as JSON."""
    shown = text.decode()
    doubtful = stream.masked or stream.drop or _ESCAPED.search(text)
    if doubtful or any(map(fate_of, _NAME.findall(shown))):
        return NOT_KEPT
    return sensitive.scrubbed(shown)


def _exempt(stream: Stream) -> frozenset[str]:
    """Fields whose values are kept as they are: declared numbers and identifiers, which no
    recognition may alter, however much they look like a card's number."""
    columns = [column for table in stream.tables() for column in table.columns]
    names = {c.keys[-1] for c in columns if c.kind in _NUMBERS or c.name.endswith("id")}
    return frozenset(names | {c.keys[-1] for c in columns if c.name in stream.key} | {_AMOUNT})
