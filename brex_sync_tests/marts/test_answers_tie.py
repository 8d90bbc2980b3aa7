"""The ties of cash, statements and budgets: they hold for a company, and break where Brex's own
figures contradict each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

from brex_sync.marts.catalogue import load
from brex_sync.marts.ties import check
from brex_sync_tests.marts.conftest import broken, keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
ANSWERS = (
    "approvals", "budget_daily", "budget_performance", "card_utilisation", "cash_daily",
    "close_checklist", "missing_receipts", "payables", "reimbursements",
    "statement_reconciliation",
)  # fmt: skip


def test_they_hold_for_a_company(synced: Any) -> None:
    marts = load().marts
    with synced.engine.connect() as db:
        db.exec_driver_sql("SET LOCAL search_path = pg_catalog, brex_marts, brex")
        found = {name: check(db, "brex", marts[name]) for name in ANSWERS}
    assert {
        name: tied for name, tied in found.items() if any(t.broken for t in tied.values())
    } == {}
    assert all(len(tied) > 1 for tied in found.values())


def test_a_statement_that_the_transactions_do_not_explain_breaks_them(fresh: Any) -> None:
    put(fresh.engine, "cash_accounts", id="a", **money("current_balance", 500))
    put(
        fresh.engine,
        "cash_transactions",
        id="t",
        cash_account_id="a",
        posted_at_date=TODAY - timedelta(days=50),
        **money("amount", 100),
    )
    put(
        fresh.engine,
        "cash_statements",
        id="s",
        cash_account_id="a",
        period_start_date=TODAY - timedelta(days=40),
        period_end_date=TODAY - timedelta(days=10),
        **money("start_balance", 0),
        **money("end_balance", 500),
    )
    assert {mart: set(ties) for mart, ties in broken(keep(fresh.engine)).items()} == {
        "cash_daily": {"days_chain"},
        "statement_reconciliation": {"statements_tie"},
    }


def test_statements_that_do_not_follow_each_other_break_them(fresh: Any) -> None:
    for key, start, balance in (("first", 60, 100), ("second", 30, 200)):
        put(
            fresh.engine,
            "card_statements",
            id=key,
            period_start_date=TODAY - timedelta(days=start),
            period_end_date=TODAY - timedelta(days=start - 30),
            **money("start_balance", balance),
            **money("end_balance", balance),
        )
    assert {mart: set(ties) for mart, ties in broken(keep(fresh.engine)).items()} == {
        "statement_reconciliation": {"statements_follow"}
    }


def test_budgets_in_a_ring_break_them(fresh: Any) -> None:
    for key, parent in (("a", "b"), ("b", "a"), ("top", None), ("in", "top")):
        put(fresh.engine, "budgets", budget_id=key, name=key, parent_budget_id=parent)
    found = broken(keep(fresh.engine))
    assert found.keys() == {"budget_performance"}
    [(name, tied)] = found["budget_performance"].items()
    assert (name, tied.broken) == ("budgets_are_a_tree", 2)
