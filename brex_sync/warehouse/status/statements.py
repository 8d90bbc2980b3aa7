"""Statements against the transactions that should explain them."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from brex_sync.streams.declare import Statement, Stream
from brex_sync.warehouse.schema.columns import listed
from brex_sync.warehouse.warehouse import Warehouse

USD = "USD"
"""What Brex means where it names no currency."""
SHOWN = 20
"""Rows of a statement's period that are shown where its balances do not add up."""


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A statement whose end is not its start plus the transactions of its period.

    Amounts are minor units of `currency`; the period ends before `end`. `rows` are its
    transactions, those of just the difference first, then those that changed last, deleted ones
    included.
    """

    statement: str
    start: date
    end: date
    currency: str
    by_brex: int
    by_rows: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.statement}, {self.start} until before {self.end}: ends with {self.by_brex} at "
            f"Brex and {self.by_rows} by the transactions, {self.by_brex - self.by_rows} apart "
            f"({self.currency}, smallest unit)"
        )


def count(warehouse: Warehouse, stream: Stream) -> int:
    """How many statements there are to check."""
    with warehouse.connect() as db:
        sql = f'SELECT count(*) FROM "{warehouse.schema}"."{stream.name}" WHERE _deleted_at IS NULL'
        return int(db.scalar(sa.text(sql)) or 0)


def unexplained(warehouse: Warehouse, stream: Stream) -> list[Unexplained]:
    """The statements whose balances do not add up, newest first; those without one are left out.

    Signs are as the tables have them: of a card account what is owed, so purchases add to it; of
    a cash account what is held, so what is received does.
    """
    said = stream.statement
    if said is None:
        return []
    with warehouse.connect() as db:
        found = db.execute(sa.text(_sql(warehouse.schema, stream, said))).all()
        rows = sa.text(_rows_sql(warehouse.schema, stream, said))
        return [_told(row, tuple(db.scalars(rows, row._asdict()))) for row in found]


def _told(row: sa.Row[Any], rows: tuple[str, ...]) -> Unexplained:
    return Unexplained(
        row.statement, row.first, row.until, row.currency, int(row.by_brex), int(row.by_rows), rows
    )


def _sql(schema: str, stream: Stream, said: Statement) -> str:
    return f"""
        SELECT * FROM (
            SELECT concat_ws(' ', {listed(stream.key, "s")}) AS statement,
                s.period_start_date AS first, s.period_end_date AS until, m.currency,
                s.end_balance_minor AS by_brex, {_parent(stream)} AS parent,
                s.start_balance_minor + (
                    SELECT coalesce(sum(t."{said.amount}_minor"), 0)
                    FROM "{schema}"."{said.explained_by}" t
                    WHERE t._deleted_at IS NULL AND t."{said.dated}" >= s.period_start_date
                      AND t."{said.dated}" < s.period_end_date {_same_parent(stream)}
                      AND coalesce(t."{said.amount}_currency", '{USD}') = m.currency
                ) AS by_rows
            FROM "{schema}"."{stream.name}" s
            CROSS JOIN LATERAL (
                SELECT coalesce(s.end_balance_currency, '{USD}') AS currency
            ) m
            WHERE s._deleted_at IS NULL
        ) added
        WHERE by_brex <> by_rows
        ORDER BY first DESC, statement
    """


def _rows_sql(schema: str, stream: Stream, said: Statement) -> str:
    amount = f't."{said.amount}_minor"'
    mine = f't."{stream.parent.into}" = :parent' if stream.parent else "true"
    return f"""
        SELECT concat_ws(' ', t.id, t."{said.dated}", {amount},
            CASE WHEN t._deleted_at IS NOT NULL THEN 'deleted' END)
        FROM "{schema}"."{said.explained_by}" t
        WHERE t."{said.dated}" >= :first AND t."{said.dated}" < :until AND {mine}
          AND coalesce(t."{said.amount}_currency", '{USD}') = :currency
        ORDER BY abs({amount}) = abs(:by_brex - :by_rows) DESC NULLS LAST, t._changed_at DESC, t.id
        LIMIT {SHOWN}
    """


def _parent(stream: Stream) -> str:
    return f's."{stream.parent.into}"' if stream.parent else "NULL"


def _same_parent(stream: Stream) -> str:
    return f'AND t."{stream.parent.into}" = s."{stream.parent.into}"' if stream.parent else ""
