"""What happens as time passes: money moves, expenses proceed, people change."""

import random
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from brex_sync.sandbox.data import card_spending, cash_flow, payables
from brex_sync.sandbox.data.bookkeeping import record_of
from brex_sync.sandbox.data.expenses import ExpenseWriter
from brex_sync.sandbox.data.people import PEOPLE, PLACES
from brex_sync.sandbox.world.collection import moment

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

INTERVAL = timedelta(seconds=5)
CASH_EVERY, APPROVAL_EVERY, TRANSFER_EVERY, PERSON_EVERY = 3, 2, 7, 12
FAILING = 0.1
RECENT = 40


def happen(world: "World", number: int, now: datetime) -> None:
    """The event of that number; its seed and number decide what it is.

    A card transaction settles, with its expense; now and then cash moves, an expense is approved,
    a transfer is begun or ends, and a person's data change; when a month ends, its statements
    close.
    """
    rng = random.Random(f"{world.seed} {number}")
    today = now.date()
    _turn_month(world, now)
    transaction = card_spending.settle(world, rng, today, f"pste_live_{number:08d}")
    if transaction["card_id"] is not None:
        writer = ExpenseWriter(world, rng, today)
        expense = writer.of_transaction(transaction)
        fresh = {"status": "DRAFT", "submitted_at": None, "approved_at": None, "exported_at": None}
        world.collection("expenses").add(expense | fresh | {"updated_at": moment(now)})
        world.events.purchase(expense["id"])
    if number % CASH_EVERY == 0:
        cash_flow.receive(world, rng, today, f"live_{number:08d}")
    if number % APPROVAL_EVERY == 0:
        _approve(world, rng, moment(now))
    if number % PERSON_EVERY == 0:
        _change_person(world, rng)
    if number % TRANSFER_EVERY == 0:
        _move_transfers(world, rng, today)


def _turn_month(world: "World", now: datetime) -> None:
    """Closes the statements of months that are over."""
    card_spending.close_statements(world, now.date())
    cash_flow.close_statements(world, now.date())


def _approve(world: "World", rng: random.Random, at: str) -> None:
    """One of the newest expenses goes a step on, and into the books when it is approved."""
    expenses = world.collection("expenses")
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
    users = world.collection("users").known()
    if record := record_of(expense | changes | {"updated_at": at}, users):
        world.collection("accounting_records").add(record)


def _move_transfers(world: "World", rng: random.Random, today: date) -> None:
    """The oldest transfer on its way gets there, or fails; where there is none, one sets out."""
    transfers = world.collection("transfers")
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


def _change_person(world: "World", rng: random.Random) -> None:
    """Someone moves to another department, another place or another title."""
    users = world.collection("users")
    key = f"cuuser_{rng.randrange(PEOPLE):05d}"
    name, prefix, values = rng.choice(PLACES)
    if users.get(key):
        field = f"{name.removesuffix('s')}_id"
        users.edit(key, **{field: f"{prefix}_{rng.randrange(len(values)):04d}"})
