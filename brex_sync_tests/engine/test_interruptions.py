"""Runs that overlap, are overtaken, cut off or killed."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.brex.strict_json import Page
from brex_sync.errors import Fenced
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.sync.read.walking import prepare
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.load import commit as load
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import ListLease, ListWindow, Scope, Slice
from brex_sync_tests.engine.cutting import cutting
from brex_sync_tests.engine.items import day, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
STATE = "SELECT fetched, window_pages, window_cursor, watermark FROM brex_sync.checkpoints"


class Killed(BaseException):
    """Stands for a process that ends, whatever handlers there are."""


def sync_and_end_after(got: int, rig: Any, stream: str, path: str, pages: int) -> None:
    """Syncs by `pages` rows in a process that gets so many pages, commits them all, and ends."""

    def progress(report: Any) -> None:
        if rig.one("SELECT max(window_pages) FROM brex_sync.checkpoints") >= got:
            raise Killed

    fault = Fault(FaultKind.HANG, path, times=None, after=got)
    rig.faults.add(fault)
    with pytest.raises((Killed, BaseExceptionGroup)):
        rig.sync(stream, progress=progress, pages=pages)
    rig.faults.clear()
    rig.requests.clear()


@pytest.mark.parametrize("pages", [1, 2, 5, 7])
def test_a_run_goes_on_from_the_last_committed_page(rig: Any, pages: int) -> None:
    keys = spend(rig, 40, back=100)
    sync_and_end_after(pages, rig, "card_transactions", CARDS, pages=5)
    assert rig.live() == set(keys[: 5 * pages])
    assert rig.one("SELECT watermark FROM brex_sync.checkpoints") is None
    rig.world.collection("card_transactions").add(spent("new", day(rig.world, 0)))
    report = rig.sync("card_transactions", pages=5)
    assert report.finished
    old = [r for r in rig.asked(CARDS) if "posted_at_start" not in r.query]
    fresh = [r for r in rig.asked(CARDS) if "posted_at_start" in r.query]
    assert len(old) == (41 - 5 * pages + 4) // 5, "only pages that were not committed"
    assert len(fresh) == 4, "and the overlap of fifteen rows, with the new one"
    assert_equal(rig, "card_transactions")


@pytest.mark.parametrize("pages", [1, 2, 3, 4])
def test_an_unfiltered_list_and_its_hidden_rows_are_gone_on_with_too(rig: Any, pages: int) -> None:
    for i in range(12):
        rig.world.collection("users").add(person(f"u{i:02d}", "DELETED" if i % 2 else "ACTIVE"))
    sync_and_end_after(pages, rig, "users", "/v2/users", pages=2)
    assert len(rig.live("users")) == 2 * pages
    report = rig.sync("users", pages=2)
    assert report.streams["users"].fetched == 12 - 2 * pages
    assert len(rig.asked("/v2/users")) == 6 - pages
    assert rig.gone("users") == set()
    assert_equal(rig, "users")


def test_an_incremental_run_goes_on_within_its_own_window(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions")
    rig.world.collection("card_transactions").edit("t0001", description="edited")
    rig.requests.clear()
    sync_and_end_after(2, rig, "card_transactions", CARDS, pages=5)
    assert rig.sync("card_transactions", pages=5).finished
    assert len(rig.asked(CARDS)) == 1 + 3
    assert all("posted_at_start" in r.query for r in rig.asked(CARDS))
    assert_equal(rig, "card_transactions")


STATES = {
    "first": (
        "SELECT (SELECT coalesce(sum(fetched), 0)::int FROM brex_sync.checkpoints), "
        "(SELECT count(*)::int FROM brex.card_transactions)"
    ),
    "later": (
        "SELECT (SELECT fetched::int FROM brex_sync.checkpoints WHERE window_number > 1), "
        "(SELECT count(*)::int FROM brex.card_transactions WHERE description = 'edited')"
    ),
}


@pytest.mark.parametrize("which", ["first", "later"])
def test_no_reader_ever_sees_a_checkpoint_ahead_of_the_data(
    rig: Any, database_url: str, which: str
) -> None:
    keys = spend(rig, 300)
    if which == "later":
        rig.sync("card_transactions")
        for key in keys:
            rig.world.collection("card_transactions").edit(key, description="edited")
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(database_url, autocommit=True) as db:
            while not done.is_set():
                claimed, held = db.execute(STATES[which]).fetchone() or (0, 0)
                seen.append((claimed or 0, held))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert rig.sync("card_transactions", pages=5, full=True).finished
    finally:
        done.set()
        reader.join()
    assert len({claimed for claimed, _ in seen}) > 5, "the reader saw it grow"
    assert [pair for pair in seen if pair[0] > pair[1]] == []


@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("brex_sync.checkpoints", "NEW.window_pages > 2"),
        ("brex_sync.listed_keys", "NEW.page > 2"),
        ("brex.card_transactions", "NEW.id = 't0013'"),
    ],
)
def test_a_commit_that_fails_half_way_leaves_neither_rows_nor_checkpoint(
    rig: Any, trigger: Callable[[str, str], None], table: str, when: str
) -> None:
    spend(rig, 30)
    trigger(table, f"IF {when} THEN RAISE EXCEPTION 'out of order'; END IF;")
    report = rig.sync("card_transactions", pages=5).streams["card_transactions"]
    assert report.error == "the warehouse refused: out of order"
    held = rig.one("SELECT count(*) FROM brex.card_transactions")
    noted = rig.one("SELECT coalesce(sum(cardinality(keys)), 0) FROM brex_sync.listed_keys")
    ((fetched, pages, _, watermark),) = rig.rows(STATE)
    assert held == fetched == 5 * pages == noted == report.fetched
    assert watermark is None


def test_two_runs_at_once_end_like_one_after_the_other(rig: Any) -> None:
    spend(rig, 60)

    async def both() -> Any:
        return await asyncio.gather(
            rig.run("card_transactions", pages=5), rig.run("card_transactions", pages=5)
        )

    reports = asyncio.run(both())
    assert any(r.finished for r in reports)
    for report in reports:
        error = report.streams["card_transactions"].error
        assert error is None or "another run took over" in error
    assert_equal(rig, "card_transactions")
    assert rig.gone() == set()
    assert rig.sync("card_transactions").finished


WRITES: dict[str, Callable[[Warehouse, ListLease, ListWindow, Any], object]] = {
    "a page": lambda warehouse, lease, window, page: load.commit_pages(
        warehouse, lease, window, page
    ),
    "one row": lambda warehouse, lease, window, page: load.store_item(warehouse, lease, page),
    "a new window": lambda warehouse, lease, window, page: checkpoints.begin_window(
        warehouse, lease, replace(window, number=window.number + 1)
    ),
    "a deletion": lambda warehouse, lease, window, page: deletions.settle(
        warehouse, lease, ("t0001",), None, None
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_run_that_was_taken_over_writes_nothing_when_it_wakes(rig: Any, what: str) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    slice_ = Slice("brex", STREAMS["card_transactions"])
    paused = checkpoints.open_lease(rig.warehouse, slice_)
    window = checkpoints.begin_window(
        rig.warehouse,
        paused,
        ListWindow(paused.state.last_number + 1, Scope.FULL, None, rig.now(), 10),
    )
    checkpoints.open_lease(rig.warehouse, slice_)
    before = rig.rows("SELECT * FROM brex_sync.checkpoints")
    _, intruder = prepare(slice_.stream, Page((b'{"id":"intruder"}',), None), None)
    with pytest.raises(Fenced, match="another run took over card_transactions"):
        WRITES[what](rig.warehouse, paused, replace(window, pages=1), intruder)
    assert rig.live() == {"t0000", "t0001", "t0002"}
    assert rig.rows("SELECT * FROM brex_sync.checkpoints") == before


def test_a_transaction_that_was_let_in_before_the_takeover_cannot_advance_after_it(
    rig: Any,
) -> None:
    slice_ = Slice("brex", STREAMS["card_transactions"])
    paused = checkpoints.open_lease(rig.warehouse, slice_)
    window = ListWindow(1, Scope.FULL, None, rig.now(), 10)
    checkpoints.begin_window(rig.warehouse, paused, window)
    checkpoints.open_lease(rig.warehouse, slice_)
    with pytest.raises(Fenced), rig.engine.begin() as db:
        checkpoints.advance(db, paused, replace(window, pages=1))
    with pytest.raises(Fenced), rig.engine.begin() as db:
        checkpoints.committed(db, paused)


@pytest.mark.parametrize("last", [False, True])
def test_pages_the_server_committed_though_the_answer_was_lost_are_not_done_twice(
    rig: Any, last: bool
) -> None:
    lease = checkpoints.open_lease(rig.warehouse, Slice("brex", STREAMS["card_transactions"]))
    window = checkpoints.begin_window(
        rig.warehouse, lease, ListWindow(1, Scope.FULL, None, rig.now(), 10)
    )
    _, staged = prepare(lease.slice.stream, Page((b'{"id":"a"}',), None), None)
    after = replace(window, pages=1)

    def finish(db: sa.Connection, closing: ListWindow) -> None:
        checkpoints.close(
            db, lease, closing, watermark=date.today(), listed=1, held=1, now=rig.now()
        )

    first = load.commit_pages(rig.warehouse, lease, after, staged, finish if last else None)
    assert first.counts.inserted == 1
    before = rig.rows("SELECT *, xmin::text FROM brex_sync.checkpoints")
    again = load.commit_pages(rig.warehouse, lease, after, staged, finish if last else None)
    assert again.pages == first.pages
    assert last or again == first
    assert rig.rows("SELECT *, xmin::text FROM brex_sync.checkpoints") == before
    assert len(rig.rows("SELECT 1 FROM brex_sync.listed_keys")) == 1


def test_lost_connections_to_postgres_are_survived(rig: Any, database_url: str) -> None:
    spend(rig, 60)
    cut = 0

    def cutting_off(report: Any) -> None:
        nonlocal cut
        if report.stream == "card_transactions" and cut < 3:
            cut += 1
            with psycopg.connect(database_url, autocommit=True) as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    report = rig.sync("card_transactions", pages=5, progress=cutting_off)
    assert cut == 3
    failure = report.streams["card_transactions"].error
    assert failure is None or failure.startswith("the warehouse refused: ")
    assert rig.sync("card_transactions", pages=5).finished
    assert_equal(rig, "card_transactions")
    assert rig.gone() == set()


@pytest.mark.parametrize("later", [False, True], ids=["a first listing", "a later one"])
def test_a_connection_lost_in_the_middle_of_a_copy_costs_nothing(
    rig: Any, database_url: str, later: bool
) -> None:
    if later:
        spend(rig, 1)
        rig.sync("card_transactions")
    spend(rig, 600, prefix="many")
    url = sa.make_url(database_url)
    with cutting(url.port or 5432, after=150_000) as way:
        through = url.set(host="127.0.0.1", port=way.port)
        engine = open_engine(through.render_as_string(hide_password=False))
        report = rig.sync("card_transactions", engine=engine, full=True)
        engine.dispose()
    assert way.cut == 1
    assert report.finished, report.failed
    assert report.streams["card_transactions"].inserted == 600
    assert_equal(rig, "card_transactions")


PASSES = "IF nextval('public.struck') <= {times} THEN {what}; END IF;"
ENDED = "PERFORM pg_terminate_backend(pg_backend_pid())"
DEADLOCK = "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'"
SERIAL = "RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'"


@pytest.mark.parametrize("later", [False, True], ids=["copied", "merged"])
@pytest.mark.parametrize("what", [ENDED, DEADLOCK, SERIAL], ids=["ended", "deadlock", "serial"])
def test_what_may_pass_is_tried_again(
    rig: Any, trigger: Callable[[str, str], None], what: str, later: bool
) -> None:
    spend(rig, 5)
    if later:
        rig.sync("card_transactions")
        rig.world.collection("card_transactions").edit("t0001", description="edited")
    trigger("brex.card_transactions", PASSES.format(times=2, what=what))
    report = rig.sync("card_transactions")
    assert report.finished, report.failed
    assert rig.one("SELECT last_value FROM public.struck") > 2
    assert_equal(rig, "card_transactions")


def test_what_may_pass_and_does_not_is_given_up_in_one_sentence(
    rig: Any, trigger: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    spend(rig, 5)
    trigger("brex.card_transactions", PASSES.format(times=10**6, what=DEADLOCK))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.error == "the warehouse refused: deadlock detected"
    assert rig.one("SELECT last_value FROM public.struck") == 8


def test_what_cannot_pass_is_not_tried_again(rig: Any, trigger: Callable[[str, str], None]) -> None:
    spend(rig, 5)
    forbidden = "RAISE EXCEPTION 'not yours' USING ERRCODE = '42501'"
    trigger("brex.card_transactions", PASSES.format(times=10**6, what=forbidden))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.error is not None
    assert report.error.startswith("the warehouse refused: not yours: ")
    assert rig.one("SELECT last_value FROM public.struck") == 1
