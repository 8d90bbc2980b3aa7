"""Every long read of a list is cut into slices: a full one, one that is due, one that compares, a
backfill. Together they prove what one walk would, and are gone on with wherever they stopped."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import sqlalchemy as sa

from brex_sync.errors import Fenced
from brex_sync.sandbox import create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.sync.read import plan
from brex_sync.warehouse.load import slices
from brex_sync.warehouse.state.checkpoints import Scope, Slice, open_lease
from brex_sync.warehouse.status import runs
from brex_sync_tests.conftest import SHORT, Rig
from brex_sync_tests.engine.truth import assert_equal

PATH = "/v1/expenses"
PAGES = 5
LEFT = (
    "SELECT count(*) FROM brex_sync.checkpoints WHERE slice <> ''",
    "SELECT count(*) FROM brex_sync.listed_keys",
    "SELECT count(*) FROM brex_sync.parked_windows",
)


@pytest.fixture
def read(company: Any) -> Any:
    """A company whose 300 expenses were read; what is asked from now on is counted."""
    company.sync("expenses", pages=PAGES)
    company.requests.clear()
    return company


def sync(rig: Any, **options: Any) -> Any:
    report = rig.sync("expenses", pages=PAGES, **options).streams["expenses"]
    assert report.finished, report.error
    return report


def ids(rig: Any) -> list[str]:
    """Of all expenses at Brex, the oldest change first."""
    items = rig.world.collection("expenses").items()
    return [item["id"] for item in sorted(items, key=lambda item: item["updated_at"])]


def spans(rig: Any) -> set[str]:
    """The slices that were asked for, by the query of their first page."""
    asked = [r.query for r in rig.asked(PATH) if "cursor" not in r.query]
    return {query for query in asked if "updated_at_end" in query}


def between(rig: Any, query: str) -> list[str]:
    """The expenses that the slice asked for by this query holds now, in listing order."""
    asked = parse_qs(query)
    since = asked.get("updated_at_start", [""])[0].removesuffix("Z")
    until = asked["updated_at_end"][0].removesuffix("Z")
    rows = rig.world.collection("expenses").rows()
    return [key for key, at in zip(rows.ids, rows.dates, strict=True) if since <= at[:19] <= until]


def edit_behind_pages(rig: Any, times: int | None) -> tuple[list[str], list[str]]:
    """Has a row that a slice just listed on its first page edited, so that one behind it slips
    past, which is not here yet: in so many slices, or in the same one whenever it begins. The rows
    edited, and their slices.
    """
    edited: list[str] = []
    queries: list[str] = []

    def wrap(app: Any) -> Any:
        async def edit(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            query = scope["query_string"].decode()
            bounded = "updated_at_start" in query and "updated_at_end" in query
            full = times is not None and len(edited) >= times
            if scope["path"] != PATH or "cursor" in query or not bounded or full:
                return
            inside = between(rig, query)
            if len(inside) > PAGES + 1 and (times or query in queries or not queries):
                touch(rig, inside[0])
                forget(rig, inside[PAGES])
                edited.append(inside[0])
                queries.append(query)

        return edit

    rig.wrap = wrap
    return edited, queries


def forget(rig: Any, key: str) -> None:
    with rig.engine.begin() as db:
        db.execute(sa.text("DELETE FROM brex.expenses WHERE id = :key"), {"key": key})


def touch(rig: Any, key: str) -> None:
    """Someone edits an expense now."""
    stamp = f"{rig.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rig.world.collection("expenses").edit(key, memo="edited meanwhile", updated_at=stamp)


def begun(rig: Any) -> Counter[str]:
    """How often the first page of each slice was asked for."""
    asked = [r.query for r in rig.asked(PATH) if f"limit={PAGES}" in r.query]
    return Counter(q for q in asked if "cursor" not in q and "updated_at_end" in q)


def interrupt(rig: Any, requests: int, **options: Any) -> None:
    """A run that Brex fails after so many answers."""
    rig.faults.add(Fault(FaultKind.STATUS, path=PATH, after=requests, times=None, status=500))
    assert not rig.sync("expenses", pages=PAGES, patience=SHORT, **options).finished
    rig.faults.clear()
    rig.requests.clear()


def assert_nothing_is_left(rig: Any) -> None:
    assert [rig.one(statement) for statement in LEFT] == [0, 0, 0]


def due(days: int) -> Callable[[Any], Any]:
    def sync_later(rig: Any) -> Any:
        rig.later = timedelta(days=days)
        return sync(rig)

    return sync_later


WAYS = {
    "full": lambda rig: sync(rig, full=True),
    "compare": lambda rig: sync(rig, compare=True),
    "due after a month": due(33),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_long_read_is_cut_and_finds_what_changed_and_what_is_gone(read: Any, way: str) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    truth.edit(keys[7], memo="changed without a sign")
    gone = keys[3], keys[150], keys[290]
    for key in gone:
        truth.delete(key)
    report = WAYS[way](read)
    assert len(spans(read)) > 20
    assert report.deleted == 3
    assert read.gone("expenses") == set(gone)
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_three_months_are_cut_too_and_prove_no_more_than_they_saw(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    truth.edit(keys[2], memo="changed long ago")
    truth.edit(keys[250], memo="changed without a sign")
    truth.delete(keys[3])
    truth.delete(keys[251])
    full_at = "SELECT full_at FROM brex_sync.checkpoints"
    before = read.rows(full_at)
    read.later = timedelta(days=8)
    assert sync(read).deleted == 1
    assert len(spans(read)) > 3
    assert all("updated_at_start" in query for query in spans(read))
    assert read.gone("expenses") == {keys[251]}
    changed = "SELECT id FROM brex.expenses WHERE memo LIKE 'changed %'"
    assert read.rows(changed) == [(keys[250],)]
    assert read.rows(full_at) == before
    sync(read, full=True)
    assert_equal(read, "expenses")


def test_what_a_cut_comparison_finds_is_noted_once_and_under_the_list(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    truth.edit(keys[7], memo="changed without a sign")
    truth.delete(keys[9])
    with read.engine.begin() as db:
        db.execute(sa.text("DELETE FROM brex.expenses WHERE id = :id"), {"id": keys[11]})
    report = sync(read, compare=True)
    assert len(spans(read)) > 20
    assert str(report.differed) == "1 missing, 1 stale, 1 gone"
    found = read.rows("SELECT kind, slice, key, columns FROM brex_sync.differences ORDER BY kind")
    assert found == [
        ("gone", "", keys[9], None),
        ("missing", "", keys[11], None),
        ("stale", "", keys[7], ["memo"]),
    ]
    assert str(sync(read, compare=True).differed) == "nothing differed"


def test_an_interrupted_full_read_is_gone_on_with_by_the_next_run(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    for key in (keys[3], keys[290]):
        truth.delete(key)
    interrupt(read, 30, full=True)
    assert runs.status(read.warehouse, STREAMS["expenses"]).behind
    assert read.gone("expenses") == set()
    stamp = f"{read.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    truth.edit(keys[0], memo="moved out of its slice", updated_at=stamp)
    report = sync(read)
    assert report.requests < 60, "what was committed is not asked for again"
    assert report.deleted == 2
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_who_asks_for_a_full_read_gets_one_that_begins_now(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    interrupt(read, 60, full=True)
    assert len(read.rows("SELECT * FROM brex_sync.checkpoints WHERE NOT window_open")) > 5
    for key in (keys[5], keys[295]):
        truth.edit(key, memo="changed without a sign")
    sync(read, full=True)
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_a_run_that_dies_between_the_slices_and_the_proof_is_gone_on_with(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ids(read)[3]
    read.world.collection("expenses").delete(gone)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(slices, "drop", killed)
        with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
            read.sync("expenses", pages=PAGES, full=True)
    assert read.gone("expenses") == set()
    read.requests.clear()
    sync(read)
    assert spans(read) == set(), "all slices were read"
    assert read.gone("expenses") == {gone}
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_a_row_that_slips_between_slices_is_asked_for_and_kept(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    moved: list[str] = []

    def move(_: Any) -> None:
        """Rows of slices not read yet move to days whose slice was read."""
        if len(moved) < 4 and len(spans(read)) > 14:
            key = keys[len(moved)]
            truth.edit(key, updated_at=truth.get(keys[-20])["updated_at"])
            moved.append(key)

    report = sync(read, full=True, progress=move)
    assert len(moved) == 4
    assert report.deleted == 0
    asked = {r.path for r in read.requests}
    assert any(f"{PATH}/{key}" in asked for key in moved), "none slipped: the test shows nothing"
    assert_equal(read, "expenses")


def test_no_row_is_lost_where_a_listed_one_leaves_its_slice(company: Any) -> None:
    edited, queries = edit_behind_pages(company, times=1)
    sync(company)
    assert len(edited) == 1
    assert_equal(company, "expenses")
    again = {query for query, times in begun(company).items() if times > 1}
    assert again == set(queries), "no other slice is read again"
    assert_nothing_is_left(company)


def test_no_slice_is_read_again_when_nothing_moved(company: Any) -> None:
    sync(company)
    assert set(begun(company).values()) == {1}


def test_a_backfill_loses_no_row_either(read: Any) -> None:
    edited, _ = edit_behind_pages(read, times=1)
    sync(read, backfill=True)
    assert len(edited) == 1
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_slices_gone_on_with_the_next_day_have_lost_no_row(company: Any) -> None:
    for requests in (45, 9, 7, 5, 3):
        interrupt(company, requests)
        if half := company.rows(
            "SELECT window_since, window_until FROM brex_sync.checkpoints "
            "WHERE slice <> '' AND window_open AND window_pages > 0 AND window_until IS NOT NULL"
        ):
            break
    rows = company.world.collection("expenses").rows()
    dated = list(zip(rows.ids, map(datetime.fromisoformat, rows.dates), strict=True))
    company.later = timedelta(days=1)
    for since, until in half:
        low, high = (m and m.replace(tzinfo=None) for m in (since, until))
        inside = [key for key, at in dated if (low is None or low <= at) and at <= high]
        for key in inside[:2]:
            touch(company, key)
    assert half
    sync(company)
    assert_equal(company, "expenses")
    assert_nothing_is_left(company)


def test_a_slice_that_rows_keep_leaving_is_read_three_times_and_no_more(company: Any) -> None:
    edited, queries = edit_behind_pages(company, times=None)
    sync(company)
    assert len(edited) == 3
    assert begun(company)[queries[0]] == 3
    assert_nothing_is_left(company)


def test_a_run_that_dies_while_slices_are_read_again_is_gone_on_with(
    company: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, _ = edit_behind_pages(company, times=1)
    reopen = slices.reopen_left

    def killed(engine: sa.Engine, lease: Any) -> bool:
        assert reopen(engine, lease)
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(slices, "reopen_left", killed)
        with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
            company.sync("expenses", pages=PAGES)
    assert company.live("expenses") != set(ids(company))
    company.requests.clear()
    sync(company)
    assert len(edited) == 1
    assert len(spans(company)) == 1, "the others were read"
    assert_equal(company, "expenses")
    assert_nothing_is_left(company)


def test_too_many_missing_rows_are_doubted(read: Any) -> None:
    for key in ids(read)[100:140]:
        read.world.collection("expenses").delete(key)
    report = sync(read, full=True)
    assert (report.deleted, report.withheld) == (0, 40)
    assert "40 of 300 rows are missing at once" in report.doubt
    assert sync(read, full=True, accept_deletions=True).deleted == 40
    assert_equal(read, "expenses")


def test_a_row_set_aside_in_a_slice_again_stays_so_and_others_are_released(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    aside = "SELECT slice, key FROM brex_sync.quarantine ORDER BY key"
    odd, worse = sorted((keys[20], keys[220]))
    for key in (odd, worse):
        truth.edit(key, memo=5)
    for _ in range(2):
        sync(read, full=True)
        assert read.rows(aside) == [("", odd), ("", worse)]
    truth.edit(odd, memo="well again")
    sync(read, full=True)
    assert read.rows(aside) == [("", worse)]


def test_a_list_of_two_pages_is_read_in_one_go(engine: sa.Engine) -> None:
    rig = Rig(engine, create_world(card_transactions=150))
    rig.sync("expenses")
    rig.requests.clear()
    report = rig.sync("expenses", full=True).streams["expenses"]
    assert (report.requests, spans(rig)) == (2, set())
    assert_equal(rig, "expenses")


def test_slices_of_a_list_that_is_no_longer_worth_any_are_forgotten(read: Any) -> None:
    interrupt(read, 30, full=True)
    with read.engine.begin() as db:
        db.execute(sa.text("DELETE FROM brex.expenses WHERE id <> :id"), {"id": ids(read)[0]})
    sync(read, full=True)
    assert spans(read) == set()
    assert_nothing_is_left(read)
    assert_equal(read, "expenses")


def test_a_first_read_that_compares_finds_nothing_that_differs(company: Any) -> None:
    assert str(sync(company, compare=True).differed) == "nothing differed"
    assert_equal(company, "expenses")
    assert_nothing_is_left(company)


def test_a_backfill_is_cut_and_only_brings_rows(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    first = datetime.fromisoformat(truth.get(keys[150])["updated_at"]).date()
    truth.edit(keys[7], memo="changed long ago")
    truth.edit(keys[200], memo="changed without a sign")
    truth.delete(keys[201])
    known = "SELECT watermark, wide_at, full_at FROM brex_sync.checkpoints"
    before = read.rows(known)
    sync(read, backfill=True, since=first)
    assert len(spans(read)) > 10
    assert {f"updated_at_start={first}" in query for query in spans(read)} == {True, False}
    assert read.gone("expenses") == set()
    assert read.rows(known) == before
    changed = "SELECT id FROM brex.expenses WHERE memo LIKE 'changed %'"
    assert read.rows(changed) == [(keys[200],)]
    assert_nothing_is_left(read)


def test_the_schedule_goes_first_and_then_on_with_a_cut_backfill(read: Any) -> None:
    truth, keys = read.world.collection("expenses"), ids(read)
    truth.edit(keys[7], memo="changed without a sign")
    interrupt(read, 40, backfill=True)
    assert read.one("SELECT count(*) FROM brex_sync.checkpoints WHERE slice <> ''") > 10
    report = sync(read)
    asked = [r.query for r in read.asked(PATH)]
    assert "updated_at_end" not in asked[0], "first what is new"
    assert report.requests < 60, "what was committed is not asked for again"
    assert_equal(read, "expenses")
    assert_nothing_is_left(read)


def test_another_date_begins_another_backfill_and_a_full_read_takes_its_place(read: Any) -> None:
    interrupt(read, 40, backfill=True)
    since = date.fromisoformat(
        read.world.collection("expenses").get(ids(read)[100])["updated_at"][:10]
    )
    interrupt(read, 40, backfill=True, since=since)
    scopes = (
        "SELECT DISTINCT window_scope, min(window_since) OVER () "
        "FROM brex_sync.checkpoints WHERE slice <> ''"
    )
    assert read.rows(scopes) == [
        ("backfill", datetime(since.year, since.month, since.day, tzinfo=UTC))
    ]
    sync(read, full=True)
    assert_nothing_is_left(read)
    assert_equal(read, "expenses")


def test_who_was_fenced_holds_no_slice_of_whoever_came_after(read: Any) -> None:
    own = Slice("brex", STREAMS["expenses"])
    earlier = open_lease(read.warehouse, own)
    now = read.now()
    spans_ = plan.cut(now - timedelta(days=60), now, 4)
    one = slices.lay_out(read.warehouse, earlier, Scope.FULL, spans_, now)
    later = open_lease(read.warehouse, own)
    two = slices.lay_out(read.warehouse, later, Scope.FULL, spans_, now)
    assert not {part.span for part in one.parts} & {part.span for part in two.parts}
    with pytest.raises(Fenced):
        slices.lay_out(read.warehouse, earlier, Scope.FULL, spans_, now)
    with pytest.raises(Fenced):
        open_lease(read.warehouse, one.parts[0])
    found = slices.laid_out(read.warehouse, later)
    assert found == two
