"""One database for all tests of the engine, emptied before each: quicker than one of their own."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.sandbox import create_empty_world
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.conftest import Rig

TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
    "WHERE schemaname IN ('brex', 'brex_history', 'brex_sync') AND tablename <> 'stream_requests'"
)


@pytest.fixture(autouse=True)
def _small_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are short here: a commit must not take all of one, or nothing is ever half read."""
    monkeypatch.setattr("brex_sync.sync.read.walking.PAGES_AHEAD", 4)


@pytest.fixture(scope="session")
def _shared(server: Any, reach: Callable[[str], str]) -> Iterator[tuple[str, sa.Engine]]:
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE engine TEMPLATE prepared STRATEGY file_copy")
    url = reach(str(server.url("engine")))
    engine = open_engine(url)
    yield url, engine
    engine.dispose()


@pytest.fixture
def emptied(_shared: tuple[str, sa.Engine]) -> Callable[[], sa.Engine]:
    """Empties the database and returns its pool, which has seen other tests: as in a daemon.

    The digests of requests stay, as the tables do: without them each stream is read again.
    """
    _, engine = _shared

    def empty() -> sa.Engine:
        with engine.begin() as db:
            for table in db.scalars(sa.text(TABLES)).all():
                db.execute(sa.text(f"DELETE FROM {table}"))
            db.execute(sa.text("DELETE FROM brex_sync.stray_deletions"))
        return engine

    return empty


@pytest.fixture
def engine(emptied: Callable[[], sa.Engine]) -> sa.Engine:
    return emptied()


@pytest.fixture
def database_url(_shared: tuple[str, sa.Engine]) -> str:
    return _shared[0]


@pytest.fixture
def apart(new_database: Callable[[], str]) -> Iterator[Rig]:
    """An empty world with a database of its own, for tests that change tables."""
    engine = open_engine(new_database())
    yield Rig(engine, create_empty_world())
    engine.dispose()


@pytest.fixture
def trigger(engine: sa.Engine) -> Iterator[Callable[[str, str], None]]:
    """Lets Postgres run statements before it writes a row to a table, until the test ends.

    They can count with `nextval('public.struck')`, which no rollback takes back.
    """

    def install(table: str, statements: str) -> None:
        with engine.begin() as db:
            db.exec_driver_sql("CREATE SEQUENCE public.struck")
            db.exec_driver_sql(
                "CREATE FUNCTION public.strike() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {statements} RETURN NEW; END $$"
            )
            db.exec_driver_sql(
                f"CREATE TRIGGER strike BEFORE INSERT OR UPDATE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION public.strike()"
            )

    yield install
    with engine.begin() as db:
        db.exec_driver_sql("DROP FUNCTION IF EXISTS public.strike() CASCADE")
        db.exec_driver_sql("DROP SEQUENCE IF EXISTS public.struck")
