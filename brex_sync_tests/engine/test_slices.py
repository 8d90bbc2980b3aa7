"""A first read in slices of time: the whole list, side by side, resumable, proving no deletion."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from brex_sync.sandbox import create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.sync.read import plan
from brex_sync.warehouse.status import runs
from brex_sync_tests.conftest import SHORT, Rig
from brex_sync_tests.engine.truth import assert_equal

PATH = "/v1/expenses"


def broken() -> Fault:
    """Brex fails after 25 answers, some of them to the questions before the slices."""
    return Fault(FaultKind.STATUS, path=PATH, after=25, times=None, status=500)


def checkpoints(rig: Any) -> list[str]:
    return [
        s for (s,) in rig.rows("SELECT slice FROM brex_sync.checkpoints WHERE stream = 'expenses'")
    ]


def test_slices_are_all_of_time_and_meet() -> None:
    first, now = datetime(2024, 11, 1, tzinfo=UTC), datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
    spans = plan.cut(first, now, 32)
    assert len(spans) == 32
    assert (spans[0][0], spans[-1][1]) == (None, None)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    inner = [until for _, until in spans[:-1]]
    assert inner == sorted(inner)
    assert all(until.microsecond == 0 for until in inner)
    assert plan.cut(now, now, 32) == [(None, None)]
    assert len(plan.cut(now - timedelta(days=3), now, 32)) == 3


def test_the_first_read_is_cut_and_leaves_one_checkpoint(company: Any) -> None:
    report = company.sync("expenses", pages=5).streams["expenses"]
    assert report.inserted == 300
    assert_equal(company, "expenses")
    assert checkpoints(company) == [""]
    spans = {r.query for r in company.asked(PATH) if "updated_at_end" in r.query}
    assert len(spans) > 10
    watermark, full_at = company.rows(
        "SELECT watermark, full_at FROM brex_sync.checkpoints WHERE stream = 'expenses'"
    )[0]
    assert full_at is not None
    assert watermark <= company.now()
    company.requests.clear()
    company.sync("expenses", pages=5)
    assert all("updated_at_start" in r.query for r in company.asked(PATH)), "then the overlap alone"


def test_a_list_of_one_page_is_not_cut(engine: Any) -> None:
    rig = Rig(engine, create_world(card_transactions=60))
    rig.sync("expenses")
    assert len(rig.asked(PATH)) == 2
    assert_equal(rig, "expenses")


def test_a_run_that_failed_is_gone_on_from(company: Any) -> None:
    company.faults.add(broken())
    failed = company.sync("expenses", pages=5)
    assert not failed.finished
    held = company.one("SELECT count(*) FROM brex.expenses")
    assert 0 < held < 300
    assert runs.status(company.warehouse, STREAMS["expenses"]).behind
    assert runs.status(company.warehouse, STREAMS["expenses"]).synced_at is None
    company.faults.clear()
    report = company.sync("expenses", pages=5).streams["expenses"]
    assert report.finished
    assert report.inserted == 300 - held
    assert report.fetched < 300 - held + 100, "what was committed is not fetched again"
    assert_equal(company, "expenses")
    assert checkpoints(company) == [""]


@pytest.mark.parametrize("after", [0.05, 0.3, 0.6])
def test_a_run_stopped_at_any_moment_is_gone_on_from(company: Any, after: float) -> None:
    async def stopped() -> None:
        try:
            async with asyncio.timeout(after):
                await company.run("expenses", pages=5)
        except TimeoutError:
            pass

    asyncio.run(stopped())
    assert company.sync("expenses", pages=5).finished
    assert_equal(company, "expenses")
    assert checkpoints(company) == [""]
    assert company.rows("SELECT * FROM brex_sync.listed_keys") == []


def test_rows_that_change_while_slices_are_read_are_not_lost(company: Any) -> None:
    truth = company.world.collection("expenses")
    changed: list[str] = []

    def change(_: Any) -> None:
        if len(changed) < 20:
            key = truth.rows().ids[-1]
            truth.edit(key, memo="moved", updated_at=f"{company.now():%Y-%m-%dT%H:%M:%SZ}")
            changed.append(key)

    assert company.sync("expenses", pages=5, progress=change).finished
    assert len(changed) == 20
    assert_equal(company, "expenses")
    assert company.gone("expenses") == set()


def test_two_runs_at_once_end_as_one(company: Any) -> None:
    async def both() -> None:
        await asyncio.gather(company.run("expenses", pages=5), company.run("expenses", pages=5))

    asyncio.run(both())
    assert company.sync("expenses", pages=5).finished
    assert_equal(company, "expenses")
    assert checkpoints(company) == [""]


def test_rows_set_aside_in_a_slice_are_released_by_the_list(company: Any) -> None:
    truth = company.world.collection("expenses")
    odd = truth.rows().ids[150]
    memo = truth.get(odd)["memo"]
    truth.edit(odd, memo=5)
    company.sync("expenses", pages=5)
    assert company.rows("SELECT slice, key FROM brex_sync.quarantine") == [("", odd)]
    truth.edit(odd, memo=memo)
    company.sync("expenses", pages=5, full=True)
    assert company.rows("SELECT key FROM brex_sync.quarantine") == []
    assert_equal(company, "expenses")


def test_a_smaller_page_that_brex_asks_for_is_used_in_every_slice(company: Any) -> None:
    company.faults.add(Fault(FaultKind.SMALL_PAGES, path=PATH, times=None, limit=4))
    assert company.sync("expenses", pages=5).finished
    assert_equal(company, "expenses")


def test_a_row_that_is_gone_after_an_interrupted_read_is_found_by_a_full_one(company: Any) -> None:
    company.faults.add(broken())
    company.sync("expenses", pages=5, patience=SHORT)
    company.faults.clear()
    held = sorted(company.live("expenses"))
    company.world.collection("expenses").delete(held[0])
    company.sync("expenses", pages=5)
    company.sync("expenses", pages=5, full=True)
    assert_equal(company, "expenses")
    assert company.gone("expenses") == {held[0]}


def test_an_empty_list_is_asked_for_its_length_and_its_rows(rig: Rig) -> None:
    assert rig.sync("expenses").finished
    assert len(rig.asked(PATH)) == 2
