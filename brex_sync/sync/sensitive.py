"""What must not be stored: bank numbers are cut, links and the like left out, at any depth."""

from collections.abc import Sequence
from typing import Any

from brex_sync.streams.declare import Stream

LAST = 4
"""Characters kept of a number that is cut."""
_ESCAPED = b"\\u00"
"""An ASCII letter of a name may be written so: such texts are looked at in full."""


def may_hold(stream: Stream, raw: Sequence[bytes]) -> bool:
    """Whether any of the texts may have a field that must not be stored as it is."""
    names = [name.encode() for name in (*stream.cut, *stream.dropped)]
    return any(name in text for text in raw for name in (*names, _ESCAPED)) if names else False


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
