"""The lists of a stream: its only one, or one per row of another, and which of those are due."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from brex_sync.streams.declare import Parent, RefreshPolicy, Stream
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class KnownList:
    """One list: of which row, whether it is to be read now, and through which UTC date it is known.

    `parent` is None for a stream's only list, `through` for a list never read; `orphaned` says that
    the row is marked as deleted here, or not here at all.
    """

    parent: str | None = None
    due: bool = True
    through: date | None = None
    orphaned: bool = False


def known_lists(warehouse: Warehouse, stream: Stream, now: datetime) -> list[KnownList]:
    """The lists of a stream, in order of their rows: of those that are live, and of those that are
    not and have live rows in this stream."""
    declared, schema = stream.parent, warehouse.schema
    if declared is None:
        return [KnownList()]
    found = sa.text(
        f"SELECT l.parent, {_due(declared.refresh)}, c.synced_through, "
        f'p."{declared.column}" IS NULL OR p._deleted_at IS NOT NULL '
        f"FROM ({of(schema, stream, declared)}) l "
        f'LEFT JOIN "{schema}"."{declared.stream}" p ON p."{declared.column}" = l.parent '
        "LEFT JOIN brex_sync.checkpoints c ON c.connection = :connection "
        "AND c.stream = :stream AND c.slice = l.parent ORDER BY 1"
    )
    values: dict[str, object] = {"connection": schema, "stream": stream.name, "now": now}
    if declared.refresh is not None:
        values |= {"at_most": declared.refresh.max_age, "grace": declared.refresh.grace}
    with warehouse.connect() as db:
        return [KnownList(*row) for row in db.execute(found, values)]


def of(schema: str, stream: Stream, declared: Parent) -> str:
    """The rows that have a list, as a query of `parent`; of :connection and :stream."""
    return (
        f'SELECT "{declared.column}" AS parent FROM "{schema}"."{declared.stream}" '
        "WHERE _deleted_at IS NULL UNION "
        "SELECT slice FROM brex_sync.checkpoints "
        "WHERE connection = :connection AND stream = :stream AND EXISTS ("
        f'SELECT FROM "{schema}"."{stream.name}" '
        f'WHERE "{declared.into}" = slice AND _deleted_at IS NULL)'
    )


def changed_at(schema: str, declared: Parent, parent: str | None) -> sa.ScalarSelect[datetime]:
    """When the row of a list last changed here."""
    column: sa.ColumnClause[datetime] = sa.column("_changed_at")
    rows = sa.table(declared.stream, sa.column(declared.column), column, schema=schema)
    of_parent = rows.c[declared.column] == parent
    return sa.select(column).select_from(rows).where(of_parent).scalar_subquery()


def _due(policy: RefreshPolicy | None) -> str:
    """SQL for whether a list is due, by its checkpoint `c` and its row `p`.

    A list with missing rows, or one to be read in full again (as if last read at the epoch), is
    due. Times are compared only if they are of one clock; others only for equality.
    """
    if policy is None:
        return "true"
    over = ", ".join(f'p."{name}"' for name in (*policy.after, "_first_seen_at"))
    awake = f"coalesce({over}) + :grace > :now" if policy.after else "false"
    return (
        "(c.synced_at IS NULL OR c.window_open OR EXISTS (SELECT FROM brex_sync.missing_rows m "
        "WHERE m.connection = :connection AND m.stream = :stream AND m.slice = l.parent) "
        "OR c.full_at = 'epoch' OR c.window_opened_at + :at_most <= :now "
        f"OR c.parent_changed_at IS DISTINCT FROM p._changed_at OR {awake})"
    )
