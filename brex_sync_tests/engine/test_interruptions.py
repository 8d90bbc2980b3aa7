"""Runs that overlap, are overtaken, cut off or killed."""

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from brex_sync.brex.strict_json import Page
from brex_sync.streams import STREAMS
from brex_sync.sync.walking import prepare
from brex_sync.warehouse import checkpoints, load
from brex_sync.warehouse.checkpoints import Fenced, Scope, Slice, Window
from brex_sync.warehouse.database import open_warehouse
from brex_sync_tests.engine.items import spend
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"


class Killed(BaseException):
    """Stands for a process that ends, whatever handlers there are."""


def ending_after(rig: Any, pages: int) -> Any:
    """An application whose process ends once so many pages are committed."""

    def progress(report: Any) -> None:
        if rig.one("SELECT max(window_pages) FROM brex_sync.checkpoints") >= pages:
            raise Killed

    return progress


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_a_run_goes_on_from_the_last_committed_page(rig: Any, pages: int) -> None:
    spend(rig, 40, back=100)
    with pytest.raises((Killed, BaseExceptionGroup)):
        rig.sync("card_transactions", pages=5, progress=ending_after(rig, pages))
    held = len(rig.live())
    assert held >= 5 * pages
    assert rig.one("SELECT watermark FROM brex_sync.checkpoints") is None
    rig.requests.clear()
    report = rig.sync("card_transactions", pages=5)
    assert report.finished
    first = [r for r in rig.asked(CARDS) if "cursor" not in r.query]
    assert len(first) <= 1, "only the overlap window begins anew"
    assert report.streams["card_transactions"].fetched <= 40 - held + 5 + 15
    assert_equal(rig, "card_transactions")


def test_the_checkpoint_is_never_ahead_of_the_data(rig: Any) -> None:
    spend(rig, 30)
    ahead: list[Any] = []

    def look(report: Any) -> None:
        state, rows = rig.rows(
            "SELECT fetched, (SELECT count(*) FROM brex.card_transactions) "
            "FROM brex_sync.checkpoints"
        )[0]
        if state > rows:
            ahead.append((state, rows))

    rig.sync("card_transactions", pages=3, progress=look)
    assert ahead == []


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


def test_a_run_that_was_taken_over_commits_nothing_when_it_wakes(rig: Any) -> None:
    spend(rig, 3)
    rig.sync("card_transactions")
    slice_ = Slice("brex", STREAMS["card_transactions"])
    paused = checkpoints.open_lease(rig.engine, slice_)
    window = checkpoints.begin_window(
        rig.engine, paused, Window(paused.state.last_number + 1, Scope.FULL, None, rig.now(), 10)
    )
    checkpoints.open_lease(rig.engine, slice_)
    before = rig.rows("SELECT * FROM brex_sync.checkpoints")
    _, intruder = prepare(slice_.stream, Page((b'{"id":"intruder"}',), None), None)
    with pytest.raises(Fenced):
        load.commit_pages(rig.engine, paused, window, intruder)
    with pytest.raises(Fenced):
        load.store_item(rig.engine, paused, intruder)
    assert "intruder" not in rig.live()
    assert rig.rows("SELECT * FROM brex_sync.checkpoints") == before


def test_lost_connections_to_postgres_are_survived(rig: Any, database_url: str) -> None:
    spend(rig, 60)
    cut = 0

    def cutting(report: Any) -> None:
        nonlocal cut
        if report.stream == "card_transactions" and cut < 3:
            cut += 1
            with psycopg.connect(database_url, autocommit=True) as db:
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    engine = open_warehouse(database_url)
    report = rig.sync("card_transactions", pages=5, progress=cutting, engine=engine)
    engine.dispose()
    assert cut == 3
    failure = report.streams["card_transactions"].error
    assert failure is None or failure.startswith("the warehouse refused: ")
    rig.engine.dispose()
    assert rig.sync("card_transactions", pages=5).finished
    assert_equal(rig, "card_transactions")
    assert rig.gone() == set()


def test_a_page_the_server_committed_though_the_answer_was_lost_is_not_done_twice(
    rig: Any,
) -> None:
    lease = checkpoints.open_lease(rig.engine, Slice("brex", STREAMS["card_transactions"]))
    window = checkpoints.begin_window(rig.engine, lease, Window(1, Scope.FULL, None, rig.now(), 10))
    _, staged = prepare(lease.slice.stream, Page((b'{"id":"a"}',), None), None)
    after = replace(window, pages=1)
    first = load.commit_pages(rig.engine, lease, after, staged)
    assert load.commit_pages(rig.engine, lease, after, staged) == first
    assert first.counts.inserted == 1
