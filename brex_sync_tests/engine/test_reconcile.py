"""A reconciliation compares every row with Brex, mends what differs, and says what that was."""

from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.engine.items import cash_account, day, paid, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

FOUND = "SELECT kind, slice, key, columns FROM brex_sync.differences ORDER BY kind, slice, key"
CONCLUDED = "SELECT stream, missing, stale, gone FROM brex_sync.reconciliations ORDER BY stream"


def test_nothing_differed_is_the_expected_answer_and_recorded(company: Any) -> None:
    company.sync()
    report = company.sync(compare=True)
    assert report.finished
    assert {str(s.differed) for s in report.streams.values()} == {"nothing differed"}
    assert company.rows(CONCLUDED) == [(name, 0, 0, 0) for name in sorted(report.streams)]
    assert company.rows("SELECT count(since), count(DISTINCT run_id) "
                        "FROM brex_sync.reconciliations") == [(0, 1)]  # fmt: skip


def test_what_syncs_cannot_see_is_found_named_and_mended(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions", pages=7)
    truth = rig.world.collection("card_transactions")
    truth.add(spent("back", day(rig.world, 300)))
    truth.edit("t0030", description="edited", amount={"amount": 7, "currency": "JPY"})
    truth.edit("t0031", novelty=True)
    truth.delete("t0032")
    rig.sync("card_transactions", pages=7)
    assert "back" not in rig.live()
    report = rig.sync("card_transactions", pages=7, compare=True).streams["card_transactions"]
    assert rig.rows(FOUND) == [
        ("missing", "", "back", None),
        (
            "stale",
            "",
            "t0030",
            ["description", "amount", "amount_minor", "amount_currency"],
        ),
        ("stale", "", "t0031", ["_raw"]),
    ]
    assert (report.differed.missing, report.differed.stale, report.differed.withheld) == (1, 2, 1)
    assert "stale: t0031 (_raw)" in report.differed.told()
    rig.later = timedelta(hours=1)
    rig.sync("card_transactions", pages=7)
    assert_equal(rig, "card_transactions", undeclared={"novelty"})
    again = rig.sync("card_transactions", pages=7, compare=True).streams["card_transactions"]
    assert str(again.differed) == "nothing differed"


def test_what_is_merely_new_since_the_last_sync_does_not_differ(rig: Any) -> None:
    spend(rig, 20)
    rig.world.collection("users").add(person("u1"))
    rig.sync("card_transactions", "users")
    rig.world.collection("card_transactions").add(spent("new", day(rig.world, 0)))
    rig.world.collection("card_transactions").edit("t0003", description="edited")
    rig.world.collection("users").edit("u1", status="DISABLED")
    rig.later = timedelta(days=40)
    rig.sync("card_transactions", "users", compare=True)
    assert rig.rows(FOUND) == []
    assert_equal(rig, "card_transactions", "users")


def test_rows_changed_behind_our_back_are_stale_whatever_the_stream(rig: Any) -> None:
    rig.world.collection("users").add(person("u1"))
    rig.sync("users")
    change = "UPDATE brex.users SET email = 'x', _raw = _raw || jsonb_build_object('email', 'x')"

    class Meddler:
        """Changes the warehouse once the list is up to date."""

        lists = 0

        def __call__(self, app: Any) -> Any:
            async def inner(scope: Any, receive: Any, send: Any) -> None:
                begins = b"status" not in scope["query_string"]
                self.lists += begins
                if begins and self.lists == 2:
                    with rig.engine.begin() as db:
                        db.execute(sa.text(change))
                await app(scope, receive, send)

            return inner

    rig.wrap = Meddler()
    rig.sync("users", compare=True)
    assert rig.rows(FOUND) == [("stale", "", "u1", ["email"])]
    assert_equal(rig, "users")


def test_only_rows_from_a_date_on_are_compared_if_one_is_given(rig: Any) -> None:
    spend(rig, 60)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.edit("t0030", description="edited")
    truth.edit("t0050", description="edited")
    since = date.fromisoformat(day(rig.world, 40))
    rig.sync("card_transactions", compare=True, since=since)
    assert [r[2] for r in rig.rows(FOUND)] == ["t0030"]
    assert rig.one("SELECT since FROM brex_sync.reconciliations") == since
    rig.sync("card_transactions", compare=True)
    assert [r[2] for r in rig.rows(FOUND)] == ["t0030", "t0050"]


@pytest.mark.parametrize(("days", "scope"), [(89, "overlap"), (90, "wide"), (None, "full")])
def test_a_reconciliation_counts_as_the_wide_or_full_reading_it_was(
    rig: Any, days: int | None, scope: str
) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    rig.later = timedelta(days=6)
    since = rig.now().date() - timedelta(days=days) if days else None
    rig.sync("card_transactions", compare=True, since=since)
    assert rig.one("SELECT window_scope FROM brex_sync.checkpoints") == scope
    rig.later = timedelta(days=8)
    rig.sync("card_transactions")
    again = "wide" if scope == "overlap" else "overlap"
    assert rig.one("SELECT window_scope FROM brex_sync.checkpoints") == again


def test_equal_ids_in_two_accounts_differ_one_by_one(rig: Any) -> None:
    truth = rig.world.collection("cash_transactions")
    for account in ("one", "two"):
        rig.world.collection("cash_accounts").add(cash_account(account))
        truth.open_list(account)
        truth.add(paid("same", day(rig.world, 100)), account)
        truth.add(paid("newer", day(rig.world, 0)), account)
    rig.sync("cash_transactions")
    with rig.engine.begin() as db:
        db.execute(sa.text("DELETE FROM brex.cash_transactions WHERE cash_account_id = 'two' "
                           "AND id = 'same'"))  # fmt: skip
    report = rig.sync("cash_transactions", compare=True)
    assert rig.rows(FOUND) == [("missing", "two", "same", None)]
    assert "missing: two same" in report.streams["cash_transactions"].differed.told()


def test_an_interrupted_reconciliation_is_not_recorded_and_begins_anew(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions", pages=5)
    for key in ("t0020", "t0039"):
        rig.world.collection("card_transactions").edit(key, description="edited")
    rig.faults.add(Fault(FaultKind.STATUS, times=None, after=10, status=500))
    assert not rig.sync("card_transactions", pages=5, compare=True).finished
    assert rig.rows(CONCLUDED) == []
    rig.faults.clear()
    report = rig.sync("card_transactions", pages=5, compare=True)
    assert report.finished
    assert {r[2] for r in rig.rows(FOUND)} == {"t0020", "t0039"}
    assert_equal(rig, "card_transactions")


def test_rows_that_came_back_count_as_missing_and_too_many_gone_are_only_doubted(
    rig: Any,
) -> None:
    keys = spend(rig, 60)
    rig.sync("card_transactions")
    with rig.engine.begin() as db:
        db.execute(sa.text("UPDATE brex.card_transactions SET _deleted_at = now() "
                           "WHERE id = 't0020'"))  # fmt: skip
    for key in keys[30:]:
        rig.world.collection("card_transactions").delete(key)
    report = rig.sync("card_transactions", compare=True).streams["card_transactions"]
    assert rig.rows(FOUND) == [("missing", "", "t0020", None)]
    assert "30 of 60 rows are missing" in report.doubt
