"""Killed, taken over, run twice at once: the tables equal the API, and nothing is read twice."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.brex.strict_json import Page
from brex_sync.sandbox import World
from brex_sync.sandbox.faults import Fault, Kind
from brex_sync.streams import STREAMS
from brex_sync.sync.report import StreamReport
from brex_sync.sync.walking import prepare
from brex_sync.warehouse import checkpoints, load
from brex_sync.warehouse.checkpoints import Fenced, Scope, Slice, Window
from brex_sync.warehouse.database import open_warehouse
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import spent

CARDS = "/v2/transactions/card/primary"


class Killed(BaseException):
    """Ends a run as abruptly as a process can end itself."""


def truth(rig: Rig) -> set[str]:
    return {t["id"] for t in rig.world.collection("card_transactions").items()}


@pytest.mark.parametrize("page", [1, 3, 5])
def test_a_killed_run_is_continued_where_it_was(company: Rig, page: int) -> None:
    def kill(report: StreamReport) -> None:
        if report.stream == "card_transactions" and report.fetched >= 50 * page:
            raise Killed

    with pytest.raises(Killed):
        company.sync("card_transactions", pages=50, progress=kill)
    committed = len(company.live())
    assert committed >= 50 * page
    company.requests.clear()
    company.world.collection("card_transactions").add(spent("new", str(company.world.today)))
    report = company.sync("card_transactions", pages=50)
    assert report.finished
    assert company.live() == truth(company)
    overlap = (
        1
        + sum(
            t["posted_at_date"] >= str(company.world.today - timedelta(days=14))
            for t in company.world.collection("card_transactions").items()
        )
        // 50
    )
    left = 7 - committed // 50
    assert len(company.asked(CARDS)) <= left + 1 + overlap


def test_two_runs_at_once_end_as_one_after_the_other(company: Rig) -> None:
    async def both() -> Any:
        return await asyncio.gather(company.run(pages=50), company.run(pages=50))

    asyncio.run(both())
    company.sync(pages=50)
    assert company.live() == truth(company)
    assert len(company.live("users")) == len(company.world.collection("users"))


def test_a_run_that_was_taken_over_commits_nothing(rig: Rig) -> None:
    stream = STREAMS["users"]
    slept = checkpoints.open_lease(rig.engine, Slice("brex", stream))
    window = checkpoints.begin_window(
        rig.engine, slept, Window(1, Scope.FULL, None, rig.now(), 1000)
    )
    checkpoints.open_lease(rig.engine, Slice("brex", stream))
    _, staged = prepare(stream, Page((b'{"id":"u1","first_name":"A"}',), None), None)
    with pytest.raises(Fenced):
        load.commit_pages(rig.engine, slept, window, staged)
    assert rig.live("users") == set()


def test_no_reader_ever_sees_a_checkpoint_ahead_of_the_data(company: Rig) -> None:
    reader = open_warehouse(company.engine.url.render_as_string(hide_password=False))
    seen: list[tuple[int, int]] = []

    def look(report: StreamReport) -> None:
        with reader.connect() as db:
            seen.append(
                tuple(  # type: ignore[arg-type]
                    db.execute(
                        sa.text(
                            "SELECT coalesce((SELECT sum(fetched) FROM brex_sync.checkpoints WHERE "
                            "stream = 'card_transactions'), 0)::int, "
                            "(SELECT count(*) FROM brex.card_transactions)::int"
                        )
                    ).one()
                )
            )

    company.sync("card_transactions", pages=5, progress=look)
    reader.dispose()
    assert len(seen) > 10
    assert all(claimed <= held for claimed, held in seen)


def test_a_lost_connection_to_postgres_is_survived(company: Rig) -> None:
    lost = []

    def cut(report: StreamReport) -> None:
        if report.stream == "card_transactions" and report.fetched >= 100 and not lost:
            lost.append(True)
            other = open_warehouse(company.engine.url.render_as_string(hide_password=False))
            with other.begin() as db:
                db.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            other.dispose()

    company.sync(pages=50, progress=cut)
    assert lost
    report = company.sync(pages=50)
    assert report.finished, [s.error for s in report.failed]
    assert company.live() == truth(company)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 40)),
        st.tuples(st.just("edit"), st.integers(0, 30)),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("move"), st.integers(0, 300)),
        st.tuples(st.just("fail"), st.integers(0, 4)),
        st.tuples(st.just("sync"), st.just(0)),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(history=steps)
@pytest.mark.timeout(300)
def test_after_any_history_the_table_equals_the_api(new_database: Any, history: Any) -> None:
    engine = open_warehouse(new_database())
    rig = Rig(engine, World.empty())
    collection = rig.world.collection("card_transactions")
    today = rig.world.today
    for n in range(12):
        collection.add(spent(f"first{n}", str(today - timedelta(days=n * 3))))
    for n, (what, number) in enumerate(history):
        ids = collection.rows().ids
        key = ids[number % len(ids)] if ids else None
        if what == "add":
            collection.add(spent(f"t{n}", str(today - timedelta(days=number - 5)), amount=n))
        elif what == "sync":
            rig.sync("card_transactions", pages=3)
        elif what == "fail":
            rig.faults.add(Fault(Kind.STATUS, CARDS, times=3, after=number, status=500))
            rig.sync("card_transactions", pages=3)
            rig.faults.clear()
        elif key is not None and what == "edit":
            collection.edit(key, description=f"edited {n}")
        elif key is not None and what == "delete":
            collection.delete(key)
        elif key is not None:
            collection.edit(key, posted_at_date=str(today - timedelta(days=number)))
        assert not rig.gone() & set(collection.rows().ids) or what != "sync"
    report = rig.sync("card_transactions", pages=3, full=True)
    assert report.finished
    here = {
        (r[0], r[1], str(r[2]), r[3])
        for r in rig.rows(
            "SELECT id, description, posted_at_date, amount_minor FROM brex.card_transactions "
            "WHERE _deleted_at IS NULL"
        )
    }
    there = {
        (t["id"], t["description"], t["posted_at_date"], t["amount"]["amount"])
        for t in collection.items()
    }
    engine.dispose()
    assert here == there
