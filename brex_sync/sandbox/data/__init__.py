"""What fills a world: a module for each kind of data, and a line for it in `FILLERS`.

A filler is called with the world, the history to make and random numbers of its own, and adds items
to collections. It may read what the fillers before it added: expenses are of card transactions, and
accounting records of expenses. What changes while a world is live is in `live.CHANGES`.
"""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta

from brex_sync.sandbox.data import (
    bills,
    bookkeeping,
    budgeting,
    card_spending,
    cash_flow,
    claims,
    expenses,
    full_cards,
    partners,
    payables,
    people,
    subscriptions,
    travel,
)
from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.live import happen
from brex_sync.sandbox.events.changes import watch
from brex_sync.sandbox.world import World, utc_now

CARD_TRANSACTIONS = 12_000
EXPENSES = 12_000
DAYS_PER_MONTH = 30.44

Filler = Callable[[World, CompanyHistory, random.Random], None]
FILLERS: dict[str, Filler] = {
    "people": people.fill,
    "suppliers": payables.fill,
    "cards": card_spending.fill,
    "cash": cash_flow.fill,
    "travel": travel.fill,
    "expenses": expenses.fill,
    "subscriptions": subscriptions.fill,
    "claims": claims.fill,
    "card accounts": card_spending.fill_accounts,
    "budgets": budgeting.fill,
    "books": bookkeeping.fill,
    "bills": bills.fill,
    "transfers to come": payables.fill_to_come,
    "full cards": full_cards.fill,
    "partners": partners.fill,
}
"""In the order in which they run. The name and the world's seed are the seed of the filler's random
numbers, so a new filler leaves the data of the others as it is, and another name changes it."""
LIVELY = frozenset({"subscriptions", "claims", "bills", "transfers to come", "full cards"})
"""The fillers of lively companies only."""


def create_world(
    seed: int = 7,
    today: date | None = None,
    months: int = 14,
    card_transactions: int = CARD_TRANSACTIONS,
    live: bool = False,
    clock: Callable[[], datetime] = utc_now,
    expenses: int | None = None,
    lively: bool = False,
) -> World:
    """A company with `months` of history that end `today`, by default the day of `clock`.

    The same `seed` and `today` give the same bytes. Without `expenses` there are as many as card
    transactions, up to 12,000. While `live`, a card transaction settles every 5 seconds of
    `clock`, and other things happen.

    A `lively` company has more than these numbers: subscriptions, claims, and bills of every month
    up to today, transfers to come, and cards near their limit.
    """
    world = World(seed, today, clock, happen if live else None)
    first = world.today - timedelta(days=round(months * DAYS_PER_MONTH))
    number = min(card_transactions, EXPENSES) if expenses is None else expenses
    history = CompanyHistory(first, months, card_transactions, number)
    for name, fill in FILLERS.items():
        if name in LIVELY and not lively:
            continue
        fill(world, history, random.Random(f"{seed} {name}"))
    watch(world)
    return world


def create_empty_world(today: date | None = None) -> World:
    """A world without data, whose history ends `today`."""
    world = World(today=today)
    watch(world)
    return world
