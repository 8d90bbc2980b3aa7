"""What every cash account held, day by day, from balances, statements and transactions."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
DAYS = (
    "SELECT day, opening_minor, movements_minor, closing_minor, balance_source, is_certain "
    "FROM brex_marts.cash_daily WHERE cash_account_id = :account ORDER BY day"
)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def account(rig: Any, key: str, balance: int | None, currency: str | None = "USD") -> None:
    put(rig.engine, "cash_accounts", id=key, **money("current_balance", balance, currency))


def paid(
    rig: Any, key: str, day: date, minor: int | None, currency: str | None = "USD", **more: Any
) -> None:
    put(
        rig.engine,
        "cash_transactions",
        id=key,
        cash_account_id=more.pop("account", "a"),
        posted_at_date=day,
        **money("amount", minor, currency),
        **more,
    )


def statement(rig: Any, start: date, end: date, before: int | None, after: int | None) -> None:
    put(
        rig.engine,
        "cash_statements",
        id=f"s{start}",
        cash_account_id="a",
        period_start_date=start,
        period_end_date=end,
        **money("start_balance", before),
        **money("end_balance", after),
    )


def days(rig: Any, account: str = "a") -> list[tuple[Any, ...]]:
    return list(rig.rows(DAYS, account=account))


def test_every_day_of_a_company_is_its_balance_less_what_came_after(synced: Any) -> None:
    for held in shown_items(synced.world, "cash_accounts"):
        moved: dict[date, int] = {}
        for item in shown_items(synced.world, "cash_transactions", held["id"]):
            day = date.fromisoformat(item["posted_at_date"])
            moved[day] = moved.get(day, 0) + (item["amount"] or {"amount": 0})["amount"]
        closing, expected = held["current_balance"]["amount"], []
        for back in range((synced.world.today - min(moved)).days + 1):
            day = synced.world.today - timedelta(days=back)
            opening = closing - moved.get(day, 0)
            expected.append((day, opening, moved.get(day, 0), closing))
            closing = opening
        found = [row[:4] for row in days(synced, held["id"]) if row[0] >= min(moved)]
        assert found == expected[::-1]


def test_what_came_in_and_went_out_is_apart(fresh: Any) -> None:
    account(fresh, "a", 1000)
    for key, minor in (("in", 700), ("out", -200), ("more", 50)):
        paid(fresh, key, ago(1), minor)
    [row] = fresh.rows(
        "SELECT inflow_minor, outflow_minor, inflow, outflow, movements, transactions "
        "FROM brex_marts.cash_daily WHERE day = :day",
        day=ago(1),
    )
    assert [str(value) for value in row] == ["750", "200", "7.50", "2.00", "5.50", "3"]


def test_an_account_without_transactions_or_statements_has_today(fresh: Any) -> None:
    account(fresh, "a", 1000)
    assert days(fresh) == [(TODAY, 1000, 0, 1000, "today", True)]


def test_an_account_without_balance_has_none_and_is_not_certain(fresh: Any) -> None:
    account(fresh, "a", None, None)
    paid(fresh, "t", ago(1), 100)
    assert days(fresh) == [
        (ago(1), None, 100, None, None, False),
        (TODAY, None, 0, None, None, False),
    ]


def test_without_a_balance_the_last_statement_is_walked_forward(fresh: Any) -> None:
    account(fresh, "a", None, "USD")
    statement(fresh, ago(3), ago(1), 0, 500)
    paid(fresh, "in", ago(2), 500)
    paid(fresh, "later", ago(1), 70)
    assert [row[3:] for row in days(fresh)] == [
        (0, "walked back", True),
        (500, "statement", True),
        (570, "walked forward", True),
        (570, "walked forward", True),
    ]


def test_a_statement_that_does_not_tie_spoils_its_own_days_alone(fresh: Any) -> None:
    account(fresh, "a", 900)
    statement(fresh, ago(6), ago(4), 0, 100)
    statement(fresh, ago(4), ago(2), 100, 600)
    paid(fresh, "first", ago(5), 100)
    paid(fresh, "less than the statement says", ago(3), 450)
    paid(fresh, "last", ago(1), 300)
    assert [row[1:] for row in days(fresh)] == [
        (0, 0, 0, "walked back", True),
        (0, 100, 100, "statement", True),
        (150, 0, 150, "walked back", False),
        (150, 450, 600, "statement", False),
        (600, 0, 600, "walked back", True),
        (600, 300, 900, "walked back", True),
        (900, 0, 900, "today", True),
    ]


def test_statements_that_contradict_each_other_leave_no_certain_day_between(fresh: Any) -> None:
    account(fresh, "a", 200)
    statement(fresh, ago(4), ago(2), 0, 100)
    statement(fresh, ago(2), ago(1), 200, 200)
    paid(fresh, "t", ago(3), 100)
    certain = [row[5] for row in days(fresh)]
    assert certain == [False, False, False, True, True]


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_transaction_without_amount_makes_days_uncertain(fresh: Any, confirmed: bool) -> None:
    account(fresh, "a", 100)
    if confirmed:
        statement(fresh, ago(4), ago(1), 0, 100)
    paid(fresh, "in", ago(3), 100)
    paid(fresh, "adjustment", ago(2), None, None)
    found = {row[0]: row[5] for row in days(fresh)}
    assert found[ago(2)] is False
    assert found[ago(3)] is confirmed


def test_accounts_in_two_currencies_are_apart_and_no_sum_is_over_both(fresh: Any) -> None:
    account(fresh, "a", 1000, None)
    account(fresh, "b", 500, "EUR")
    paid(fresh, "dollars", ago(1), 10, None)
    paid(fresh, "stray", ago(1), 7, "EUR")
    paid(fresh, "euros", ago(1), 20, "EUR", account="b")
    assert fresh.rows(
        "SELECT cash_account_id, amount_currency, movements_minor, transactions, "
        "transactions_without_amount, is_certain FROM brex_marts.cash_daily WHERE day = :day "
        "ORDER BY 1",
        day=ago(1),
    ) == [("a", "USD", 10, 2, 1, False), ("b", "EUR", 20, 1, 0, True)]


def test_what_brex_lists_no_more_does_not_count(fresh: Any) -> None:
    account(fresh, "a", 100)
    paid(fresh, "gone", ago(1), 70, _deleted_at=f"{TODAY}T00:00:00Z")
    put(fresh.engine, "cash_accounts", id="closed", _deleted_at=f"{TODAY}T00:00:00Z")
    assert days(fresh) == [(TODAY, 100, 0, 100, "today", True)]
    assert days(fresh, "closed") == []
