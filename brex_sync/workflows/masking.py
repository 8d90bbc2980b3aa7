"""Removes from recorded writes what must not be stored, as in the tables."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from brex_sync.sensitive import LAST, Treatment, fate_of, purge, scrubbed

EXEMPT = ("amount",)
"""Fields of bodies whose values are always kept."""


def masked(body: Any) -> Any:
    """Returns a copy without values that must not be stored; bank numbers keep their end."""
    shown = [deepcopy(body)]
    purge(shown, exempt=EXEMPT)
    return shown[0]


def cut_in(text: str, body: Any) -> str:
    """Returns a text, such as an error message about a body, with the body's bank numbers cut."""
    for number in _numbers(body):
        text = text.replace(number, f"…{number[-LAST:]}")
    return scrubbed(text)


def _numbers(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _numbers(element)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if fate_of(name) is Treatment.CUT and isinstance(inner, str):
                yield inner
            else:
                yield from _numbers(inner)
