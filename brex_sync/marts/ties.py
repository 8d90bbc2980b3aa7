"""What must hold of the rows of marts, asked of Postgres."""

from dataclasses import dataclass

import sqlalchemy as sa

from brex_sync.errors import MartError, PostgresError
from brex_sync.marts.declare import Mart, Tie, bound
from brex_sync.marts.session import refused, run, schema_of
from brex_sync.warehouse.schema.columns import listed

KEY = "key_is_unique"
SHOWN = 10
"""How many of the rows that break a tie are kept and shown."""


@dataclass(frozen=True, slots=True)
class Tied:
    """How many rows break a tie, and the first of them as JSON texts. None holds it."""

    broken: int
    rows: tuple[str, ...] = ()


def of(mart: Mart) -> dict[str, Tie]:
    """The ties of a mart: that its key is one, and those it declares."""
    return {KEY: _of_key(mart), **mart.ties}


def check(db: sa.Connection, connection: str, mart: Mart) -> dict[str, Tied]:
    """The ties of a mart, asked in the transaction of `db`.

    Raises:
        MartError: Postgres refuses a query.
    """
    return {name: _check(db, connection, mart, name, tie) for name, tie in of(mart).items()}


def count(db: sa.Connection, connection: str, mart: Mart) -> int:
    """How many rows a mart has."""
    rows: int = run(
        db, f'SELECT count(*) FROM "{schema_of(connection)}"."{mart.name}"'
    ).scalar_one()
    return rows


def _of_key(mart: Mart) -> Tie:
    key = listed(mart.key)
    return Tie(
        f"No two rows have the same {', '.join(mart.key)}.",
        f'SELECT {key}, count(*) AS rows FROM "{mart.name}" GROUP BY {key} HAVING count(*) > 1',
    )


def _check(db: sa.Connection, connection: str, mart: Mart, name: str, tie: Tie) -> Tied:
    query = bound(tie.query.strip().rstrip(";"), connection)
    asked = (
        f"SELECT count(*) OVER (), to_jsonb(broken)::text FROM (\n{query}\n) broken LIMIT {SHOWN}"
    )
    try:
        with db.begin_nested():
            rows = run(db, asked).all()
    except PostgresError as error:
        raise MartError(mart.path, f"the tie {name}: Postgres: {refused(error)}") from error
    return Tied(rows[0][0] if rows else 0, tuple(row[1] for row in rows))
