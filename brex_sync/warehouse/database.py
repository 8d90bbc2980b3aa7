"""Connections to the warehouse."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import psycopg
import sqlalchemy as sa

from brex_sync.errors import PostgresUnavailable
from brex_sync.warehouse import faults, sessions
from brex_sync.warehouse.moments import tolerate
from brex_sync.warehouse.warehouse import Warehouse

INTERNAL = "brex_sync"
"""The schema with checkpoints, quarantine and the log of runs."""


def with_driver(url: str, driver: str) -> sa.URL:
    """A Postgres URL in whatever spelling (`postgres://`, bare, with a driver), for `driver`.

    Raises:
        ValueError: it is no Postgres URL.
    """
    scheme = urlsplit(url).scheme.partition("+")[0]
    if scheme not in ("postgres", "postgresql"):
        raise ValueError("expected a URL of the form postgresql://user:password@host:5432/database")
    rest = url.partition("://")[2]
    return sa.make_url(f"postgresql+{driver}://{rest}")


def open_engine(url: str, *, connections: int = 8) -> sa.Engine:
    """A pool of at most `connections` connections, checked before use; every session is as
    `sessions` says.

    The first connection raises UnfitDatabase where the server or the database will not do.
    """
    sessions.forget_environment()
    parsed = with_driver(url, "psycopg")
    engine = sa.create_engine(
        parsed,
        poolclass=_Pool,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        use_native_hstore=False,
        connect_args=sessions.parameters(parsed),
    )
    sessions.check_first(engine)
    return _as_ours(tolerate(engine))


class _Pool(sa.QueuePool):
    """A pool whose want of a free connection is an error of ours too."""

    def connect(self) -> sa.PoolProxiedConnection:
        """A connection of the pool's.

        Raises:
            PostgresUnavailable: none became free in time.
        """
        try:
            return super().connect()
        except sa.exc.TimeoutError as error:
            raise PostgresUnavailable("all connections of this process are in use") from error


def apart(engine: sa.Engine) -> sa.Engine:
    """The same warehouse through connections of its own, for what must not wait for others.

    The caller disposes of it.
    """
    other = sa.Engine(engine.pool.recreate(), engine.dialect, engine.url)
    return _as_ours(other)


def _as_ours(engine: sa.Engine) -> sa.Engine:
    sessions.begin_alike(engine)
    faults.translate(engine)
    return engine


def clock(warehouse: Warehouse) -> datetime:
    """The warehouse's time, by which its rows are stamped."""
    with warehouse.connect() as db:
        return db.execute(sa.select(sa.func.now())).scalar_one()


@contextmanager
def driver_cursor(db: sa.Connection) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """A cursor of the psycopg connection below SQLAlchemy's, for COPY.

    Raises:
        PostgresError: the driver refused.
    """
    driver = db.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("the warehouse is reached through psycopg")
    try:
        with driver.cursor() as cursor:
            yield cursor
    except psycopg.Error as error:
        if driver.broken:
            db.invalidate(error)
        raise faults.of_statement(error, lost=driver.broken) from error
