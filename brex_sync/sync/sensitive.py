"""What must not be stored: bank numbers are cut, links and the like left out, at any depth."""

import re
from collections.abc import Sequence
from typing import Any

from brex_sync.streams.declare import Stream

LAST = 4
"""Characters kept of a number that is cut."""
_ESCAPED = re.compile(rb"\\u00[2-7]")
"""A letter of a name may be written so: such texts are looked at in full."""


def may_hold(stream: Stream, raw: Sequence[bytes]) -> bool:
    """Whether any of the texts may have a field that must not be stored as it is."""
    names = [name.encode() for name in (*stream.cut, *stream.dropped)]
    if not names:
        return False
    text = b"".join(raw)
    return any(name in text for name in names) or _ESCAPED.search(text) is not None


def purge(stream: Stream, value: Any) -> None:
    """Cuts and leaves out what the stream declares, in place, at any depth of a JSON value."""
    _purge(value, stream.cut, frozenset(stream.dropped))


def _purge(value: Any, cut: frozenset[str], dropped: frozenset[str]) -> None:
    if isinstance(value, list):
        for element in value:
            _purge(element, cut, dropped)
        return
    if not isinstance(value, dict):
        return
    for name in dropped & value.keys():
        del value[name]
    for name, inner in value.items():
        if name in cut:
            value[name] = None if inner is None else str(inner)[-LAST:]
        else:
            _purge(inner, cut, dropped)
