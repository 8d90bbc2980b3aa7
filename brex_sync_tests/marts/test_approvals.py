"""Who is to decide on which expense."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
KIM = {"id": "kim", "first_name": "Kim", "last_name": "Chen"}
LEE = {"id": "lee", "first_name": "Lee", "last_name": None}
FOUND = (
    "SELECT expense_id, step, is_next, reviewer_id, reviewer, reviewers, days_pending "
    "FROM brex_marts.approvals ORDER BY 1, 2, 4"
)


def expense(rig: Any, key: str = "e", **more: Any) -> None:
    given = {
        "expense_type": "CARD",
        "status": "SUBMITTED",
        "payment_status": "CLEARED",
        "submitted_at": f"{TODAY - timedelta(days=9)}T12:00:00Z",
        "updated_at": f"{TODAY}T00:00:00Z",
    }
    put(rig.engine, "expenses", id=key, **money("billing_amount", 100), **(given | more))


def step(rig: Any, position: int, status: str | None, reviewers: Any, **more: Any) -> None:
    put(
        rig.engine,
        "expense_approval_steps",
        expense_id=more.pop("expense", "e"),
        position=position,
        status=status,
        pending_reviewers=reviewers,
        **more,
    )


def found(rig: Any) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(FOUND))


def test_a_company_s_pending_reviewers_are_those_that_brex_names(synced: Any) -> None:
    expected = set()
    for item in shown_items(synced.world, "expenses"):
        off = (
            item["status"] in ("SPLIT", "VOID", "CANCELED") or item["payment_status"] == "DECLINED"
        )
        steps = [] if off or not item["review"] else item["review"]["approval_steps"]
        for position, one in enumerate(steps):
            for user in one["pending_reviewers"] or ():
                expected.add((item["id"], position, user["id"], item["submitted_at"][:19]))
    rows = synced.rows(
        "SELECT expense_id, step, reviewer_id, "
        "to_char(pending_since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') "
        "FROM brex_marts.approvals"
    )
    assert set(rows) == expected
    assert len(rows) == len(expected) > 0


def test_each_of_several_reviewers_is_asked_once(fresh: Any) -> None:
    expense(fresh)
    step(fresh, 0, "PENDING", [KIM, LEE, KIM])
    assert found(fresh) == [
        ("e", 0, True, "kim", "Kim Chen", 2, 9),
        ("e", 0, True, "lee", "Lee", 2, 9),
    ]


def test_a_step_is_pending_since_the_one_before_was_decided_and_later_ones_wait(fresh: Any) -> None:
    expense(fresh)
    decided = f"{TODAY - timedelta(days=4)}T12:00:00Z"
    step(fresh, 0, "APPROVED", None, resolved_at=decided, reviewer_id="kim")
    step(fresh, 1, "PENDING", [LEE])
    step(fresh, 2, "PENDING", [KIM])
    assert found(fresh) == [
        ("e", 1, True, "lee", "Lee", 1, 4),
        ("e", 2, False, "kim", "Kim Chen", 1, None),
    ]


@pytest.mark.parametrize("reviewers", [None, []])
def test_a_pending_step_of_nobody_is_listed(fresh: Any, reviewers: Any) -> None:
    expense(fresh)
    step(fresh, 0, "PENDING", reviewers)
    assert found(fresh) == [("e", 0, True, "", None, 0, 9)]


def test_a_status_that_is_new_at_brex_is_pending_while_reviewers_are(fresh: Any) -> None:
    expense(fresh)
    step(fresh, 0, "ESCALATED", [LEE])
    assert [row[3] for row in found(fresh)] == ["lee"]


def test_nobody_decides_on_what_was_voided_declined_or_deleted(fresh: Any) -> None:
    expense(fresh, "void", status="VOID")
    expense(fresh, "unpaid", status="VOID", payment_status="NOT_STARTED")
    expense(fresh, "declined", payment_status="DECLINED")
    expense(fresh, "gone", _deleted_at=f"{TODAY}T00:00:00Z")
    for key in ("void", "unpaid", "declined", "gone"):
        step(fresh, 0, "PENDING", [KIM], expense=key)
    assert found(fresh) == []


def test_a_reviewer_s_name_is_the_one_of_today(fresh: Any) -> None:
    put(fresh.engine, "users", id="kim", first_name="Kim", last_name="Park", status="ACTIVE")
    expense(fresh)
    step(fresh, 0, "PENDING", [KIM])
    assert [row[4] for row in found(fresh)] == ["Kim Park"]
