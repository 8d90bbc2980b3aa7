"""Transactions in which marts are made: names without a schema are marts, then tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from brex_sync.errors import PostgresError
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.faults import first_line
from brex_sync.warehouse.schema.marts import SUFFIX


def schema_of(connection: str) -> str:
    """The schema with the marts of a connection."""
    return f"{connection}{SUFFIX}"


@contextmanager
def snapshot(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """A transaction that sees the tables as they are at its first statement, whatever is written to
    them meanwhile: all marts made in it are of one moment, and so are their ties."""
    with warehouse.begin() as db:
        db.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        path = f'"{schema_of(warehouse.schema)}", "{warehouse.schema}"'
        db.exec_driver_sql(f"SET LOCAL search_path = pg_catalog, {path}, pg_temp")
        yield db


def run(db: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    """Runs a statement as it is written: no `%` in it stands for a parameter."""
    return db.exec_driver_sql(statement, execution_options={"no_parameters": True})


def refused(error: PostgresError) -> str:
    """What Postgres says of a statement of a mart's, in one line.

    Raises:
        PostgresError: it is about the session and not about the statement.
    """
    if error.connection_lost:
        raise error
    diag = getattr(error.orig, "diag", None)
    parts = (getattr(diag, name, None) for name in ("message_detail", "message_hint"))
    said = first_line(error.orig) if error.orig else error.said
    return "; ".join([said, *(" ".join(part.split()).rstrip(".") for part in parts if part)])
