"""What people are paid back: eight states out of Brex's status and payment status."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
STATUSES = ("DRAFT", "SUBMITTED", "APPROVED", "OUT_OF_POLICY", "VOID", "CANCELED", "SETTLED", None)
PAYMENTS = (
    "NOT_STARTED", "PROCESSING", "CANCELED", "DECLINED", "CLEARED", "REFUNDING", "REFUNDED",
    "CASH_ADVANCE", "CREDITED", "AWAITING_PAYMENT", "SCHEDULED", None,
)  # fmt: skip
PAID, RETURNED = {"CLEARED", "CASH_ADVANCE", "CREDITED"}, {"REFUNDING", "REFUNDED"}


def expense(rig: Any, key: str, kind: str = "REIMBURSEMENT", minor: int = 100, **more: Any) -> None:
    put(
        rig.engine,
        "expenses",
        id=key,
        expense_type=kind,
        updated_at="2026-01-02T00:00:00Z",
        **(money("billing_amount", minor) | money("usd_equivalent_amount", minor)),
        **more,
    )
    keep(rig.engine)


def state(status: str | None, payment: str | None, approved: bool) -> str:
    """What a person at Brex would say of a reimbursement."""
    if payment in PAID:
        return "paid"
    if payment in RETURNED:
        return "clawed back"
    if payment in ("DECLINED", "CANCELED") or status in ("VOID", "CANCELED"):
        return "rejected"
    if payment == "PROCESSING":
        return "paying"
    if status in ("DRAFT", "SUBMITTED"):
        return status.lower()
    if status == "OUT_OF_POLICY" and not approved:
        return "submitted"
    if status == "SETTLED":
        return "paid"
    if payment == "SCHEDULED":
        return "paying"
    return "unknown" if status is None else "approved"


def test_every_pair_of_status_and_payment_status_has_one_state(fresh: Any) -> None:
    pairs = list(product(STATUSES, PAYMENTS, (True, False)))
    for number, (status, payment, approved) in enumerate(pairs):
        put(
            fresh.engine,
            "expenses",
            id=str(number),
            expense_type="REIMBURSEMENT",
            status=status,
            payment_status=payment,
            approved_at="2026-01-02T00:00:00Z" if approved else None,
            updated_at="2026-01-02T00:00:00Z",
            **money("billing_amount", 100),
        )
    keep(fresh.engine)
    found = dict(fresh.rows("SELECT expense_id, state FROM brex_marts.reimbursements"))
    assert found == {str(number): state(*pair) for number, pair in enumerate(pairs)}


def test_the_claims_of_a_company_are_all_there_with_their_amounts(synced: Any) -> None:
    expected = {}
    for item in shown_items(synced.world, "expenses"):
        if item["expense_type"] in ("REIMBURSEMENT", "CLAWBACK") and item["status"] != "SPLIT":
            back = item["expense_type"] == "CLAWBACK"
            approved = item["approved_at"] is not None
            now = state(item["status"], item["payment_status"], approved)
            if back and now != "rejected":
                now = "clawed back"
            expected[item["id"]] = (
                item["billing_amount"]["amount"] * (-1 if back else 1),
                now,
                item["submitted_at"] and item["submitted_at"][:10],
                item["completion_date"][:10] if now == "paid" else None,
            )
    rows = synced.rows(
        "SELECT expense_id, amount_minor, state, submitted_on::text, paid_on::text "
        "FROM brex_marts.reimbursements"
    )
    assert {row[0]: row[1:] for row in rows} == expected


def test_a_clawback_is_negative_and_clawed_back(fresh: Any) -> None:
    expense(fresh, "c", "CLAWBACK", 500, status="APPROVED", payment_status="NOT_STARTED")
    assert fresh.rows(
        "SELECT kind, amount_minor, amount::text, amount_usd::text, state "
        "FROM brex_marts.reimbursements"
    ) == [("clawback", -500, "-5.00", "-5.00", "clawed back")]


def test_waiting_ends_with_the_payment_and_else_lasts_until_today(fresh: Any) -> None:
    for key, payment in (("paid", "CLEARED"), ("waits", "NOT_STARTED"), ("off", "DECLINED")):
        expense(
            fresh,
            key,
            status="APPROVED",
            payment_status=payment,
            submitted_at=f"{TODAY - timedelta(days=9)}T12:00:00Z",
            completion_date=f"{TODAY - timedelta(days=2)}T12:00:00Z",
        )
    expense(fresh, "never handed in", status="APPROVED")
    assert fresh.rows(
        "SELECT expense_id, days_waiting, paid_on IS NULL FROM brex_marts.reimbursements ORDER BY 1"
    ) == [
        ("never handed in", None, True),
        ("off", None, True),
        ("paid", 7, False),
        ("waits", 9, True),
    ]


def test_other_expenses_are_no_claims_and_without_any_there_is_no_row(fresh: Any) -> None:
    assert fresh.rows("SELECT * FROM brex_marts.reimbursements") == []
    expense(fresh, "card", "CARD", payment_status="CLEARED")
    assert fresh.rows("SELECT * FROM brex_marts.reimbursements") == []
