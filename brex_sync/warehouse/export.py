"""Rows of tables and views as CSV, exactly as Postgres holds them, for files outside of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from brex_sync.warehouse.database import driver_cursor

CHANGED_AT = "_changed_at"
_HORIZON = """
    SELECT least(clock_timestamp(), (
        SELECT min(xact_start) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    ))
"""
_RELATIONS = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY c.relname
"""
_COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :relation AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_TEXTS = frozenset({"text", "character varying", "character"})
_TIMES = "timestamp with time zone"
_UNCHANGED = frozenset({"numeric", "bigint", "integer", "smallint", "boolean", "date"})
_DIGITS = """
    coalesce(max(length(trunc(abs({0}))::text)), 0), coalesce(max(scale(trim_scale({0}))), 0)
"""
_FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that a spreadsheet takes for a formula (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column: its name, and its Postgres type without modifiers, such as `numeric`."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A table or view to export, and its columns, in order."""

    schema: str
    name: str
    columns: tuple[ExportColumn, ...]

    @property
    def is_incremental(self) -> bool:
        """Whether its changed rows can be told by the time of their change."""
        return any(column.name == CHANGED_AT for column in self.columns)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows changed at `since` or later, and before `until`; None for no bound."""

    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Span()


def relations(engine: sa.Engine, schema: str) -> list[str]:
    """The names of the tables and views in a schema, sorted."""
    with engine.connect() as db:
        return list(db.scalars(sa.text(_RELATIONS), {"schema": schema}))


def relation(engine: sa.Engine, schema: str, name: str) -> ExportSource:
    """A table or view with its columns; without columns if there is no such relation."""
    with engine.connect() as db:
        found = db.execute(sa.text(_COLUMNS), {"schema": schema, "relation": name})
        return ExportSource(schema, name, tuple(ExportColumn(*row) for row in found))


def horizon(engine: sa.Engine) -> datetime:
    """The time before which every change is committed.

    `_changed_at` is the start of the transaction that changed the row, so a transaction still in
    progress can only add rows at or after its start.
    """
    with engine.connect() as db:
        found: datetime = db.execute(sa.text(_HORIZON)).scalar_one()
    return found.astimezone(UTC)


def decimal_digits(
    engine: sa.Engine, source: ExportSource, span: Span
) -> dict[str, tuple[int, int]]:
    """For each numeric column, the most digits before and after the point in the span's rows."""
    numeric = [column.name for column in source.columns if column.type == "numeric"]
    if not numeric:
        return {}
    asked = sql.SQL(", ").join(sql.SQL(_DIGITS).format(sql.Identifier(name)) for name in numeric)
    with engine.connect() as db, driver_cursor(db) as cursor:
        row = cursor.execute(sql.SQL("SELECT {} FROM {}").format(asked, _from(source, span)))
        digits = row.fetchone() or ()
    return {name: (digits[2 * i], digits[2 * i + 1]) for i, name in enumerate(numeric)}


@contextmanager
def csv_rows(
    engine: sa.Engine, source: ExportSource, span: Span, *, header: bool, safe: bool = False
) -> Iterator[Iterator[bytes]]:
    """The rows as CSV (RFC 4180, UTF-8), each as one text, ordered by the time of their change.

    A null is empty and an empty text is `""`. Numbers have all their digits, times are UTC
    (`2026-11-25T09:00:04.000000Z`), JSON and arrays are JSON text. With `safe`, a text that a
    spreadsheet takes for a formula has an apostrophe before it.
    """
    columns = sql.SQL(", ").join(_selected(column, safe) for column in source.columns)
    order = sql.SQL(" ORDER BY {}").format(sql.Identifier(CHANGED_AT))
    query = sql.SQL("COPY (SELECT {} FROM {}{}) TO STDOUT (FORMAT csv, HEADER {})").format(
        columns,
        _from(source, span),
        order if source.is_incremental else sql.SQL(""),
        sql.SQL("true" if header else "false"),
    )
    with engine.connect() as db, driver_cursor(db) as cursor, cursor.copy(query) as copy:
        yield (bytes(message) for message in copy)  # the protocol sends one message per row


def _selected(column: ExportColumn, safe: bool) -> sql.Composable:
    name: Any = sql.Identifier(column.name)
    if column.type in _UNCHANGED:
        return sql.SQL("{0} AS {0}").format(name)
    if column.type == _TIMES:
        form = sql.Literal('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        return sql.SQL("to_char({0} AT TIME ZONE 'UTC', {1}) AS {0}").format(name, form)
    if column.type not in _TEXTS:
        text = "{0}::text AS {0}" if column.type == "jsonb" else "to_jsonb({0})::text AS {0}"
        return sql.SQL(text).format(name)
    if not safe:
        return sql.SQL("{0}::text AS {0}").format(name)
    return sql.SQL("CASE WHEN {0} ~ {1} THEN '''' || {0} ELSE {0} END AS {0}").format(
        name, sql.Literal(_FORMULA)
    )


def _from(source: ExportSource, span: Span) -> sql.Composable:
    relation = sql.Identifier(source.schema, source.name)
    bounds = [
        sql.SQL(text).format(sql.Identifier(CHANGED_AT), sql.Literal(moment))
        for text, moment in (("{} >= {}", span.since), ("{} < {}", span.until))
        if moment is not None
    ]
    if not bounds:
        return relation
    return sql.SQL("{} WHERE {}").format(relation, sql.SQL(" AND ").join(bounds))
