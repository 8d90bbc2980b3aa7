"""The warehouse equals Brex, and a run with nothing new writes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from brex_sync_tests.engine.items import cash_account, day, paid, spend, spent
from brex_sync_tests.engine.truth import TABLES, assert_equal
from brex_sync_tests.worlds import ids

ALL = (*TABLES, "cash_transactions", "expenses", "expense_receipts", "trips", "user_limits")


def versions(rig: Any) -> dict[str, list[tuple[Any, ...]]]:
    """What changes whenever a row is written, even with the same content."""
    return {t: rig.rows(f"SELECT ctid::text, xmin::text FROM brex.{t} ORDER BY 1") for t in ALL}


def test_the_first_sync_equals_the_truth_in_every_table(company: Any) -> None:
    report = company.sync()
    assert report.finished, report.failed
    assert_equal(company)
    assert report.streams["card_transactions"].inserted == 300
    assert report.streams["users"].inserted == len(ids(company.world, "users"))


def test_small_pages_lead_to_the_same_tables(company: Any) -> None:
    assert company.sync(pages=37).finished
    assert_equal(company)


def test_a_second_run_writes_no_row(company: Any) -> None:
    company.sync()
    before = versions(company)
    report = company.sync()
    assert versions(company) == before
    for stream in report.streams.values():
        assert (stream.inserted, stream.updated, stream.deleted) == (0, 0, 0)


def test_a_second_run_asks_only_for_the_overlap_inclusive(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions")
    rig.requests.clear()
    report = rig.sync("card_transactions")
    (asked,) = rig.asked("/v2/transactions/card/primary")
    assert f"posted_at_start={day(rig.world, 14)}T00%3A00%3A00Z" in asked.query
    assert report.streams["card_transactions"].fetched == 15


def test_a_row_settled_later_on_the_watermarks_own_day_appears(rig: Any) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").add(spent("late", day(rig.world, 0)))
    rig.sync("card_transactions", overlap=timedelta(0))
    assert "late" in rig.live()


def test_edits_deletions_and_back_dated_rows_inside_the_overlap_appear(rig: Any) -> None:
    spend(rig, 30)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.edit("t0003", description="edited", amount={"amount": -7, "currency": "JPY"})
    truth.delete("t0004")
    truth.add(spent("back", day(rig.world, 13)))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert (report.inserted, report.updated, report.deleted) == (1, 1, 0)
    rig.later = timedelta(hours=1)
    assert rig.sync("card_transactions").streams["card_transactions"].deleted == 1
    assert_equal(rig, "card_transactions")
    assert rig.gone() == {"t0004"}


def test_rows_back_dated_beyond_the_overlap_appear_with_a_full_sync(rig: Any) -> None:
    spend(rig, 30)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.add(spent("old", day(rig.world, 300)))
    truth.edit("t0029", description="edited")
    rig.sync("card_transactions")
    assert "old" not in rig.live()
    rig.sync("card_transactions", full=True)
    assert_equal(rig, "card_transactions")


@pytest.mark.parametrize(("days", "seen"), [(6, False), (7, True)])
def test_a_wide_window_is_read_if_nobody_did_for_a_week(rig: Any, days: int, seen: bool) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").add(spent("old", day(rig.world, 80)))
    rig.later = timedelta(days=days)
    rig.sync("card_transactions")
    assert ("old" in rig.live()) is seen


def test_all_is_read_again_if_nobody_did_for_a_month(rig: Any) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").add(spent("ancient", day(rig.world, 2000)))
    rig.later = timedelta(days=32)
    rig.sync("card_transactions")
    assert "ancient" in rig.live()


def test_a_row_dated_in_the_future_does_not_drag_the_watermark_along(rig: Any) -> None:
    spend(rig, 3)
    rig.world.collection("card_transactions").add(spent("future", day(rig.world, -400)))
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").add(spent("next", day(rig.world, 0)))
    rig.sync("card_transactions")
    assert {"future", "next"} <= rig.live()
    watermark = rig.one("SELECT watermark FROM brex_sync.checkpoints")
    assert str(watermark.date()) == day(rig.world, 0)


def test_equal_ids_in_two_cash_accounts_are_two_rows(rig: Any) -> None:
    for account in ("one", "two"):
        rig.world.collection("cash_accounts").add(cash_account(account))
        rig.world.collection("cash_transactions").open_list(account)
        rig.world.collection("cash_transactions").add(paid("same", day(rig.world, 1)), account)
    assert rig.sync("cash_accounts", "cash_transactions").finished
    assert_equal(rig, "cash_transactions", "cash_accounts")


def test_changed_at_moves_with_a_row_and_with_nothing_else(rig: Any) -> None:
    spend(rig, 6)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")

    def stamps() -> dict[str, Any]:
        found = rig.rows("SELECT id, _first_seen_at, _changed_at FROM brex.card_transactions")
        return {key: (first, changed) for key, first, changed in found}

    def moved(before: dict[str, Any]) -> set[str]:
        after = stamps()
        assert all(after[key][0] == before[key][0] for key in before), "first seen is kept"
        assert all(after[key][1] >= before[key][1] for key in before)
        return {key for key in before if after[key][1] != before[key][1]}

    before = stamps()
    assert all(first == changed for first, changed in before.values())
    truth.edit("t0001", description="edited")
    kept = truth.get("t0002")
    truth.delete("t0002")
    rig.sync_twice("card_transactions")
    assert moved(before) == {"t0001", "t0002"}
    assert rig.one("SELECT _changed_at = _deleted_at FROM brex.card_transactions WHERE id='t0002'")
    before = stamps()
    truth.add(kept)
    rig.sync("card_transactions")
    assert moved(before) == {"t0002"}
    before = stamps()
    rig.sync("card_transactions", full=True)
    assert moved(before) == set()


def test_a_change_in_an_undeclared_field_alone_is_a_change(rig: Any) -> None:
    spend(rig, 2)
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").edit("t0001", novelty=1)
    assert rig.sync("card_transactions").streams["card_transactions"].updated == 1
    assert_equal(rig, "card_transactions", undeclared={"novelty"})


def test_the_report_counts_each_row_once_for_each_time_it_was_sent(rig: Any) -> None:
    spend(rig, 20)
    first = rig.sync("card_transactions", pages=5).streams["card_transactions"]
    assert (first.fetched, first.inserted, first.updated, first.unchanged) == (20, 20, 0, 0)
    rig.world.collection("card_transactions").edit("t0001", description="edited")
    second = rig.sync("card_transactions", pages=5).streams["card_transactions"]
    assert (second.fetched, second.inserted, second.updated, second.unchanged) == (15, 0, 1, 14)
    assert (first.requests, second.requests) == (4, 3)
