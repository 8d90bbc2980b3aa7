"""What was spent of every budget and spend limit, in every one of its periods."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put, put_snapshot

TODAY = datetime.now(UTC).date()
MONTH = TODAY.replace(day=1)
BEFORE = (MONTH - timedelta(days=1)).replace(day=1)
SPENT = (
    "SELECT budget_id, period_start, spent_amount_minor, spent_own_minor "
    "FROM brex_marts.budget_performance ORDER BY 1, 2"
)


def budget(rig: Any, key: str, parent: str | None = None, **more: Any) -> None:
    given = {
        "name": key.title(),
        "period_recurrence_type": "MONTHLY",
        "start_date": MONTH,
        **money("amount", more.pop("minor", 1000), more.pop("currency", "USD")),
    }
    put(rig.engine, "budgets", budget_id=key, parent_budget_id=parent, **(given | more))


def limit(rig: Any, key: str, parent: str | None = None, **more: Any) -> None:
    given = {
        "name": key.title(),
        "period_recurrence_type": "PER_MONTH",
        "start_date": MONTH,
        **money("authorization_settings_base_limit", more.pop("minor", 500), "USD"),
    }
    put(rig.engine, "spend_limits", id=key, parent_budget_id=parent, **(given | more))


def spend(rig: Any, limit: str, minor: int, day: date = MONTH, **more: Any) -> None:
    amounts = money("billing_amount", minor) | money("usd_equivalent_amount", minor)
    given = {
        "expense_type": "CARD",
        "status": "APPROVED",
        "payment_status": "CLEARED",
        "purchased_at": f"{day}T12:00:00Z",
        "updated_at": f"{day}T12:00:00Z",
        "budget_id": limit,
    }
    key = more.pop("key", f"{limit} {minor} {day}")
    put(rig.engine, "expenses", id=key, **(given | amounts | more))


def found(rig: Any, query: str = SPENT) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(query))


def test_a_company_s_spend_limits_are_spent_as_its_expenses_say(synced: Any) -> None:
    spent: dict[tuple[str, date], int] = defaultdict(int)
    lines = synced.rows(
        "SELECT expense_id, spend_date, amount_usd FROM brex_marts.spend WHERE counts"
    )
    limits = {item["id"]: item["budget_id"] for item in shown_items(synced.world, "expenses")}
    for expense, day, usd in lines:
        if limits.get(expense) and usd is not None:
            spent[limits[expense], day] += int(usd * 100)
    parents = {
        item["id"]: item["parent_budget_id"] for item in shown_items(synced.world, "spend_limits")
    }
    rows = synced.rows(
        "SELECT kind, budget_id, period_start, coalesce(period_end, current_date), "
        "spent_amount_minor FROM brex_marts.budget_performance"
    )
    assert {row[0] for row in rows} == {"budget", "spend_limit"}
    for kind, key, start, end, minor in rows:
        of = {key} if kind == "spend_limit" else {s for s, p in parents.items() if p == key}
        assert minor == sum(v for (s, day), v in spent.items() if s in of and start <= day <= end)


def test_a_budget_is_spent_by_everything_nested_in_it(fresh: Any) -> None:
    budget(fresh, "all")
    budget(fresh, "cloud", "all")
    limit(fresh, "aws", "cloud")
    limit(fresh, "gcp", "cloud")
    limit(fresh, "pens", "all")
    for key, minor in (("aws", 100), ("aws", -30), ("gcp", 7), ("pens", 2)):
        spend(fresh, key, minor, payment_status="REFUNDED" if minor < 0 else "CLEARED")
    assert found(fresh) == [
        ("all", MONTH, 79, 0),
        ("aws", MONTH, 70, 70),
        ("cloud", MONTH, 77, 0),
        ("gcp", MONTH, 7, 7),
        ("pens", MONTH, 2, 2),
    ]
    assert found(
        fresh, "SELECT path, depth, parent FROM brex_marts.budget_performance ORDER BY depth, path"
    ) == [
        ("All", 0, None),
        ("All / Cloud", 1, "All"),
        ("All / Pens", 1, "All"),
        ("All / Cloud / Aws", 2, "Cloud"),
        ("All / Cloud / Gcp", 2, "Cloud"),
    ]


def test_budgets_in_a_ring_end_and_count_each_line_once(fresh: Any) -> None:
    budget(fresh, "a", "c")
    budget(fresh, "b", "a")
    budget(fresh, "c", "b")
    budget(fresh, "self", "self")
    limit(fresh, "l", "b")
    spend(fresh, "l", 100)
    assert found(fresh) == [
        ("a", MONTH, 100, 0),
        ("b", MONTH, 100, 0),
        ("c", MONTH, 100, 0),
        ("l", MONTH, 100, 100),
        ("self", MONTH, 0, 0),
    ]


def test_a_parent_that_is_not_known_or_deleted_makes_a_top(fresh: Any) -> None:
    budget(fresh, "gone", _deleted_at=f"{TODAY}T00:00:00Z")
    budget(fresh, "a", "gone")
    limit(fresh, "l", "never seen")
    rows = found(
        fresh, "SELECT path, depth, parent FROM brex_marts.budget_performance ORDER BY budget_id"
    )
    assert rows == [("A", 0, None), ("L", 0, None)]


def test_periods_follow_the_calendar_and_the_first_and_last_are_cut(fresh: Any) -> None:
    def cut(key: str, kind: str, start: str, end: str | None = None) -> None:
        budget(fresh, key, period_recurrence_type=kind, start_date=start, end_date=end)

    cut("month", "MONTHLY", "2025-01-15", "2025-03-10")
    cut("quarter", "QUARTERLY", "2025-02-15", "2025-07-01")
    cut("year", "YEARLY", "2023-06-01", "2024-12-31")
    cut("week", "WEEKLY", "2025-01-01", "2025-01-14")
    cut("once", "ONE_TIME", "2025-01-15", "2025-03-10")
    cut("odd", "EVERY_BLUE_MOON", "2025-01-15")
    cut("future", "MONTHLY", str(TODAY + timedelta(days=40)))
    rows = found(
        fresh,
        "SELECT budget_id, period_type, period_start::text, period_end::text, is_current "
        "FROM brex_marts.budget_performance ORDER BY 1, 3",
    )
    assert rows == [
        ("month", "monthly", "2025-01-15", "2025-01-31", False),
        ("month", "monthly", "2025-02-01", "2025-02-28", False),
        ("month", "monthly", "2025-03-01", "2025-03-10", False),
        ("odd", "every blue moon", "2025-01-15", None, True),
        ("once", "one time", "2025-01-15", "2025-03-10", False),
        ("quarter", "quarterly", "2025-02-15", "2025-03-31", False),
        ("quarter", "quarterly", "2025-04-01", "2025-06-30", False),
        ("quarter", "quarterly", "2025-07-01", "2025-07-01", False),
        ("week", "weekly", "2025-01-01", "2025-01-05", False),
        ("week", "weekly", "2025-01-06", "2025-01-12", False),
        ("week", "weekly", "2025-01-13", "2025-01-14", False),
        ("year", "yearly", "2023-06-01", "2023-12-31", False),
        ("year", "yearly", "2024-01-01", "2024-12-31", False),
    ]


def test_periods_lead_without_a_gap_from_the_start_to_today(fresh: Any) -> None:
    for kind in ("WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY"):
        budget(fresh, kind, period_recurrence_type=kind, start_date="2024-02-29")
    rows = found(
        fresh,
        "SELECT budget_id, period_start, period_end, is_current "
        "FROM brex_marts.budget_performance ORDER BY 1, 2",
    )
    for kind in ("WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY"):
        mine = [row[1:] for row in rows if row[0] == kind]
        assert mine[0][0] == date(2024, 2, 29)
        assert [row[2] for row in mine] == [False] * (len(mine) - 1) + [True]
        assert mine[-1][0] <= TODAY <= mine[-1][1]
        for one, following in pairwise(mine):
            assert following[0] == one[1] + timedelta(days=1)


def test_periods_follow_the_current_one_that_brex_gives(fresh: Any) -> None:
    start = MONTH + timedelta(days=4) if TODAY.day > 4 else BEFORE + timedelta(days=4)
    limit(fresh, "l", start_date=BEFORE, current_period_balance_start_date=start)
    rows = found(
        fresh,
        "SELECT period_start, is_current FROM brex_marts.budget_performance ORDER BY 1",
    )
    assert rows[0] == (BEFORE, False)
    assert rows[-1] == (start, True)


@pytest.mark.parametrize("spends", [True, False])
def test_without_a_start_it_begins_with_the_first_spending(fresh: Any, spends: bool) -> None:
    limit(fresh, "l", start_date=None, period_recurrence_type="ONE_TIME")
    if spends:
        spend(fresh, "l", 100, date(2025, 5, 6))
    seen = date(2026, 1, 1)
    start = date(2025, 5, 6) if spends else seen
    assert found(fresh, "SELECT period_start FROM brex_marts.budget_performance") == [(start,)]


def test_what_was_spent_before_or_after_is_of_no_period(fresh: Any) -> None:
    limit(fresh, "l", start_date="2025-01-10", end_date="2025-02-10")
    for day, minor in ((9, 1), (10, 20), (31, 300)):
        spend(fresh, "l", minor, date(2025, 1, day))
    for day, minor in ((10, 4000), (11, 50_000)):
        spend(fresh, "l", minor, date(2025, 2, day))
    rows = found(fresh)
    assert [row[2] for row in rows] == [320, 4000]


def test_a_past_period_has_the_limit_that_it_had(fresh: Any) -> None:
    budget(fresh, "b", minor=900, start_date="2025-01-01", end_date="2025-04-30")
    for day, minor in (("2025-02-10", 500), ("2025-02-20", 600), ("2025-04-02", 700)):
        put_snapshot(
            fresh.engine, "budgets_daily", budget_id="b", day=day, **money("amount", minor)
        )
    rows = found(
        fresh, "SELECT limit_amount_minor FROM brex_marts.budget_performance ORDER BY period_start"
    )
    assert [row[0] for row in rows] == [500, 600, 600, 700]


def test_the_current_period_has_the_limit_of_now_and_what_brex_says_is_spent(fresh: Any) -> None:
    limit(
        fresh,
        "l",
        minor=500,
        **money("authorization_settings_limit_with_increases", 800, None),
        **money("current_period_balance_amount_spent", 333, None),
    )
    spend(fresh, "l", 300)
    assert found(
        fresh,
        "SELECT limit_amount_minor, limit_amount_currency, spent_amount_minor, "
        "brex_spent_amount_minor, brex_spent_amount_currency, remaining_amount_minor, "
        "used_fraction::text FROM brex_marts.budget_performance",
    ) == [(800, "USD", 300, 333, "USD", 500, "0.3750")]


def test_without_a_limit_nothing_remains_and_nothing_is_used_up(fresh: Any) -> None:
    budget(fresh, "b", minor=None, currency=None)
    budget(fresh, "zero", minor=0)
    assert found(
        fresh,
        "SELECT budget_id, limit_amount_minor, spent_amount_minor, remaining_amount_minor, "
        "used_fraction FROM brex_marts.budget_performance ORDER BY 1",
    ) == [("b", None, 0, None, None), ("zero", 0, 0, 0, None)]


def test_spending_counts_in_the_currency_of_the_budget(fresh: Any) -> None:
    budget(fresh, "euros", currency="EUR")
    limit(fresh, "dollars", "euros")
    spend(fresh, "dollars", 100, key="in dollars", **money("budget_amount", 90, "EUR"))
    spend(fresh, "dollars", 70, key="in euros", **money("billing_amount", 50, "EUR"))
    spend(fresh, "dollars", 5, key="in dollars alone")
    assert found(
        fresh,
        "SELECT budget_id, spent_amount_minor, spent_amount_currency, lines, lines_without_amount "
        "FROM brex_marts.budget_performance ORDER BY 1",
    ) == [("dollars", 175, "USD", 3, 0), ("euros", 140, "EUR", 3, 1)]


def test_where_no_line_has_an_amount_nobody_knows_what_was_spent(fresh: Any) -> None:
    limit(fresh, "l")
    spend(fresh, "l", 5, **money("billing_amount", 50, "EUR"),
          **money("usd_equivalent_amount", None, None))  # fmt: skip
    assert found(
        fresh,
        "SELECT spent_amount, remaining_amount, used_fraction, lines, lines_without_amount "
        "FROM brex_marts.budget_performance",
    ) == [(None, None, None, 1, 1)]


def test_what_does_not_count_is_not_spent(fresh: Any) -> None:
    limit(fresh, "l")
    spend(fresh, "l", 1, status="VOID", payment_status="NOT_STARTED")
    spend(fresh, "l", 20, payment_status="DECLINED")
    spend(fresh, "l", 300, status="DRAFT", payment_status="NOT_STARTED")
    spend(fresh, "l", 4000)
    assert [row[2] for row in found(fresh)] == [4000]


def test_without_budgets_there_is_no_row(fresh: Any) -> None:
    spend(fresh, "no limit", 100)
    assert found(fresh) == []
