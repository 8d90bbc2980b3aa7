"""What the simulated company does not do by itself, and questions are asked about."""

from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox import World, shown_items

GAZETTE = {
    "id": "merch_gazette",
    "raw_descriptor": "MINING GAZETTE",
    "mcc": "5968",
    "country": "USA",
}
UNPAID = {"status": "APPROVED", "payment_status": "NOT_STARTED", "completion_date": None}


def add_extras(world: World) -> None:
    """A newspaper that is paid every thirty days, more than it was; a taxi that two claims are for;
    a claim that is not yet paid; bills that are late, and due soon. No account moves."""
    world.collection("merchants").add(GAZETTE)
    expenses, today = world.collection("expenses"), world.today
    claim = next(e for e in shown_items(world, "expenses") if _is_paid(e, "REIMBURSEMENT"))
    for number, cents in enumerate((1500, 1500, 1200, 1200, 1200)):
        day = today - timedelta(days=10 + 30 * number)
        expenses.add(_changed(claim, f"gazette_{number}", day, cents, merchant_id=GAZETTE["id"]))
    for number in (1, 2):
        expenses.add(_changed(claim, f"taxi_{number}", today - timedelta(days=50), 4321))
    expenses.add(_changed(claim, "hotel", today - timedelta(days=20), 9900, **UNPAID))
    _add_bill(world, "rent", due=today - timedelta(days=5))
    _add_bill(world, "power", due=today + timedelta(days=9))


def _add_bill(world: World, key: str, due: date) -> None:
    """A bill that is not paid, with its record in the books."""
    records = world.collection("accounting_records")
    paid = (e for e in shown_items(world, "expenses") if _is_paid(e, "BILLPAY"))
    bill = next(e for e in paid if records.get(e["id"].replace("expense_", "accr_")))
    record = records.get(bill["id"].replace("expense_", "accr_")) or {}
    unpaid = _changed(bill, key, due - timedelta(days=14), 120_000, memo=key, **UNPAID)
    world.collection("expenses").add(unpaid | {"purchased_at": None})
    records.add(
        record
        | {"id": f"accr_{key}", "memo": key, "due_at": f"{due}T00:00:00.000Z"}
        | {"amount": unpaid["usd_equivalent_amount"], "original_amount": None}
        | {"posted_at": unpaid["approved_at"], "updated_at": unpaid["updated_at"]}
    )


def _is_paid(item: Any, kind: str) -> bool:
    return item["expense_type"] == kind and item["payment_status"] == "CLEARED"


def _changed(item: Any, key: str, day: date, cents: int, **more: Any) -> Any:
    at, amount = f"{day}T12:00:00.000Z", {"amount": cents, "currency": "USD"}
    names = ("original", "purchased", "billing", "budget", "usd_equivalent")
    dates = ("purchased_at", "submitted_at", "approved_at", "completion_date", "updated_at")
    return (
        item
        | {"id": f"expense_{key}"}
        | {f"{name}_amount": amount for name in names}
        | dict.fromkeys(dates, at)
        | more
    )
