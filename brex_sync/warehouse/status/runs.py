"""How streams stand, and what the tables hold, for people who ask."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from brex_sync.streams.declare import Child, Reference, Stream, Table, View
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import (
    checkpoints,
    missing_rows,
    quarantine,
    run_streams,
    unavailable,
    unavailable_lists,
)
from brex_sync.warehouse.internal import runs as run_log
from brex_sync.warehouse.load.deletions import Unresolved, unresolved_in
from brex_sync.warehouse.state import leases, lists
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How a stream stands: over its slices, the earliest of each time; None if never synced.

    `behind` is True while a window is unfinished; `live` counts rows not deleted, `quarantined`
    those set aside; `listed` and `held` compare the last listings with the table; `withheld` are
    missing rows that are not marked as deleted, `doubted` those of them that need a look, for the
    reason in `doubt`; `unavailable` is why the credential may not read it, if it may not, and
    `refused` says the same of single lists of a stream that has one per row of another, which
    nothing else then counts.
    """

    stream: str
    synced_at: datetime | None
    synced_through: date | None
    live: int
    quarantined: int
    listed: int
    held: int
    withheld: int
    behind: bool
    unavailable: str | None = None
    refused: tuple[str, ...] = ()
    doubted: int = 0
    doubt: str | None = None


def status(warehouse: Warehouse, stream: Stream) -> StreamStatus:
    """How one stream stands. A connection never synced has zeros and Nones."""
    connection = warehouse.schema
    with warehouse.connect() as db:
        if not sa.inspect(db).has_table("checkpoints", schema=INTERNAL):
            return StreamStatus(stream.name, None, None, 0, 0, 0, 0, 0, False)
        row = db.execute(
            sa.select(
                sa.func.min(_of_lists(stream, checkpoints.c.synced_at)),
                sa.func.min(_of_lists(stream, checkpoints.c.synced_through)),
                sa.func.sum(_of_lists(stream, checkpoints.c.listed)),
                sa.func.sum(_of_lists(stream, checkpoints.c.held)),
                sa.func.bool_or(checkpoints.c.window_open),
                sa.func.count(),
            ).where(_checkpoints(db, connection, stream))
        ).one()
        aside = db.scalar(
            sa.select(sa.func.count()).where(
                quarantine.c.connection == connection, quarantine.c.stream == stream.name
            )
        )
        live = count(db, connection, stream.name, where="_deleted_at IS NULL")
        reason = _why_unavailable(db, connection, stream)
        refused = _refused(db, connection, stream)
        at, through, listed, held, behind, known = row
        if known == 0 and stream.parent and _was_read(db, connection, stream.parent.stream):
            at = _finished_at(db, connection, stream)
        missing = _missing(db, connection, stream)
    return StreamStatus(
        stream.name,
        at,
        through,
        live,
        int(aside or 0),
        int(listed or 0),
        int(held or 0),
        missing.waiting + missing.doubted,
        bool(behind),
        reason,
        refused,
        missing.doubted,
        missing.doubt,
    )


def _was_read(db: sa.Connection, connection: str, name: str) -> bool:
    """Whether a stream was read to its end since its table was made."""
    c = checkpoints.c
    read = sa.and_(c.connection == connection, c.stream == name, c.synced_at.is_not(None))
    return bool(db.scalar(sa.select(sa.select(checkpoints).where(read).exists())))


def _finished_at(db: sa.Connection, connection: str, stream: Stream) -> datetime | None:
    """When a run last finished a stream: for one that has no list, as it is per row of another."""
    s = run_streams.c
    mine = sa.and_(s.connection == connection, s.stream == stream.name, s.state == "finished")
    if not sa.inspect(db).has_table(run_streams.name, schema=INTERNAL):
        return None
    found: datetime | None = db.scalar(sa.select(sa.func.max(s.finished_at)).where(mine))
    return found


def _missing(db: sa.Connection, connection: str, stream: Stream) -> Unresolved:
    if not sa.inspect(db).has_table(missing_rows.name, schema=INTERNAL):
        return Unresolved(0, 0, None)
    return unresolved_in(db, connection, stream.name)


