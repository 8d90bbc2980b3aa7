"""Cards that have little of their limit left."""

import random

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.world import World

PERCENT_LEFT = (0, 4, 9, 13, 18)


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Leaves that much of the limit of some cards in use that have a limit of their own."""
    cards = world.collection("cards")
    limited = [c for c in cards.newest() if c["status"] == "ACTIVE" and c["spend_controls"]]
    for card, percent in zip(rng.sample(limited, len(PERCENT_LEFT)), PERCENT_LEFT, strict=True):
        controls = card["spend_controls"]
        limit = controls["spend_limit"]
        left = limit | {"amount": limit["amount"] * percent // 100}
        cards.edit(card["id"], spend_controls=controls | {"spend_available": left})
