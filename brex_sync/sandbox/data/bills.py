"""Bills of vendors, with their records in the books: paid, overdue and still to come."""

import random
from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox.data.bookkeeping import record_of
from brex_sync.sandbox.data.expenses import AMOUNTS, ExpenseWriter
from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.merchants import exchanged
from brex_sync.sandbox.data.pace import spread
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.ledger import money, usd

PER_MONTH = 12
TERMS = timedelta(days=30)
LATE = (0, 0, 18, 0, 25, 6)
"""Days after the due date on which a bill is paid, by its number."""
VENDORS = 14
MEMOS = ("Monthly statement", "Invoice", "Purchase order", "Retainer")
TRADES = (
    ("5085", "GENERAL_MERCHANDISE"),
    ("8111", "CONSULTANT_AND_CONTRACTOR"),
    ("5051", "GENERAL_MERCHANDISE"),
    ("7392", "CONSULTANT_AND_CONTRACTOR"),
    ("7349", "FACILITIES_EXPENSES"),
    ("4214", "SHIPPING"),
    ("6300", "CORPORATE_INSURANCE"),
    ("5199", "SHIPPING"),
    ("7361", "CONSULTANT_AND_CONTRACTOR"),
    ("5065", "ELECTRONICS"),
)
"""Merchant category code and Brex's category, in the order of `payables.KINDS`."""


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the bills of the history. A bill that is approved has a record with its due date."""
    writer = ExpenseWriter(world, rng, history.first)
    vendors, users = world.collection("vendors").known(), world.collection("users").known()
    for i in range(VENDORS):
        name = vendors[f"pdcont_{i:05d}"]["company_name"].upper()
        shown = {"raw_descriptor": name, "mcc": TRADES[i % len(TRADES)][0], "country": "USA"}
        world.collection("merchants").add({"id": _merchant(i)} | shown)
    number = 0
    for day, share in spread(PER_MONTH * history.months, history.first, world.today):
        for _ in range(share):
            number += 1
            bill = writer.without_transaction(f"expense_i{number:07d}", "BILLPAY", day)
            bill |= _amounts(rng, number) | _wording(number)
            due = day + TERMS
            bill |= _payment(bill, due, due + timedelta(days=LATE[number % len(LATE)]), world.today)
            world.collection("expenses").add(bill)
            if record := record_of(bill, users, vendors):
                due_at = {"due_at": f"{due}T00:00:00.000Z"}
                world.collection("accounting_records").add(record | due_at)


def _merchant(vendor: int) -> str:
    """The merchant that stands for a vendor; the books take the vendor from its number."""
    return f"merch_vendor_{vendor:04d}"


def _amounts(rng: random.Random, number: int) -> Item:
    """The same amount five times; every fifth bill is in euros."""
    cents = rng.randrange(45_000, 1_800_000)
    amounts = dict.fromkeys(AMOUNTS, usd(cents))
    if number % 5 == 0:
        euros = money(exchanged(cents, "USD", "EUR"), "EUR")
        amounts |= {"original_amount": euros, "purchased_amount": euros}
    return amounts


def _wording(number: int) -> Item:
    vendor = number % VENDORS
    return {
        "merchant_id": _merchant(vendor),
        "category": TRADES[vendor % len(TRADES)][1],
        "memo": f"{MEMOS[number % len(MEMOS)]} {3000 + number}",
        "budget_id": None,
        "repayment": None,
    }


def _payment(bill: Item, due: date, paid: date, today: date) -> dict[str, Any]:
    """How far the payment is: done where `paid` is over, scheduled near the due date."""
    if bill["approved_at"] is None:
        return {"payment_status": "NOT_STARTED", "completion_date": None}
    if paid > today:
        soon = today <= due <= today + timedelta(days=7)
        status = "APPROVED" if bill["status"] == "SETTLED" else bill["status"]
        payment = "SCHEDULED" if soon else "NOT_STARTED"
        return {"status": status, "payment_status": payment, "completion_date": None}
    moment = f"{paid}T{bill['approved_at'][11:]}"
    changed = max(bill["updated_at"], moment)
    return {"payment_status": "CLEARED", "completion_date": moment, "updated_at": changed}
