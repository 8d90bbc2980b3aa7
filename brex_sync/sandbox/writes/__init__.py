"""The writes of Brex's API reference, each with what it demands and changes."""

from brex_sync.sandbox.writes.cards import CARD_WRITES
from brex_sync.sandbox.writes.people import PEOPLE_WRITES

WRITES = (*PEOPLE_WRITES, *CARD_WRITES)
