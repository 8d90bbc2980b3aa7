"""What arrives or changes in a month after its close is listed, as it was and as it is."""

from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state.closes import close, closed, reopen
from brex_sync_tests.engine.items import cash_account, paid, spent

MONTH = date(2026, 2, 1)
CLOSED_ON = date(2026, 3, 5)
LATE = (
    "SELECT id, change, amount_before_minor, amount_now_minor FROM brex.late_changes "
    "ORDER BY source, id"
)
CARDS = "card_transactions"


@pytest.fixture
def books(rig: Any) -> Any:
    """February as it was at its close, read before, and closed."""
    for key, posted in (
        ("kept", "2026-02-03"),
        ("edited", "2026-02-04"),
        ("gone", "2026-02-05"),
        ("out", "2026-02-06"),
        ("in", "2026-03-01"),
        ("march", "2026-03-02"),
    ):
        rig.world.collection(CARDS).add(spent(key, posted))
    rig.sync(CARDS)
    at(rig, "2026-03-01")
    close(rig.warehouse, MONTH, CLOSED_ON)
    return rig


def at(rig: Any, day: str) -> None:
    """Moves all that happened later to that day."""
    with rig.engine.begin() as db:
        for table in ("brex.card_transactions", "brex.cash_transactions"):
            db.execute(
                sa.text(
                    f"UPDATE {table} SET _changed_at = least(_changed_at, :at), "
                    "_deleted_at = CASE WHEN _deleted_at IS NOT NULL THEN "
                    "least(_deleted_at, :at) END, "
                    "_first_seen_at = least(_first_seen_at, :at)"
                ),
                {"at": f"{day}T12:00:00Z"},
            )
            db.execute(
                sa.text(
                    f"UPDATE {table.replace('brex.', 'brex_history.')} SET "
                    "_valid_from = least(_valid_from, :at), _valid_to = "
                    "CASE WHEN _valid_to IS NOT NULL THEN least(_valid_to, :at) END"
                ),
                {"at": f"{day}T12:00:00Z"},
            )
        db.execute(sa.text("UPDATE brex_sync.run_streams SET noted_at = least(noted_at, :at)"),
                   {"at": f"{day}T13:00:00Z"})  # fmt: skip


def change_all(rig: Any) -> None:
    truth = rig.world.collection(CARDS)
    truth.edit("edited", amount={"amount": 250, "currency": "USD"})
    truth.delete("gone")
    truth.edit("out", posted_at_date="2026-03-01")
    truth.edit("in", posted_at_date="2026-02-28")
    truth.edit("march", amount={"amount": 7, "currency": "USD"})
    truth.add(spent("new", "2026-02-20", 40))
    rig.sync_twice(CARDS, full=True)


ALL = [
    ("edited", "changed", 100, 250),
    ("gone", "deleted", 100, None),
    ("in", "moved in", 100, 100),
    ("new", "arrived", None, 40),
    ("out", "moved out", 100, 100),
]


def test_what_changed_after_the_close_is_listed_with_the_amounts_before_and_now(
    books: Any,
) -> None:
    assert books.rows(LATE) == []
    change_all(books)
    assert books.rows(LATE) == ALL
    assert books.rows(
        "SELECT amount_before, amount_now, currency_before, currency_now, dated_before::text, "
        "dated_now::text, month, closed_on, source, parent_id FROM brex.late_changes "
        "WHERE id IN ('edited', 'out') ORDER BY id"
    ) == [
        (1, 2.5, "USD", "USD", "2026-02-04", "2026-02-04", MONTH, CLOSED_ON, CARDS, None),
        (1, 1, "USD", "USD", "2026-02-06", "2026-03-01", MONTH, CLOSED_ON, CARDS, None),
    ]
    assert [(c.month, c.closed_on, c.late) for c in closed(books.warehouse)] == [
        (MONTH, CLOSED_ON, 5)
    ]


def test_a_month_closed_only_afterwards_lists_the_same(books: Any) -> None:
    assert reopen(books.warehouse, MONTH)
    change_all(books)
    assert books.rows(LATE) == []
    close(books.warehouse, MONTH, CLOSED_ON)
    assert books.rows(LATE) == ALL


def test_what_changed_up_to_the_day_of_the_close_is_not_late(books: Any) -> None:
    change_all(books)
    at(books, "2026-03-05")
    assert books.rows(LATE) == []
    close(books.warehouse, MONTH, date(2026, 3, 4))
    assert [r[0] for r in books.rows(LATE)] == [r[0] for r in ALL]


def test_what_is_again_as_it_was_is_not_listed(books: Any) -> None:
    truth = books.world.collection(CARDS)
    item = truth.get("edited")
    truth.edit("edited", amount={"amount": 250, "currency": "USD"})
    truth.add(spent("brief", "2026-02-20"))
    books.sync(CARDS, full=True)
    assert [r[0] for r in books.rows(LATE)] == ["brief", "edited"]
    truth.edit("edited", **item)
    truth.delete("brief")
    books.sync_twice(CARDS, full=True)
    assert books.rows(LATE) == []


def test_a_first_sync_after_the_close_is_not_all_late_but_what_follows_is(rig: Any) -> None:
    rig.world.collection(CARDS).add(spent("old", "2026-02-03"))
    close(rig.warehouse, MONTH, CLOSED_ON)
    rig.sync(CARDS)
    assert rig.rows(LATE) == []
    rig.world.collection(CARDS).add(spent("late", "2026-02-04"))
    rig.sync(CARDS, full=True)
    assert rig.rows(LATE) == [("late", "arrived", None, 100)]


def test_cash_transactions_are_listed_by_account(rig: Any) -> None:
    truth = rig.world.collection("cash_transactions")
    for account in ("one", "two"):
        rig.world.collection("cash_accounts").add(cash_account(account))
        truth.open_list(account)
        truth.add(paid("same", "2026-02-10"), account)
        truth.add(paid("newer", "2026-03-10"), account)
    rig.sync("cash_transactions")
    at(rig, "2026-03-01")
    close(rig.warehouse, MONTH, CLOSED_ON)
    with rig.engine.begin() as db:
        db.execute(sa.text(
            "UPDATE brex.cash_transactions SET amount_minor = 1, _changed_at = now(), "
            "_raw = _raw || '{\"edited\": true}' WHERE cash_account_id = 'two' AND id = 'same'"
        ))  # fmt: skip
    assert rig.rows(
        "SELECT id, parent_id, change, amount_before_minor, amount_now_minor FROM brex.late_changes"
    ) == [("same", "two", "changed", -500, 1)]


def test_of_transactions_only_those_that_change_have_versions(books: Any) -> None:
    kept = "SELECT id, amount_minor, _valid_to IS NULL FROM brex_history.card_transactions"
    assert books.rows(kept) == []
    books.world.collection(CARDS).edit("edited", amount={"amount": 250, "currency": "USD"})
    books.sync(CARDS, full=True)
    assert books.rows(f"{kept} ORDER BY _valid_from") == [
        ("edited", 100, False),
        ("edited", 250, True),
    ]


def test_another_connections_closes_say_nothing_about_this_one(books: Any) -> None:
    assert reopen(books.warehouse, MONTH)
    assert not reopen(books.warehouse, MONTH)
    close(Warehouse(books.engine, "other"), MONTH, CLOSED_ON)
    change_all(books)
    assert books.rows(LATE) == []
