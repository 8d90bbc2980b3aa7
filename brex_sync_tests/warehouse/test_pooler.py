"""Through a pooler that gives every transaction another session, and few sessions to everybody."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.http_server import running
from brex_sync.sandbox import create_app, create_world
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.state import leases, run_log
from brex_sync_tests.conftest import Rig
from brex_sync_tests.pooler import pooled

pytestmark = [pytest.mark.pooler, pytest.mark.timeout(900)]
SESSIONS = 2


@pytest.fixture(scope="module")
def through(server: Any) -> Iterator[Callable[[str], str]]:
    with pooled(server, SESSIONS) as through:
        yield through


@pytest.fixture
def url(through: Callable[[str], str], database_url: str) -> str:
    return through(database_url)


@pytest.fixture
def rig(url: str) -> Iterator[Rig]:
    engine = open_engine(url)
    yield Rig(engine, create_world(card_transactions=300))
    engine.dispose()


def spoil(url: str) -> None:
    """What a neighbour who minds nothing leaves in the sessions that all share."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as db:
        for setting in ("search_path = elsewhere", "timezone = 'Asia/Tokyo'", "datestyle = German",
                        "default_transaction_read_only = on"):  # fmt: skip
            db.execute(f"SET {setting}")  # type: ignore[arg-type]


def test_syncs_are_exact_whatever_neighbours_leave(rig: Rig, url: str) -> None:
    spoil(url)
    report = rig.sync()
    assert report.finished
    spoil(url)
    assert rig.sync().finished
    assert rig.one("SELECT count(*) FROM brex.card_transactions") == 300


def test_nothing_is_left_to_neighbours(rig: Rig, url: str, database_url: str) -> None:
    assert rig.sync("users", "card_transactions").finished
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as db:
        assert db.execute("SHOW search_path").fetchone() == ('"$user", public',)
        assert db.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
    with psycopg.connect(database_url, autocommit=True) as db:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert db.execute(held).fetchone() == (0,)


def environment(url: str, brex: str, home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "PG", "DAGSTER_"))}
    return {
        **kept,
        "BREX_SYNC_HOME": str(home),
        "BREX_SYNC_DATABASE_URL": url,
        "BREX_CONFIGURATION": "brex-api-key",
        "BREX_API_KEY": "bxt_sandbox",
        "BREX_API_URL": brex,
    }


def command(env: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "brex_sync", *words],
        cwd=env["BREX_SYNC_HOME"], env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_killed_run_is_called_interrupted_and_the_next_one_is_whole(
    rig: Rig, url: str, tmp_path: Path
) -> None:
    slow = create_app(create_world(card_transactions=300), latency=0.2)
    with running(slow) as brex:
        env = environment(url, brex, tmp_path)
        child = subprocess.Popen([sys.executable, "-m", "brex_sync", "sync"], cwd=tmp_path, env=env)
        while not slow.state.requests or rig.one("SELECT count(*) FROM brex_sync.runs") == 0:
            assert child.poll() is None
            time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
        child.wait()
        while not run_log.mark_interrupted(rig.engine, run_log.dead(rig.engine, "brex")):
            time.sleep(1)
        done = command(env, "sync", "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
        states = rig.rows("SELECT state FROM brex_sync.runs ORDER BY started_at")
        assert [state for (state,) in states] == ["interrupted", "finished"]
        status = command(env, "status")
        assert "Traceback" not in status.stdout + status.stderr
        assert re.search(r"card_transactions\s", status.stdout)


def test_one_process_alone_claims_a_run_of_a_workflow(rig: Rig, url: str) -> None:
    other = open_engine(url)
    with leases.held(rig.engine, leases.WORKFLOW, "one") as mine:
        assert mine
        for engine in (other, rig.engine):
            with leases.held(engine, leases.WORKFLOW, "one") as theirs:
                assert theirs is None
        with leases.held(other, leases.WORKFLOW, "another") as free:
            assert free
    with leases.held(other, leases.WORKFLOW, "one") as again:
        assert again
    other.dispose()


def test_many_processes_share_few_sessions(rig: Rig, url: str) -> None:
    """Each transaction waits for its turn, and none holds a session while it waits for a second."""
    engines = [open_engine(url) for _ in range(6)]
    rigs = [Rig(engine, rig.world) for engine in engines]
    for one in rigs:
        assert one.sync("users", "departments", "card_transactions").streams
    for engine in engines:
        with engine.begin() as db:
            assert db.scalar(sa.text("SELECT count(*) FROM brex.users")) > 0  # type: ignore[operator]
        engine.dispose()
