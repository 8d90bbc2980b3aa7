"""Subscriptions: the same merchant charges the same card at regular intervals."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from brex_sync.sandbox.data.card_spending import cards_by_purpose, charge
from brex_sync.sandbox.data.expenses import ExpenseWriter
from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.merchants import MERCHANTS, SUBSCRIPTIONS, merchant_id, shown_merchant
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item


class Rhythm(NamedTuple):
    """The last charge was `last` days ago, the others `every` so many days before.

    There are at most `charges` of them; the newest `raised` have the last price.
    """

    every: int
    last: int
    charges: int = 100
    raised: int = 0


RHYTHMS = (
    Rhythm(every=30, last=4, raised=3),
    Rhythm(every=30, last=11),
    Rhythm(every=30, last=17, raised=1),
    Rhythm(every=30, last=9),
    Rhythm(every=30, last=6, charges=4),
    Rhythm(every=7, last=2, charges=3),
    Rhythm(every=365, last=20, raised=1),
)
"""One for each of SUBSCRIPTIONS."""


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the charges of every subscription, with their expenses."""
    writer = ExpenseWriter(world, rng, history.first)
    software = cards_by_purpose(world)["Software"]
    plans = zip(SUBSCRIPTIONS, RHYTHMS, strict=True)
    for number, (merchant, rhythm) in enumerate(plans, start=len(MERCHANTS)):
        world.collection("merchants").add({"id": merchant_id(number)} | shown_merchant(merchant))
        card = rng.choice(software)
        for back, day in enumerate(_days(rhythm, history.first, world.today)):
            price = merchant.high if back < rhythm.raised else merchant.low
            key = f"pste_s{number:03d}{back:04d}"
            transaction = charge(world, key, merchant, price, day, card)
            world.collection("expenses").add(_kept(writer.of_transaction(transaction)))


def _days(rhythm: Rhythm, first: date, today: date) -> Iterator[date]:
    """The days of the charges, newest first."""
    for back in range(rhythm.charges):
        day = today - timedelta(days=rhythm.last + back * rhythm.every)
        if day < first:
            return
        yield day


def _kept(expense: Item) -> Item:
    """The expense with the memo of all subscriptions."""
    return expense | {"memo": "Subscription"}
