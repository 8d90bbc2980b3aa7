"""What the record of writes does not show: bank numbers are cut, as in the tables."""

from copy import deepcopy
from typing import Any

from brex_sync.streams import STREAMS
from brex_sync.sync.sensitive import purge

BANK_NUMBERS = STREAMS["vendors"]
"""The stream whose cut fields are cut here, at any depth."""


def masked(body: Any) -> Any:
    """A copy without what must not be stored; as JSON will give it back."""
    shown = deepcopy(body)
    purge(BANK_NUMBERS, shown)
    return shown
