"""Reads the marts as a person does: one state of the warehouse, and nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import sqlalchemy as sa

from brex_sync.marts.session import schema_of

PATIENCE = 15
"""Seconds that one query may take, if not said."""


class ColumnKind(StrEnum):
    """What a column of a mart holds, as far as a filter or a page must know."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    MOMENT = "moment"
    TRUTH = "truth"
    OTHER = "other"


_KINDS = {
    "text": ColumnKind.TEXT,
    "varchar": ColumnKind.TEXT,
    "int2": ColumnKind.NUMBER,
    "int4": ColumnKind.NUMBER,
    "int8": ColumnKind.NUMBER,
    "numeric": ColumnKind.NUMBER,
    "date": ColumnKind.DATE,
    "timestamptz": ColumnKind.MOMENT,
    "bool": ColumnKind.TRUTH,
}


@contextmanager
def read_only(engine: sa.Engine, patience: int = PATIENCE) -> Iterator[sa.Connection]:
    """A read-only transaction in which every query sees the same state.

    `patience` is in seconds, for each query.

    Raises:
        PostgresError: the warehouse cannot be asked, or a query took too long.
    """
    with engine.connect() as db:
        db.exec_driver_sql(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; "
            f"SET LOCAL statement_timeout = '{int(patience)}s'"
        )
        yield db


def filled_marts(db: sa.Connection, connection: str) -> frozenset[str]:
    """The names of a connection's marts that can be read; one never refreshed cannot."""
    found = db.execute(
        sa.text(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = :schema AND c.relkind IN ('r', 'v', 'm') AND c.relispopulated"
        ),
        {"schema": schema_of(connection)},
    )
    return frozenset(found.scalars())


def columns_of(db: sa.Connection, connection: str, mart: str) -> dict[str, ColumnKind]:
    """The columns of a mart in their order; none where there is no such mart."""
    found = db.execute(
        sa.text(
            "SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = :schema AND c.relname = :mart AND a.attnum > 0 "
            "AND NOT a.attisdropped ORDER BY a.attnum"
        ),
        {"schema": schema_of(connection), "mart": mart},
    )
    return {row.attname: _KINDS.get(row.typname, ColumnKind.OTHER) for row in found}
