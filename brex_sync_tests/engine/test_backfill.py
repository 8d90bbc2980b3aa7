"""A backfill reads again from a date on, can be interrupted, and does not hold up the schedule."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync_tests.engine.items import day, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

PATH = "/v2/transactions/card/primary"
CARDS = "card_transactions"


class Killed(BaseException):
    """Stands for a process that ends, whatever handlers there are."""


def killed_after(rig: Any, pages: int, scope: str = "backfill") -> Any:
    """Ends the process once the window of that scope has committed so many pages."""

    def look(_: Any) -> None:
        [(committed,)] = rig.rows(
            "SELECT coalesce(sum(window_pages) FILTER (WHERE window_scope = :s), 0) "
            "FROM brex_sync.checkpoints",
            s=scope,
        )
        if committed >= pages:
            raise Killed

    return look


def begin_and_kill(rig: Any, pages: int, **options: Any) -> None:
    with pytest.raises((Killed, BaseExceptionGroup)):
        rig.sync(CARDS, pages=5, progress=killed_after(rig, pages), backfill=True, **options)


def queries(rig: Any) -> list[str]:
    return [r.query for r in rig.asked(PATH)]


@pytest.fixture
def long(rig: Any) -> Any:
    """A list of 100 days, read, with an edit that no sync would see."""
    spend(rig, 100)
    rig.sync(CARDS, pages=5)
    for key in ("t0030", "t0090"):
        rig.world.collection(CARDS).edit(key, description="edited")
    rig.requests.clear()
    return rig


def test_a_backfill_reads_again_from_its_date_and_no_further(long: Any) -> None:
    since = date.fromisoformat(day(long.world, 60))
    assert long.sync(CARDS, pages=5, backfill=True, since=since).finished
    assert f"posted_at_start={since}" in [q for q in queries(long) if "cursor" not in q][-1]
    edited = "SELECT id FROM brex.card_transactions WHERE description = 'edited'"
    assert long.rows(edited) == [("t0030",)]
    long.sync(CARDS, pages=5, backfill=True)
    assert_equal(long, CARDS)


def test_an_interrupted_backfill_is_gone_on_with_where_it_was(long: Any) -> None:
    begin_and_kill(long, 6)
    long.requests.clear()
    assert long.sync(CARDS, pages=5, backfill=True).finished
    whole = [q for q in queries(long) if "posted_at_start" not in q]
    assert whole
    assert all("cursor" in q for q in whole), "it began anew"
    assert len(whole) <= 100 // 5 - 6
    assert_equal(long, CARDS)
    assert long.rows("SELECT * FROM brex_sync.parked_windows") == []
    assert long.rows("SELECT * FROM brex_sync.listed_keys") == []


def test_the_schedule_goes_on_first_with_what_is_new_then_with_the_backfill(long: Any) -> None:
    begin_and_kill(long, 6)
    long.world.collection(CARDS).add(spent("new", day(long.world, 0)))
    long.requests.clear()
    with pytest.raises((Killed, BaseExceptionGroup)):
        long.sync(CARDS, pages=5, progress=killed_after(long, 1, "overlap"))
    assert "new" in long.live()
    assert all("posted_at_start" in q for q in queries(long))
    assert long.sync(CARDS, pages=5).finished
    assert_equal(long, CARDS)
    assert long.rows("SELECT * FROM brex_sync.parked_windows") == []


def test_another_date_begins_another_backfill(long: Any) -> None:
    begin_and_kill(long, 3)
    long.requests.clear()
    since = date.fromisoformat(day(long.world, 60))
    assert long.sync(CARDS, pages=5, backfill=True, since=since).finished
    assert f"posted_at_start={since}" in [q for q in queries(long) if "cursor" not in q][-1]


def test_a_backfill_moves_no_watermark_and_proves_no_deletion(long: Any) -> None:
    known = "SELECT watermark, full_at, wide_at, listed, held FROM brex_sync.checkpoints"
    before = long.rows(known)
    begin_and_kill(long, 2)
    for i in range(30):
        long.world.collection(CARDS).add(spent(f"new{i:02d}", day(long.world, 0)))
        long.world.collection(CARDS).delete(f"t00{40 + i}")
    report = long.sync(CARDS, pages=5, backfill=True).streams[CARDS]
    assert (report.deleted, report.withheld, report.doubt) == (0, 0, None)
    [(watermark, full_at, wide_at, listed, held)] = long.rows(known)
    assert (watermark, full_at, wide_at) == before[0][:3]
    assert listed == held == 45
    long.sync(CARDS, pages=5, full=True, accept_deletions=True)
    assert_equal(long, CARDS)


def test_a_row_set_aside_meanwhile_is_not_released_by_the_backfills_end(long: Any) -> None:
    bad = spent("bad", day(long.world, 2)) | {"amount": "much"}
    long.world.collection(CARDS).add_raw("bad", day(long.world, 2), json.dumps(bad).encode())
    begin_and_kill(long, 6)
    long.sync(CARDS, pages=5)
    assert long.rows("SELECT key FROM brex_sync.quarantine") == [("bad",)]
    long.world.collection(CARDS).delete("bad")
    long.world.collection(CARDS).add(bad | {"amount": {"amount": 1, "currency": "USD"}})
    long.sync(CARDS, pages=5)
    assert long.rows("SELECT key FROM brex_sync.quarantine") == []


def test_a_backfill_that_is_taken_over_commits_no_more(long: Any) -> None:
    taken: list[Any] = []

    def take_over(_: Any) -> None:
        scope = long.rows("SELECT window_scope FROM brex_sync.checkpoints")
        if scope == [("backfill",)] and not taken:
            taken.append(True)
            with long.engine.begin() as db:
                db.execute(sa.text("UPDATE brex_sync.checkpoints SET epoch = epoch + 1"))

    report = long.sync(CARDS, pages=5, backfill=True, progress=take_over)
    assert "another run took over" in (report.streams[CARDS].error or "")
    assert long.sync(CARDS, pages=5).finished
    assert_equal(long, CARDS)


def test_lists_without_a_time_filter_and_lists_just_read_whole_are_not_read_twice(
    rig: Any,
) -> None:
    spend(rig, 3)
    rig.world.collection("users").add(person("u1"))
    rig.sync(CARDS, "users", backfill=True)
    assert len(rig.asked(PATH)) == 1
    assert len(rig.asked("/v2/users")) == 2, "the plain list and the hidden one"


def test_a_reconciliation_leaves_an_interrupted_backfill_aside(long: Any) -> None:
    begin_and_kill(long, 8)
    long.later = timedelta(minutes=1)
    report = long.sync(CARDS, pages=5, compare=True).streams[CARDS]
    assert (report.differed.stale, report.differed.missing) == (1, 0)
    assert len(long.rows("SELECT * FROM brex_sync.parked_windows")) == 1
    long.sync(CARDS, pages=5)
    assert long.rows("SELECT * FROM brex_sync.parked_windows") == []
    assert_equal(long, CARDS)
