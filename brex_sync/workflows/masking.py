"""What the record of writes does not show: bank numbers are cut, as in the tables."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from brex_sync.streams import STREAMS
from brex_sync.sync.sensitive import LAST, purge

BANK_NUMBERS = STREAMS["vendors"]
"""The stream whose cut fields are cut here, at any depth."""


def masked(body: Any) -> Any:
    """A copy without what must not be stored."""
    shown = deepcopy(body)
    purge(BANK_NUMBERS, shown)
    return shown


def cut_in(text: str, body: Any) -> str:
    """A text, such as Brex's words about a body, in which the body's bank numbers are cut."""
    for number in _numbers(body):
        text = text.replace(number, f"…{number[-LAST:]}")
    return text


def _numbers(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for element in value:
            yield from _numbers(element)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in BANK_NUMBERS.cut and isinstance(inner, str):
                yield inner
            else:
                yield from _numbers(inner)
