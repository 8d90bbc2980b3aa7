"""A real Postgres, and a rig that syncs a simulated Brex into it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from brex_sync.brex.client import BrexApi, BrexClient, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.embedded import EmbeddedPostgres
from brex_sync.sandbox import Faults, World, create_app, create_empty_world, create_world
from brex_sync.settings import load_settings
from brex_sync.streams import STREAMS, VIEWS, Stream
from brex_sync.sync.read.reading import Options
from brex_sync.sync.report import Report
from brex_sync.sync.run import Sync
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.pooler import pooled
from brex_sync_tests.worlds import trimmed

BREX_URL = "http://brex.test"
REFUSED = '{"type":"FORBIDDEN","message":"no scope"}'
"""A refusal as Brex words it."""
SHORT = Patience(attempts=3, first=0.01, longest=0.05)
FOR_HUNG = replace(SHORT, deadline=2)
"""For a server that never responds: one that does takes far less, on any machine."""
ROOM = 4 * 2**30
"""Bytes: a few servers, each with a few databases of 10 MB and what is written ahead."""
settings.register_profile(
    "here",
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("here")
_numbers = count()


def _in_memory() -> None:
    """Puts what tests write into memory, where the machine has a file system for it with room.

    Servers and databases are made and dropped by the hundred, and a disk is what they wait for.
    """
    shared = Path("/dev/shm")  # noqa: S108 - the folders made in it are private
    if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(shared)


_in_memory()


def streams_in_pages(limit: int | None = None) -> list[Stream]:
    """All streams, those that take a page limit with this one."""
    if limit is None:
        return list(STREAMS.values())
    return [
        replace(s, paging=replace(s.paging, limit=limit)) if s.paging.limit else s
        for s in STREAMS.values()
    ]


def end_leases(engine: sa.Engine) -> None:
    """Lets every lease end now, as if nobody had kept it for a minute."""
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.leases SET ends_at = clock_timestamp()")


def _unchanged(app: Any) -> Any:
    return app


@dataclass
class Rig:
    """A world, how it misbehaves, and a warehouse to sync it into."""

    engine: sa.Engine
    world: World
    faults: Faults = field(default_factory=Faults)
    later: timedelta = timedelta()
    wrap: Callable[[Any], Any] = _unchanged
    token: str = "bxt_sandbox"
    app: Any = None

    def __post_init__(self) -> None:
        self.app = create_app(self.world, faults=self.faults)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.engine, "brex")

    @property
    def requests(self) -> list[Any]:
        return self.app.state.requests

    def asked(self, path: str) -> list[Any]:
        """The requests to `path` that were answered with 200."""
        return [r for r in self.requests if r.path == path and r.status == 200]

    async def run(self, *names: str, pages: int | None = None, **kw: Any) -> Report:
        """Syncs the streams named, or all; keywords of `Options`, and of `Sync`."""
        engine = kw.pop("engine", self.engine)
        extra = {name: kw.pop(name) for name in ("progress", "run_id", "lease_terms") if name in kw}
        patience = kw.pop("patience", SHORT)
        options = Options(**kw)
        streams = [s for s in streams_in_pages(pages) if not names or s.name in names]
        async with BrexClient(
            BrexApi(BREX_URL, lambda: self.token),
            RateLimiter(),
            patience,
            transport=httpx.ASGITransport(self.wrap(self.app)),
        ) as client:
            sync = Sync(
                client,
                Warehouse(engine, "brex"),
                options_of=lambda _: options,
                clock=self.now,
                **extra,
            )
            return await sync.run(streams)

    def sync(self, *names: str, **kw: Any) -> Report:
        return asyncio.run(self.run(*names, **kw))

    def sync_twice(self, *names: str, **kw: Any) -> Report:
        """A run and another an hour later, which may confirm what the first one missed."""
        self.sync(*names, **kw)
        self.later += timedelta(hours=1)
        return self.sync(*names, **kw)

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as db:
            return [tuple(r) for r in db.execute(sa.text(statement), values)]

    def one(self, statement: str, **values: Any) -> Any:
        """The only value of the only row."""
        ((value,),) = self.rows(statement, **values)
        return value

    def live(self, table: str = "card_transactions") -> set[str]:
        return {r[0] for r in self.rows(f"SELECT id FROM brex.{table} WHERE _deleted_at IS NULL")}

    def gone(self, table: str = "card_transactions") -> set[str]:
        found = self.rows(f"SELECT id FROM brex.{table} WHERE _deleted_at IS NOT NULL")
        return {r[0] for r in found}


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A Postgres for this process's tests, faster than safe, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="brex-sync-tests-"))
    home.chmod(0o711)
    try:
        with EmbeddedPostgres(home, port=55000) as running:
            with psycopg.connect(running.url("postgres"), autocommit=True) as db:
                db.execute("ALTER SYSTEM SET fsync = off")
                db.execute("ALTER SYSTEM SET synchronous_commit = off")
                db.execute("SELECT pg_reload_conf()")
                db.execute("CREATE DATABASE prepared")
            engine = open_engine(running.url("prepared"))
            prepare(Warehouse(engine, "brex"), STREAMS.values(), VIEWS.values())
            engine.dispose()
            yield running
    finally:
        shutil.rmtree(home.joinpath("postgres").resolve(), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pooler", action="store_true", help="Reach databases through PgBouncer.")


@pytest.fixture(scope="session")
def reach(server: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Turns a URL of the server into the one to use: with --pooler, one through PgBouncer."""
    if not request.config.getoption("--pooler"):
        yield str
        return
    with pooled(server) as through:
        yield through


@pytest.fixture
def new_database(server: Any, reach: Callable[[str], str]) -> Iterator[Callable[[], str]]:
    """Makes fresh databases with the tables of a connection `brex`, dropped after the test."""
    made: list[str] = []

    def make() -> str:
        name = f"t{next(_numbers)}"
        with psycopg.connect(server.url("postgres"), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name} TEMPLATE prepared STRATEGY file_copy")
        made.append(name)
        return reach(str(server.url(name)))

    yield make
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        for name in made:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def rig(engine: sa.Engine) -> Rig:
    """An empty world, for precise tests."""
    return Rig(engine, create_empty_world())


@pytest.fixture
def company(engine: sa.Engine, request: pytest.FixtureRequest) -> Rig:
    """A company with 300 card transactions and a little of all else; whole, where marked so."""
    world = create_world(card_transactions=300)
    return Rig(engine, world if request.node.get_closest_marker("whole") else trimmed(world))


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings of ours, and an empty folder both to be in and as the home."""
    for name in [n for n in os.environ if n.startswith(("BREX_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BREX_SYNC_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
