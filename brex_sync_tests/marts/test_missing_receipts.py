"""Who has to hand in which receipt."""

from datetime import UTC, datetime, timedelta
from typing import Any

from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
FOUND = "SELECT expense_id, person, email, manager FROM brex_marts.missing_receipts ORDER BY 1"


def expense(rig: Any, key: str, minor: int | None = 100, **more: Any) -> None:
    given = {
        "expense_type": "CARD",
        "status": "APPROVED",
        "payment_status": "CLEARED",
        "user_id": "u",
        "purchased_at": f"{TODAY - timedelta(days=5)}T12:00:00Z",
        "updated_at": f"{TODAY}T00:00:00Z",
    }
    amounts = money("billing_amount", minor) | money("usd_equivalent_amount", minor)
    put(rig.engine, "expenses", id=key, **(given | amounts | more))


def receipt(rig: Any, expense: str) -> None:
    put(rig.engine, "expense_receipts", expense_id=expense, id="r")


def person(rig: Any, key: str, manager: str | None = None, department: str | None = None) -> None:
    put(
        rig.engine,
        "users",
        id=key,
        first_name=key.title(),
        last_name="Kim",
        email=f"{key}@x.example",
        status="ACTIVE",
        manager_id=manager,
        department_id=department,
    )


def test_what_has_no_receipt_is_listed_with_whom_to_ask(fresh: Any) -> None:
    person(fresh, "u", manager="boss")
    person(fresh, "boss")
    for key in ("with", "without"):
        expense(fresh, key)
    receipt(fresh, "with")
    keep(fresh.engine)
    assert fresh.rows(FOUND) == [("without", "U Kim", "u@x.example", "Boss Kim")]
    assert fresh.rows(
        "SELECT days_missing, amount_minor, department FROM brex_marts.missing_receipts"
    ) == [(5, 100, None)]


def test_refunds_and_what_was_declined_or_voided_need_none(fresh: Any) -> None:
    expense(fresh, "refund", -100, payment_status="REFUNDED")
    expense(fresh, "declined", payment_status="DECLINED")
    expense(fresh, "void", status="VOID")
    keep(fresh.engine)
    assert fresh.rows(FOUND) == []


def test_an_expense_of_nobody_known_is_listed_without_a_name(fresh: Any) -> None:
    expense(fresh, "e", user_id="gone")
    expense(fresh, "n", user_id=None)
    keep(fresh.engine)
    assert [row[0] for row in fresh.rows(FOUND)] == ["e", "n"]
    assert {row[1:] for row in fresh.rows(FOUND)} == {(None, None, None)}


def test_a_deleted_receipt_is_none(fresh: Any) -> None:
    expense(fresh, "e")
    put(
        fresh.engine,
        "expense_receipts",
        expense_id="e",
        id="r",
        _deleted_at=f"{TODAY}T00:00:00Z",
    )
    keep(fresh.engine)
    assert [row[0] for row in fresh.rows(FOUND)] == ["e"]


def test_a_card_transaction_without_an_expense_has_no_receipt(fresh: Any) -> None:
    put(
        fresh.engine,
        "card_transactions",
        id="t",
        type="PURCHASE",
        card_id="c",
        initiated_at_date=TODAY - timedelta(days=3),
        posted_at_date=TODAY,
        **money("amount", 100),
    )
    keep(fresh.engine)
    assert fresh.rows(
        "SELECT line_id, expense_id, days_missing FROM brex_marts.missing_receipts"
    ) == [("transaction:t", None, 3)]
