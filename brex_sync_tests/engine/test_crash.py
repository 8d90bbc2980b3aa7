"""SIGKILL at any moment, then one normal run: the warehouse equals the truth."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app
from brex_sync.sandbox.server import running
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
CHILD = """
import asyncio, os
from brex_sync.brex.client import BrexClient, Endpoint
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.sync.run import Sync
from brex_sync.warehouse.database import open_warehouse
from brex_sync_tests.conftest import streams_in_pages

async def main():
    engine = open_warehouse(os.environ["WAREHOUSE"])
    endpoint = Endpoint(os.environ["BREX"], lambda: "bxt_sandbox")
    async with BrexClient(endpoint, RateLimiter()) as client:
        print("begun", flush=True)
        report = await Sync("brex", client, engine).run(streams_in_pages(20))
    print("finished" if report.finished else report.failed, flush=True)

asyncio.run(main())
"""


def kill_after(rig: Rig, url: str, seconds: float) -> None:
    """Syncs in a child that is killed so long after it began."""
    warehouse = rig.engine.url.render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"WAREHOUSE": warehouse, "BREX": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "begun\n"
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)


def check(engine: Any, seconds: float) -> None:
    world = World(card_transactions=400)
    rig = Rig(engine, world)
    with running(create_app(world)) as url:
        kill_after(rig, url, seconds)
    held = rig.one("SELECT count(*) FROM brex.card_transactions")
    committed = rig.rows(
        "SELECT fetched, watermark, window_pages FROM brex_sync.checkpoints "
        "WHERE stream = 'card_transactions'"
    )
    for fetched, watermark, _ in committed:
        assert fetched == held, "the checkpoint and the rows are committed together"
        assert watermark is None or held == 400
    report = rig.sync(pages=20)
    assert report.finished, report.failed
    overlap = sum(r[0] for r in rig.rows(
        "SELECT count(*) FROM brex.card_transactions WHERE posted_at_date >= current_date - 15"
    ))  # fmt: skip
    assert report.streams["card_transactions"].fetched <= 400 - held + 20 + overlap
    assert_equal(rig)
    assert rig.one("SELECT count(*) FROM brex.card_transactions WHERE _deleted_at IS NOT NULL") == 0


@pytest.mark.parametrize("seconds", [0.4, 0.9])
def test_a_killed_run_is_healed_by_the_next(engine: Any, seconds: float) -> None:
    check(engine, seconds)


@pytest.mark.crash
@pytest.mark.parametrize("seconds", [round(0.05 + 0.1 * i, 2) for i in range(20)])
def test_a_run_killed_at_any_moment_is_healed_by_the_next(engine: Any, seconds: float) -> None:
    check(engine, seconds)
