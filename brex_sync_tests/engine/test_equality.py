"""The warehouse equals Brex, and a run with nothing new writes nothing."""

from datetime import timedelta
from typing import Any

import pytest

from brex_sync_tests.engine.items import cash_account, day, paid, person, spend, spent
from brex_sync_tests.engine.truth import TABLES, assert_equal

ALL = (*TABLES, "cash_transactions")


def versions(rig: Any) -> dict[str, list[tuple[Any, ...]]]:
    """What changes whenever a row is written, even with the same content."""
    return {t: rig.rows(f"SELECT ctid::text, xmin::text FROM brex.{t} ORDER BY 1") for t in ALL}


def test_the_first_sync_equals_the_truth_in_every_table(company: Any) -> None:
    report = company.sync()
    assert report.finished, report.failed
    assert_equal(company)
    assert report.streams["card_transactions"].inserted == 300
    assert report.streams["users"].inserted == 64


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


def test_edits_deletions_and_back_dated_rows_inside_the_overlap_appear_next_run(rig: Any) -> None:
    spend(rig, 30)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.edit("t0003", description="edited", amount={"amount": -7, "currency": "JPY"})
    truth.delete("t0004")
    truth.add(spent("back", day(rig.world, 13)))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert (report.inserted, report.updated, report.deleted) == (1, 1, 1)
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
    assert str(rig.one("SELECT watermark FROM brex_sync.checkpoints")) == day(rig.world, 0)


def test_equal_ids_in_two_cash_accounts_are_two_rows(rig: Any) -> None:
    for account in ("one", "two"):
        rig.world.collection("cash_accounts").add(cash_account(account))
        rig.world.collection("cash_transactions").open_list(account)
        rig.world.collection("cash_transactions").add(paid("same", day(rig.world, 1)), account)
    assert rig.sync("cash_accounts", "cash_transactions").finished
    assert_equal(rig, "cash_transactions", "cash_accounts")


def test_identifiers_are_percent_encoded_in_paths(rig: Any) -> None:
    odd = "a/b ?#%25"
    rig.world.collection("cash_accounts").add(cash_account(odd))
    rig.world.collection("cash_transactions").open_list(odd)
    paths: list[bytes] = []

    def spying(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            paths.append(scope["raw_path"])
            await app(scope, receive, send)

        return inner

    rig.wrap = spying
    rig.sync("cash_accounts", "cash_transactions")
    assert b"/v2/transactions/cash/a%2Fb%20%3F%23%2525" in paths


def test_streams_whose_parent_fails_are_not_read(rig: Any) -> None:
    rig.world.collection("users").add(person("u"))
    rig.token = "bxt_wrong"
    report = rig.sync()
    assert not report.finished
    assert "cash_accounts" in (report.streams["cash_transactions"].error or "")
    assert "Invalid or Revoked Token" in (report.streams["users"].error or "")
