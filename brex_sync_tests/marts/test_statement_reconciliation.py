"""Whether the transactions of a statement's period explain its balances."""

from datetime import date
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

START, END = date(2026, 2, 1), date(2026, 3, 1)
FOUND = (
    "SELECT statement_id, amount_currency, transactions_amount_minor, difference_minor, ties "
    "FROM brex_marts.statement_reconciliation ORDER BY 1"
)


def statement(
    rig: Any, key: str, before: int | None, after: int | None, *currencies: str | None
) -> None:
    first, last = currencies or ("USD", "USD")
    put(
        rig.engine,
        "card_statements",
        id=key,
        period_start_date=START,
        period_end_date=END,
        **money("start_balance", before, first),
        **money("end_balance", after, last),
    )


def spent(rig: Any, key: str, day: str, minor: int | None, currency: str | None = "USD") -> None:
    put(
        rig.engine,
        "card_transactions",
        id=key,
        posted_at_date=day,
        **money("amount", minor, currency),
    )


def found(rig: Any) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(FOUND))


def test_all_statements_of_a_company_tie_and_say_what_moved(synced: Any) -> None:
    expected = {}
    card = shown_items(synced.world, "card_transactions")
    for one in shown_items(synced.world, "card_statements"):
        expected["card", "primary", one["id"]] = moved(one, card)
    for held in shown_items(synced.world, "cash_accounts"):
        cash = shown_items(synced.world, "cash_transactions", held["id"])
        for one in shown_items(synced.world, "cash_statements", held["id"]):
            expected["cash", held["id"], one["id"]] = moved(one, cash)
    rows = synced.rows(
        "SELECT account_kind, account_id, statement_id, transactions_amount_minor, transactions, "
        "ties FROM brex_marts.statement_reconciliation"
    )
    assert {row[:3]: row[3:] for row in rows} == {
        key: (sum(minors), len(minors), True) for key, minors in expected.items()
    }


def moved(statement: Any, transactions: list[Any]) -> list[int]:
    """The dollar amounts of the period, what has none as 0."""
    period = statement["period"]
    return [
        (item["amount"] or {"amount": 0})["amount"]
        for item in transactions
        if period["start_date"] <= item["posted_at_date"] < period["end_date"]
        and ((item["amount"] or {}).get("currency") or "USD") == "USD"
    ]


def test_the_period_is_half_open_and_null_means_dollars(fresh: Any) -> None:
    for key, day, minor, currency in (
        ("before", "2026-01-31", 1, "USD"),
        ("first", "2026-02-01", 20, "USD"),
        ("nameless", "2026-02-15", 300, None),
        ("last", "2026-02-28", 4000, "USD"),
        ("after", "2026-03-01", 50_000, "USD"),
        ("yen", "2026-02-14", 600_000, "JPY"),
    ):
        spent(fresh, key, day, minor, currency)
    statement(fresh, "s", 1000, 5320, None, "USD")
    assert found(fresh) == [("s", "USD", 4320, 0, True)]


def test_a_difference_is_the_end_less_the_start_and_what_moved(fresh: Any) -> None:
    spent(fresh, "t", "2026-02-03", 250)
    spent(fresh, "unknown", "2026-02-03", None, None)
    statement(fresh, "s", 1000, 1200)
    assert found(fresh) == [("s", "USD", 250, -50, False)]
    assert fresh.rows(
        "SELECT transactions, transactions_without_amount FROM brex_marts.statement_reconciliation"
    ) == [(2, 1)]


def test_without_a_balance_or_with_two_currencies_nobody_knows(fresh: Any) -> None:
    statement(fresh, "no start", None, 100, None, "EUR")
    statement(fresh, "two", 100, 100, "USD", "EUR")
    assert found(fresh) == [
        ("no start", "EUR", 0, None, None),
        ("two", "USD", 0, None, None),
    ]


def test_a_month_without_transactions_ties_if_nothing_changed(fresh: Any) -> None:
    statement(fresh, "s", 700, 700)
    assert found(fresh) == [("s", "USD", 0, 0, True)]
