"""What to read, decided from what is known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from brex_sync.streams import STREAMS
from brex_sync.sync.read import plan
from brex_sync.warehouse.state.checkpoints import Absence, ListState, ListWindow, Scope

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TODAY = datetime(2026, 3, 10, tzinfo=UTC)
TRIPS, EXPENSES = STREAMS["trips"], STREAMS["expenses"]
CARDS, USERS = STREAMS["card_transactions"], STREAMS["users"]
KNOWN = ListState(1, watermark=TODAY, wide_at=NOW, full_at=NOW)


@pytest.mark.parametrize(
    ("old", "newest", "reached"),
    [
        (None, None, None),
        (None, TODAY, TODAY),
        (TODAY, None, TODAY),
        (TODAY, TODAY - timedelta(1), TODAY),
        (TODAY - timedelta(1), TODAY, TODAY),
        (TODAY, TODAY + timedelta(400), NOW),
        (None, TODAY + timedelta(1), NOW),
    ],
)
def test_the_watermark_never_goes_back_nor_beyond_the_moment_the_run_began(
    old: datetime | None, newest: datetime | None, reached: datetime | None
) -> None:
    assert plan.watermark(old, newest, NOW) == reached


@pytest.mark.parametrize(
    ("state", "scope", "back"),
    [
        (ListState(1), Scope.FULL, None),
        (KNOWN, Scope.OVERLAP, 14),
        (replace(KNOWN, full_at=None), Scope.FULL, None),
        (replace(KNOWN, watermark=None), Scope.FULL, None),
        (replace(KNOWN, wide_at=NOW - timedelta(7)), Scope.WIDE, 90),
        (replace(KNOWN, wide_at=NOW - timedelta(6.9)), Scope.OVERLAP, 14),
        (replace(KNOWN, full_at=NOW - timedelta(32)), Scope.FULL, None),
        (replace(KNOWN, full_at=NOW - timedelta(31.9)), Scope.OVERLAP, 14),
    ],
)
def test_each_range_is_read_when_it_is_due(
    state: ListState, scope: Scope, back: int | None
) -> None:
    since = None if back is None else TODAY - timedelta(back)
    assert plan.next_range(CARDS, state, NOW, None) == plan.Range(scope, since)


def test_another_overlap_replaces_the_declared_one_and_never_narrows_a_wide_window() -> None:
    range_ = plan.next_range(CARDS, KNOWN, NOW, timedelta(200))
    assert range_.since == TODAY - timedelta(200)
    due = replace(KNOWN, wide_at=None)
    assert plan.next_range(CARDS, due, NOW, timedelta(200)).since == TODAY - timedelta(200)
    assert plan.next_range(CARDS, KNOWN, NOW, timedelta(10**6)).since == plan.EARLIEST


def test_a_window_begins_where_its_filter_can_say_and_never_later() -> None:
    state = replace(KNOWN, watermark=datetime(2026, 3, 9, 10, 11, 12, 987654, tzinfo=UTC))
    day = timedelta(1)
    assert plan.next_range(CARDS, state, NOW, day).since == datetime(2026, 3, 8, tzinfo=UTC)
    second = datetime(2026, 3, 8, 10, 11, 12, tzinfo=UTC)
    assert plan.next_range(EXPENSES, state, NOW, day).since == second
    just_before = second - timedelta(seconds=1)
    assert plan.next_range(TRIPS, state, NOW, day).since == just_before, "it leaves the moment out"


def test_lists_without_a_filter_are_always_read_whole() -> None:
    assert plan.next_range(USERS, KNOWN, NOW, None) == plan.Range(Scope.FULL, None)


@pytest.mark.parametrize(
    ("missing", "held", "doubted"),
    [(10, 10, False), (11, 549, True), (11, 550, False), (11, 11, True), (0, 0, False)],
)
def test_the_guard_wants_more_than_ten_rows_and_more_than_two_percent(
    missing: int, held: int, doubted: bool
) -> None:
    assert plan.shrank_too_much(missing, held) is doubted


def test_only_a_fresh_walk_through_an_unfiltered_list_is_gone_on_with() -> None:
    old = ListWindow(1, Scope.FULL, None, NOW - timedelta(minutes=16), 10, pages=1)
    fresh = replace(old, opened_at=NOW - timedelta(minutes=15))
    for stream, window, full, expected in [
        (USERS, old, False, None),
        (USERS, fresh, False, fresh),
        (CARDS, old, False, old),
        (CARDS, old, True, None),
        (CARDS, fresh, True, None),
        (CARDS, replace(fresh, scope=Scope.WIDE), False, replace(fresh, scope=Scope.WIDE)),
        (CARDS, replace(fresh, pages=0), False, None),
    ]:
        state = ListState(1, window=window)
        assert plan.resumable(stream, state, NOW, full=full) == expected


@pytest.mark.parametrize(
    ("limit", "numbers", "then"),
    [(1000, [1, 100], 100), (1000, [], 500), (1000, [2000], 500), (1, [], None), (None, [5], None)],
)
def test_pages_get_smaller_until_there_are_none_smaller(
    limit: int | None, numbers: list[int], then: int | None
) -> None:
    assert plan.smaller_page(limit, numbers) == then


@pytest.mark.parametrize(
    ("since", "judged", "now", "due"),
    [
        (10, None, 14, False),
        (10, None, 15, True),
        (10, 10, 14, False),
        (10, 10, 60, True),
        (10, 14, 60, True),
        (10, 15, 60, False),
        (10, 15, 14 + 24 * 60, False),
        (10, 15, 15 + 24 * 60, True),
    ],
)
def test_a_list_is_read_whole_once_its_missing_rows_may_be_gone_and_then_once_a_day(
    since: int, judged: int | None, now: int, due: bool
) -> None:
    """Minutes after a moment: when rows were first missing, were last judged by a full listing that
    began then, and now."""

    def at(minutes: int) -> datetime:
        return NOW + timedelta(minutes=minutes)

    rows = Absence(at(since), None if judged is None else at(judged))
    state = replace(KNOWN, missing=(rows,))
    assert (plan.next_range(CARDS, state, at(now), None).scope is Scope.FULL) is due
    assert not plan.missing_rows_are_due(CARDS, KNOWN, at(now))


def test_rows_that_can_be_asked_for_need_a_full_listing_only_after_a_day() -> None:
    state = replace(KNOWN, missing=(Absence(NOW),))
    days = [plan.missing_rows_are_due(EXPENSES, state, NOW + timedelta(n)) for n in (0, 0.9, 1)]
    assert days == [False, False, True]