def _of_lists(stream: Stream, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column of checkpoints of whole lists; null where it is one of a slice's."""
    return column if stream.parent else sa.case((checkpoints.c.slice == "", column))


def _checkpoints(db: sa.Connection, connection: str, stream: Stream) -> sa.ColumnElement[bool]:
    """The stream's checkpoints; a row that is gone has no list that anyone would wait for."""
    c = checkpoints.c
    mine = sa.and_(c.connection == connection, c.stream == stream.name)
    if not stream.parent or not db.scalar(sa.select(sa.select(checkpoints).where(mine).exists())):
        return mine
    there = sa.text(f"slice IN ({lists.of(connection, stream, stream.parent)})")
    those = sa.and_(mine, there.bindparams(connection=connection, stream=stream.name))
    refused = _refused_lists(db, connection, stream)
    return those if refused is None else sa.and_(those, c.slice.not_in(refused))


def _refused_lists(
    db: sa.Connection, connection: str, stream: Stream
) -> sa.Select[tuple[str]] | None:
    """The lists of a stream that may not be read; None where no such thing is known yet."""
    if not sa.inspect(db).has_table(unavailable_lists.name, schema=INTERNAL):
        return None
    c = unavailable_lists.c
    mine = sa.and_(c.connection == connection, c.stream == stream.name)
    return sa.select(c.slice).where(mine).order_by(c.slice)


def _refused(db: sa.Connection, connection: str, stream: Stream) -> tuple[str, ...]:
    refused = _refused_lists(db, connection, stream)
    if refused is None:
        return ()
    rows = db.execute(refused.add_columns(unavailable_lists.c.reason))
    return tuple(f"the list of {row.slice} is unavailable: {row.reason}" for row in rows)


def _why_unavailable(db: sa.Connection, connection: str, stream: Stream) -> str | None:
    if not sa.inspect(db).has_table(unavailable.name, schema=INTERNAL):
        return None
    found: str | None = db.scalar(
        sa.select(unavailable.c.reason).where(
            unavailable.c.connection == connection, unavailable.c.stream == stream.name
        )
    )
    return found


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last run of a connection, as its log has it, with the first error of its streams.

    One in `state` running has no `finished_at`.
    """

    run_id: str
    kind: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None


def last_run(warehouse: Warehouse) -> LastRun | None:
    """The run that began last; None where none is known."""
    r, s = run_log.c, run_streams.c
    columns = (r.run_id, r.kind, r.state, r.started_at, r.finished_at)
    with warehouse.connect() as db:
        if not sa.inspect(db).has_table(run_streams.name, schema=INTERNAL):
            return None
        latest = sa.select(*columns).where(r.connection == warehouse.schema)
        row = db.execute(latest.order_by(r.started_at.desc(), r.run_id).limit(1)).one_or_none()
        if row is None:
            return None
        failed = sa.select(s.stream, s.message).where(s.run_id == row.run_id, s.state == "failed")
        first = db.execute(failed.order_by(s.finished_at, s.id).limit(1)).one_or_none()
        state = "interrupted" if row.state == "running" and _is_dead(db, row.run_id) else row.state
    error = f"{first.stream}: {first.message}" if first else None
    return LastRun(row.run_id, row.kind, state, row.started_at, row.finished_at, error)


def _is_dead(db: sa.Connection, run_id: str) -> bool:
    """Whether a run has lost its lease; False where no leases are known yet."""
    return leases.are_known(db) and not leases.is_alive(db, leases.SYNC, run_id)


def last_read(warehouse: Warehouse) -> datetime | None:
    """When a stream was last read to its end, by requests to Brex; None where none was."""
    s = run_streams.c
    mine = sa.and_(s.connection == warehouse.schema, s.state == "finished", s.requests > 0)
    with warehouse.connect() as db:
        if not sa.inspect(db).has_table(run_streams.name, schema=INTERNAL):
            return None
        found: datetime | None = db.scalar(sa.select(sa.func.max(s.finished_at)).where(mine))
    return found


def row_count(warehouse: Warehouse, name: str) -> int:
    """Rows of a table; 0 where it does not exist."""
    with warehouse.connect() as db:
        return count(db, warehouse.schema, name)


def child_rows(warehouse: Warehouse, child: Child) -> int:
    """Rows of a child table that are not deleted."""
    with warehouse.connect() as db:
        return count(db, warehouse.schema, child.name, where="_deleted_at IS NULL")


def count(db: sa.Connection, schema: str, name: str, where: str = "true") -> int:
    """Rows of a table or view; 0 where it does not exist."""
    exists = db.scalar(sa.text("SELECT to_regclass(:n)"), {"n": f'"{schema}"."{name}"'})
    if exists is None:
        return 0
    return int(db.scalar(sa.text(f'SELECT count(*) FROM "{schema}"."{name}" WHERE {where}')) or 0)


def view_rows(warehouse: Warehouse, view: View) -> int:
    """Rows a view shows now."""
    with warehouse.connect() as db:
        return count(db, warehouse.schema, view.name)


def bad_keys(warehouse: Warehouse, stream: Table) -> int:
    """Rows whose key is empty, or stands in another row too: 0 unless someone meddled."""
    keys = ", ".join(f'"{k}"' for k in stream.key)
    empty = " OR ".join(f'"{k}" IS NULL OR "{k}"::text = \'\'' for k in stream.key)
    table = f'"{warehouse.schema}"."{stream.name}"'
    with warehouse.connect() as db:
        return int(
            db.scalar(
                sa.text(
                    f"SELECT (SELECT count(*) FROM {table} WHERE {empty}) + (SELECT count(*) FROM "
                    f"(SELECT 1 FROM {table} GROUP BY {keys} HAVING count(*) > 1) twice)"
                )
            )
            or 0
        )


def dangling(warehouse: Warehouse, stream: Table, reference: Reference) -> int:
    """Live rows that name a row the other table does not have."""
    schema = warehouse.schema
    with warehouse.connect() as db:
        if count(db, schema, reference.stream) == 0:
            return count(db, schema, stream.name, f'"{reference.column}" IS NOT NULL')
        return int(
            db.scalar(
                sa.text(
                    f'SELECT count(*) FROM "{schema}"."{stream.name}" t '
                    f'WHERE t._deleted_at IS NULL AND t."{reference.column}" IS NOT NULL '
                    f'AND NOT EXISTS (SELECT FROM "{schema}"."{reference.stream}" o '
                    f'WHERE o."{reference.to}" = t."{reference.column}")'
                )
            )
            or 0
        )


def weekly_spend(warehouse: Warehouse, weeks: int = 12) -> list[tuple[date, str | None, object]]:
    """Week (its Monday), currency and sum of card spend, payments left out, newest last."""
    with warehouse.connect() as db:
        rows = db.execute(
            sa.text(
                "SELECT date_trunc('week', posted_at_date)::date AS week, amount_currency, "
                f'sum(amount) FROM "{warehouse.schema}".card_transactions '
                "WHERE _deleted_at IS NULL AND type IS DISTINCT FROM 'COLLECTION' "
                "AND posted_at_date > current_date - 7 * :weeks AND posted_at_date <= current_date "
                "GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            {"weeks": weeks},
        )
        return [(r[0], r[1], r[2]) for r in rows]


def was_begun(warehouse: Warehouse) -> bool:
    """Whether any list of the connection was ever read, if only in part."""
    with warehouse.connect() as db:
        if not sa.inspect(db).has_table("checkpoints", schema=INTERNAL):
            return False
        begun = sa.or_(checkpoints.c.synced_at.is_not(None), checkpoints.c.window_open)
        rows = sa.select(checkpoints).where(checkpoints.c.connection == warehouse.schema, begun)
        return bool(db.scalar(sa.select(rows.exists())))
