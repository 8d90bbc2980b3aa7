"""SIGKILL at any moment, then one normal run: the warehouse equals the truth."""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.embedded import EmbeddedPostgres
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.crashing import (
    CARDS,
    PAGE,
    Ended,
    Moment,
    account,
    change,
    command,
    pages_of,
    requests_allowed,
    rig_of,
    standings,
)
from brex_sync_tests.engine.items import day, spent
from brex_sync_tests.engine.truth import assert_equal

PATHS = {"card_transactions": CARDS, "users": "/v2/users", "cards": "/v2/cards"}
KINDS = ["first", "incremental", "full"]


def prepared(engine: sa.Engine, kind: str) -> Rig:
    """A rig as it is before a run of this kind."""
    rig = rig_of(engine, account())
    if kind != "first":
        assert rig.sync(pages=PAGE).finished
        change(rig, back=10 if kind == "incremental" else 400)
        rig.requests.clear()
    return rig


def options(kind: str) -> list[str]:
    return ["--full"] if kind == "full" else []


def moments(requests: int, number: int) -> list[Moment]:
    """Moments spread over a run of so many requests, the same in every test run."""
    rng = random.Random(number)
    at = [1 + i * requests // number for i in range(number)]
    return [Moment(request, rng.uniform(0, 0.08)) for request in at]


def heal(rig: Rig, kind: str) -> None:
    """One normal run over what a kill has left, and all that must be true then."""
    left = standings(rig)
    for stream, _, fetched in rig.rows(
        "SELECT stream, slice = '', sum(fetched) FROM brex_sync.checkpoints GROUP BY 1, 2"
    ):
        held = rig.one(f"SELECT count(*) FROM brex.{stream}")
        assert fetched <= held, "the checkpoint is ahead of the data"
    assert_nothing_live_is_marked(rig)
    rig.world.collection("card_transactions").add(spent("after", day(rig.world, 0)))
    rig.requests.clear()
    report = rig.sync(pages=PAGE)
    assert report.finished, report.failed
    watermark = rig.one("SELECT max(watermark) FROM brex_sync.checkpoints WHERE slice = ''")
    overlap = pages_of(rig, "card_transactions", str(watermark - timedelta(days=14)))
    for stream, path in PATHS.items():
        allowed = requests_allowed(
            left.get((stream, "")),
            pages_of(rig, stream),
            overlap if stream == "card_transactions" else None,
        )
        asked = len(rig.asked(path))
        assert asked <= allowed, f"{stream}: {asked} requests, {allowed} allowed after {left}"
    began = left.get(("card_transactions", ""))
    if kind == "full" and began and not (began.full and (began.pages or not began.open)):
        rig.sync(pages=PAGE, full=True)
    assert_equal(rig)
    assert_nothing_live_is_marked(rig)


def assert_nothing_live_is_marked(rig: Rig) -> None:
    for table in ("users", "cards", "card_accounts", "cash_accounts", "card_transactions"):
        assert not rig.gone(table) & {item["id"] for item in rig.world.collection(table).items()}


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)


def killed_at(url: str, home: Path, kind: str, moment: Moment) -> Ended:
    """Kills a run at a moment, heals, and checks."""
    engine = open_engine(url)
    try:
        rig = prepared(engine, kind)
        ended = command(rig, home, *options(kind), moment=moment, strike=kill)
        assert "Traceback" not in ended.said, ended.said
        heal(rig, kind)
        return ended
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def requests_of(server: Any, tmp_path_factory: Any) -> Callable[[str], int]:
    """How many requests an undisturbed run of a kind makes."""

    @cache
    def count(kind: str) -> int:
        with psycopg.connect(server.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE whole_{kind} TEMPLATE prepared STRATEGY file_copy")
        engine = open_engine(server.url(f"whole_{kind}"))
        whole = command(prepared(engine, kind), tmp_path_factory.mktemp(kind), *options(kind))
        engine.dispose()
        assert whole.code == 0, whole.said
        return whole.requests

    return count


def test_a_killed_run_is_healed_by_the_next(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    ended = killed_at(new_database(), tmp_path, "first", Moment(20, 0.0))
    assert ended.code == -signal.SIGKILL
    assert ended.requests >= 20


@pytest.mark.crash
@pytest.mark.timeout(7200)  # a hundred runs, each killed: a slow machine takes far more than 900 s
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_any_moment_is_healed_by_the_next(
    new_database: Callable[[], str],
    requests_of: Callable[[str], int],
    tmp_path: Path,
    kind: str,
    capsys: Any,
) -> None:
    began, killed = time.monotonic(), 0
    swept = moments(requests_of(kind), 14)
    for moment in swept:
        ended = killed_at(new_database(), tmp_path, kind, moment)
        killed += ended.code == -signal.SIGKILL
    assert killed > len(swept) // 2
    tell(
        capsys,
        f"{kind} sync of {requests_of(kind)} requests: killed at {killed} of {len(swept)} "
        f"moments, healed every time, in {time.monotonic() - began:.0f} s",
    )


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="brex-sync-crash-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home.joinpath("postgres").resolve(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def backend(url: str) -> int:
    """The process of a session of the warehouse's in which something is under way, or any."""
    with psycopg.connect(url, autocommit=True) as db:
        found = db.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'brex_sync' "
            "AND datname = current_database() ORDER BY state DESC, xact_start LIMIT 1"
        ).fetchone()
    assert found
    return int(found[0])


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


@pytest.mark.crash
@pytest.mark.parametrize("victim", ["a backend", "the postmaster"])
def test_a_run_whose_postgres_is_killed_is_healed_by_the_next(
    own_home: Path,
    requests_of: Callable[[str], int],
    tmp_path: Path,
    victim: str,
    capsys: Any,
) -> None:
    began, survived = time.monotonic(), 0
    swept = [(kind, moment) for kind in KINDS for moment in moments(requests_of(kind), 3)]
    for number, (kind, moment) in enumerate(swept):
        name = f"{victim.split()[-1]}{number}"
        with EmbeddedPostgres(own_home, port=55300) as server:
            with psycopg.connect(server.url("postgres"), autocommit=True) as db:
                db.execute(f"CREATE DATABASE {name}")
            url = str(server.url(name))
            engine = open_engine(url)
            prepare(Warehouse(engine, "brex"), STREAMS.values(), VIEWS.values())

            def strike(child: Any, url: str = url) -> None:
                pid = backend(url) if victim == "a backend" else postmaster(own_home)
                os.kill(pid, signal.SIGKILL)

            rig = prepared(engine, kind)
            engine.dispose()
            ended = command(rig, tmp_path, *options(kind), moment=moment, strike=strike)
            assert "Traceback" not in ended.said, ended.said
            assert ended.code in (0, 1), ended.said
            survived += ended.code == 0
            await_postgres(own_home, url)
        with EmbeddedPostgres(own_home, port=55300) as server:
            rig.engine = open_engine(str(server.url(name)))
            heal(rig, kind)
            rig.engine.dispose()
    tell(
        capsys,
        f"{victim} killed at {len(swept)} moments: {survived} runs went on by themselves, "
        f"all were healed, in {time.monotonic() - began:.0f} s",
    )


def await_postgres(home: Path, url: str) -> None:
    """Waits until Postgres, if it is still there, has recovered."""
    for _ in range(100):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError as error:
            if "refused" in str(error):
                return
            time.sleep(0.1)


def tell(capsys: Any, line: str) -> None:
    with capsys.disabled():
        print(f"\n  {line}")
