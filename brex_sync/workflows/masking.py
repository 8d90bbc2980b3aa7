"""What the record of writes does not show: what must not be stored is cut, as in the tables."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from brex_sync.sensitive import LAST, Treatment, fate_of, purge, scrubbed

EXEMPT = ("amount",)
"""Fields of bodies whose values are kept, whatever they look like."""


def masked(body: Any) -> Any:
    """A copy without what must not be stored."""
    shown = [deepcopy(body)]
    purge(shown, exempt=EXEMPT)
    return shown[0]


def cut_in(text: str, body: Any) -> str:
    """A text, such as Brex's words about a body, in which the body's bank numbers are cut."""
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
