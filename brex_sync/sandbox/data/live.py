"""What happens as time passes: money moves, expenses proceed, people change."""

import random
from collections.abc import Callable
from datetime import datetime

from brex_sync.sandbox.data import card_spending, cash_flow, payables
from brex_sync.sandbox.data.bookkeeping import record_of
from brex_sync.sandbox.data.expenses import ExpenseWriter
from brex_sync.sandbox.data.people import PEOPLE, PLACES
from brex_sync.sandbox.events.changes import emit_purchase
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import moment

FAILING = 0.1
RECENT = 40


def _close_month(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """Closes the statements of months that are over."""
    card_spending.close_statements(world, now.date())
    cash_flow.close_statements(world, now.date())


def _spend(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """A card transaction settles, with its expense."""
    transaction = card_spending.settle(world, rng, now.date(), f"pste_live_{number:08d}")
    if transaction["card_id"] is not None:
        expense = ExpenseWriter(world, rng, now.date()).of_transaction(transaction)
        fresh = {"status": "DRAFT", "submitted_at": None, "approved_at": None, "exported_at": None}
        world.collection("expenses").add(expense | fresh | {"updated_at": moment(now)})
        emit_purchase(world, expense["id"])


def _move_cash(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """A customer pays, or a supplier is paid."""
    cash_flow.receive(world, rng, now.date(), f"live_{number:08d}")


def _approve(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """One of the newest expenses goes a step on, and into the books when it is approved."""
    expenses, at = world.collection("expenses"), moment(now)
    waiting = [
        item
        for item, _ in zip(expenses.newest(), range(RECENT), strict=False)
        if item["status"] in ("DRAFT", "SUBMITTED")
    ]
    if not waiting:
        return
    expense = rng.choice(waiting)
    if expense["status"] == "DRAFT":
        changes = {"status": "SUBMITTED", "submitted_at": at}
    else:
        changes = {"status": "APPROVED", "approved_at": at}
    expenses.edit(expense["id"], **changes, updated_at=at)
    users, vendors = world.collection("users").known(), world.collection("vendors").known()
    if record := record_of(expense | changes | {"updated_at": at}, users, vendors):
        world.collection("accounting_records").add(record)


def _move_transfers(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """The oldest transfer on its way gets there, or fails; where there is none, one sets out."""
    transfers, today = world.collection("transfers"), now.date()
    under_way = [item for item in transfers.newest() if item["status"] == "PROCESSING"]
    if not under_way:
        payables.order(world, rng, today)
    elif rng.random() < FAILING:
        transfers.edit(
            under_way[-1]["id"], status="FAILED", cancellation_reason="INSUFFICIENT_FUNDS"
        )
    else:
        transfers.edit(under_way[-1]["id"], status="PROCESSED", process_date=today.isoformat())
        cash_flow.pay(world, under_way[-1], today)


def _change_person(world: World, rng: random.Random, number: int, now: datetime) -> None:
    """Someone moves to another department, another place or another title."""
    users = world.collection("users")
    key = f"cuuser_{rng.randrange(PEOPLE):05d}"
    name, prefix, values = rng.choice(PLACES)
    if users.get(key):
        field = f"{name.removesuffix('s')}_id"
        users.edit(key, **{field: f"{prefix}_{rng.randrange(len(values)):04d}"})


LiveChange = Callable[[World, random.Random, int, datetime], None]
CHANGES: tuple[tuple[int, LiveChange], ...] = (
    (1, _close_month),
    (1, _spend),
    (3, _move_cash),
    (2, _approve),
    (12, _change_person),
    (7, _move_transfers),
)
"""Every how many steps of time each change is made, in the order in which they are made."""


def happen(world: World, number: int, now: datetime) -> None:
    """Makes the changes of the step `number`, at `now`: the world's seed and `number` decide them.

    A card transaction settles, with its expense; now and then cash moves, an expense is approved,
    a transfer is begun or ends, and a person's data change; when a month ends, its statements
    close.
    """
    rng = random.Random(f"{world.seed} {number}")
    for every, change in CHANGES:
        if number % every == 0:
            change(world, rng, number, now)
