"""The company that people meet first has something to show in every panel of the page."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from brex_sync.sandbox import create_world
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.conftest import broken, keep

TODAY = "(now() AT TIME ZONE 'UTC')::date"
SHOWN = {
    "overdue bills": "payables WHERE kind = 'bill' AND is_open AND days_overdue > 0",
    "bills due in a week": "payables WHERE kind = 'bill' AND is_open AND due_date - {today} "
    "BETWEEN 0 AND 7",
    "paid bills": "payables WHERE kind = 'bill' AND is_paid AND due_date IS NOT NULL",
    "scheduled transfers": "payables WHERE status = 'SCHEDULED' AND process_date > {today}",
    "transfers before approval": "payables WHERE status = 'PENDING_APPROVAL'",
    "subscriptions that are new": "merchants WHERE is_subscription AND cadence = 'weekly' "
    "AND first_seen >= {today} - 31",
    "monthly subscriptions": "merchants WHERE is_subscription AND cadence = 'monthly'",
    "yearly subscriptions": "merchants WHERE is_subscription AND cadence = 'yearly'",
    "price changes": "merchants WHERE price_change > 0 AND price_changed_on > {today} - 180",
    "new reimbursements": "reimbursements WHERE kind = 'reimbursement' "
    "AND spend_date > {today} - 28",
    "unpaid reimbursements": "reimbursements WHERE state IN ('approved', 'paying')",
    "submitted reimbursements": "reimbursements WHERE state = 'submitted'",
    "new clawbacks": "reimbursements WHERE kind = 'clawback' AND spend_date > {today} - 92",
    "pending card payments": "spend WHERE kind = 'card' AND stage = 'pending' "
    "AND spend_date >= {today} - 2",
    "cards near their limit": "card_utilisation WHERE used_fraction BETWEEN 0.8 AND 1 "
    "AND status = 'ACTIVE'",
    "full cards": "card_utilisation WHERE used_fraction = 1",
    "budgets": "budget_performance WHERE is_current",
    "approvals": "approvals WHERE is_next",
    "missing receipts": "missing_receipts",
    "cash of today": "cash_daily WHERE day = {today} AND is_certain",
    "statements": "statement_reconciliation WHERE ties",
    "items of the close": "close_checklist WHERE month >= {today} - 30 AND open > 0",
    "spend of this week": "spend WHERE counts AND spend_date > {today} - 7",
}
"""What the page shows, as rows of marts."""


@pytest.fixture(scope="module")
def lively(server: Any) -> Iterator[Rig]:
    """A small lively company, synced once, with its marts."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE lively TEMPLATE prepared STRATEGY file_copy")
        engine = open_engine(str(server.url("lively")))
        rig = Rig(engine, create_world(card_transactions=600, lively=True))
        assert rig.sync().finished
        yield rig
        engine.dispose()
        db.execute("DROP DATABASE lively WITH (FORCE)")


def test_all_ties_hold_and_every_panel_has_rows(lively: Rig) -> None:
    assert broken(keep(lively.engine)) == {}
    counts = {
        name: lively.rows(f"SELECT count(*) FROM brex_marts.{rows.format(today=TODAY)}")[0][0]
        for name, rows in SHOWN.items()
    }
    assert [name for name, count in counts.items() if not count] == []
    currencies = lively.rows(
        "SELECT amount_currency FROM brex_marts.spend WHERE counts "
        f"AND spend_date > {TODAY} - 31 GROUP BY 1"
    )
    assert len(currencies) >= 2


def test_vendors_of_bills_are_called_as_among_the_vendors(lively: Rig) -> None:
    other = lively.rows(
        "SELECT r.vendor_id, r.vendor_name, v.company_name FROM brex.accounting_records r "
        "JOIN brex.vendors v ON v.id = r.vendor_id WHERE r.vendor_name <> v.company_name"
    )
    assert other == []
