"""The lists of a stream: its only one, or one per row of another, and which of those are due."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from brex_sync.streams.declare import Per, Rest, Stream
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
    per, schema = stream.per, warehouse.schema
    if per is None:
        return [KnownList()]
    found = sa.text(
        f"SELECT l.parent, {_due(per.rest)}, c.synced_through, "
        f'p."{per.column}" IS NULL OR p._deleted_at IS NOT NULL '
        f"FROM ({of(schema, stream, per)}) l "
        f'LEFT JOIN "{schema}"."{per.stream}" p ON p."{per.column}" = l.parent '
        "LEFT JOIN brex_sync.checkpoints c ON c.connection = :connection "
        "AND c.stream = :stream AND c.slice = l.parent ORDER BY 1"
    )
    values: dict[str, object] = {"connection": schema, "stream": stream.name, "now": now}
    if per.rest is not None:
        values |= {"at_most": per.rest.at_most, "grace": per.rest.grace}
    with warehouse.connect() as db:
        return [KnownList(*row) for row in db.execute(found, values)]


def of(schema: str, stream: Stream, per: Per) -> str:
    """The rows that have a list, as a query of `parent`; of :connection and :stream."""
    return (
        f'SELECT "{per.column}" AS parent FROM "{schema}"."{per.stream}" '
        "WHERE _deleted_at IS NULL UNION "
        "SELECT slice FROM brex_sync.checkpoints "
        "WHERE connection = :connection AND stream = :stream AND EXISTS ("
        f'SELECT FROM "{schema}"."{stream.name}" '
        f'WHERE "{per.into}" = slice AND _deleted_at IS NULL)'
    )


def changed_at(schema: str, per: Per, parent: str | None) -> sa.ScalarSelect[datetime]:
    """When the row of a list last changed here."""
    column: sa.ColumnClause[datetime] = sa.column("_changed_at")
    rows = sa.table(per.stream, sa.column(per.column), column, schema=schema)
    of_parent = rows.c[per.column] == parent
    return sa.select(column).select_from(rows).where(of_parent).scalar_subquery()


def _due(rest: Rest | None) -> str:
    """Whether a list is to be read: by its checkpoint `c` and its row `p`.

    One with missing rows, or that is to be read whole again (as if at the epoch), never rests.
    Moments of one clock are compared, or else only whether they are the same.
    """
    if rest is None:
        return "true"
    over = ", ".join(f'p."{name}"' for name in (*rest.after, "_first_seen_at"))
    awake = f"coalesce({over}) + :grace > :now" if rest.after else "false"
    return (
        "(c.synced_at IS NULL OR c.window_open OR EXISTS (SELECT FROM brex_sync.missing_rows m "
        "WHERE m.connection = :connection AND m.stream = :stream AND m.slice = l.parent) "
        "OR c.full_at = 'epoch' OR c.window_opened_at + :at_most <= :now "
        f"OR c.parent_changed_at IS DISTINCT FROM p._changed_at OR {awake})"
    )
