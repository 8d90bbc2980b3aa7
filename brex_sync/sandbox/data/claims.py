"""Claims: what people paid themselves, what is claimed back, and card payments not yet settled."""

import random
from datetime import date, timedelta

from brex_sync.sandbox.data.expenses import ExpenseWriter
from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.pace import spread
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item

PER_MONTH = 24
CLAWBACK_EVERY = 12
PAID_AFTER = timedelta(days=9)
UNSETTLED = 6
UNPAID = ("NOT_STARTED", "SCHEDULED", "PROCESSING")


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds reimbursements and clawbacks of every month, and the last card payments."""
    expenses, writer = world.collection("expenses"), ExpenseWriter(world, rng, history.first)
    number = 0
    for day, share in spread(PER_MONTH * history.months, history.first, world.today):
        for _ in range(share):
            number += 1
            expenses.add(_claim(writer, number, day, world.today))
    for number in range(UNSETTLED):
        expenses.add(_card_payment(writer, number, world.today - timedelta(days=number % 2)))


def _claim(writer: ExpenseWriter, number: int, day: date, today: date) -> Item:
    """A reimbursement or a clawback; of the approved ones, the last are not paid."""
    kind = "REIMBURSEMENT" if number % CLAWBACK_EVERY else "CLAWBACK"
    claim = writer.without_transaction(f"expense_m{number:07d}", kind, day)
    approved = claim["approved_at"]
    if approved is None:
        return claim
    if approved[:10] <= (today - PAID_AFTER).isoformat():
        return claim | {"payment_status": "CLEARED", "completion_date": approved}
    unpaid = {"payment_status": UNPAID[number % len(UNPAID)], "completion_date": None}
    return claim | unpaid | {"exported_at": None, "status": "APPROVED"}


def _card_payment(writer: ExpenseWriter, number: int, day: date) -> Item:
    """A card payment that was authorised and has not settled."""
    payment = writer.without_transaction(f"expense_p{number:07d}", "CARD", day)
    return payment | {"payment_status": "PROCESSING"}
