"""Balances as they were, day by day: Brex tells only what they are."""

from datetime import datetime

import sqlalchemy as sa

from brex_sync.streams.declare import KEY_SEPARATOR, Stream
from brex_sync.warehouse.schema.columns import listed
from brex_sync.warehouse.schema.history import SUFFIX
from brex_sync.warehouse.state.checkpoints import ListLease


def daily_of(table: sa.Table, stream: Stream) -> sa.Table:
    """The table with one row per key and UTC day: the last state seen that day."""
    key = [
        sa.Column(c.name, c.type, primary_key=True, comment=c.comment) for c in table.primary_key
    ]
    columns = [table.c[f.name] for f in stream.snapshot_fields()]
    return sa.Table(
        _name(stream),
        sa.MetaData(),
        *key,
        sa.Column("day", sa.Date, primary_key=True, comment="UTC day."),
        *(sa.Column(c.name, c.type, comment=c.comment) for c in columns),
        sa.Column(
            "_changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When that day's state was first seen so.",
        ),
        schema=f"{table.schema}{SUFFIX}",
        comment=f"{stream.description} The last state seen on each UTC day; a day without a sync "
        "has none.",
    )


def take(db: sa.Connection, lease: ListLease, now: datetime) -> None:
    """Keeps the state of a list's rows for the day; what is kept already is not written again.

    Called in the transaction that ends the list. Rows that are missing were not seen.
    """
    stream = lease.slice.stream
    if stream.snapshot:
        day = {"day": now.date(), **lease.slice.key}
        db.execute(sa.text(_sql(stream, lease.slice.connection)), day)


def _sql(stream: Stream, schema: str) -> str:
    columns = [f.name for f in stream.snapshot_fields()]
    mine = f't."{stream.parent.into}" = :slice' if stream.parent else "true"
    key = f"concat_ws('{KEY_SEPARATOR}', {listed(stream.own_key, 't')})"
    seen = (
        "NOT EXISTS (SELECT FROM brex_sync.missing_rows m WHERE m.connection = :connection "
        f"AND m.stream = :stream AND m.slice = :slice AND m.key = {key})"
    )
    return f"""
        INSERT INTO "{schema}{SUFFIX}"."{_name(stream)}" AS d
            ({listed(stream.key)}, day, {listed(columns)}, _changed_at)
        SELECT {listed(stream.key)}, :day, {listed(columns)}, now()
        FROM "{schema}"."{stream.name}" t
        WHERE t._deleted_at IS NULL AND {mine} AND {seen}
        ON CONFLICT ({listed(stream.key)}, day) DO UPDATE
        SET {", ".join(f'"{c}" = excluded."{c}"' for c in columns)}, _changed_at = now()
        WHERE ({listed(columns, "d")}) IS DISTINCT FROM ({listed(columns, "excluded")})
    """


def _name(stream: Stream) -> str:
    return f"{stream.name}_daily"
