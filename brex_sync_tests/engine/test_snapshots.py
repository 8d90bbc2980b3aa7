"""Balances are kept day by day: the last state seen each UTC day, and nothing written twice."""

from datetime import timedelta
from typing import Any

import pytest

from brex_sync.streams.columns import text
from brex_sync.streams.declare import Stream
from brex_sync_tests.engine.items import cash_account

DAILY = (
    "SELECT id, day, current_balance_minor FROM brex_history.cash_accounts_daily ORDER BY day, id"
)
VERSIONS = "SELECT ctid::text, xmin::text FROM brex_history.cash_accounts_daily ORDER BY 1"


def set_balance(rig: Any, amount: int) -> None:
    balance = {"amount": amount, "currency": "USD"}
    rig.world.collection("cash_accounts").edit("acc", current_balance=balance)


@pytest.fixture
def account(rig: Any) -> Any:
    rig.world.collection("cash_accounts").add(cash_account("acc"))
    return rig


def test_a_day_keeps_the_last_state_seen_and_earlier_days_stay(account: Any) -> None:
    today = account.now().date()
    for balance, days in ((100, 0), (200, 0), (300, 1), (300, 2)):
        set_balance(account, balance)
        account.later = timedelta(days=days)
        account.sync("cash_accounts")
    assert account.rows(DAILY) == [
        ("acc", today, 200),
        ("acc", today + timedelta(1), 300),
        ("acc", today + timedelta(2), 300),
    ]


def test_what_is_unchanged_that_day_is_not_written_again(account: Any) -> None:
    account.sync("cash_accounts")
    before = account.rows(VERSIONS)
    account.sync("cash_accounts")
    assert account.rows(VERSIONS) == before


def test_the_balances_of_all_accounts_are_kept_exactly(company: Any) -> None:
    company.sync("card_accounts", "cash_accounts")
    for table, columns in (
        ("card_accounts", "current_balance, available_balance, account_limit"),
        ("cash_accounts", "current_balance, available_balance"),
    ):
        exact = ", ".join(f"{c}, {c}_minor, {c}_currency" for c in columns.split(", "))
        kept = company.rows(f"SELECT id, {exact} FROM brex_history.{table}_daily ORDER BY id")
        assert kept == company.rows(f"SELECT id, {exact} FROM brex.{table} ORDER BY id")
        assert kept


def test_an_account_that_is_not_listed_has_no_row_that_day(account: Any) -> None:
    account.world.collection("cash_accounts").add(cash_account("other"))
    account.sync("cash_accounts")
    account.world.collection("cash_accounts").delete("other")
    account.later = timedelta(days=1)
    account.sync("cash_accounts")
    account.later = timedelta(days=2)
    account.sync("cash_accounts")
    days = "SELECT count(*) FROM brex_history.cash_accounts_daily WHERE id = :id"
    assert account.one(days, id="other") == 1
    assert account.one(days, id="acc") == 3


def test_a_snapshot_of_columns_that_are_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no columns to keep: \['balance'\]"):
        Stream(
            name="purses",
            group="team",
            description="Purses.",
            path="/v2/purses",
            scope="purses.readonly",
            columns=(text("id", "Id."),),
            snapshot=("balance",),
        )
