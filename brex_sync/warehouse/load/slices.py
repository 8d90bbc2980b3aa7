"""Slices of time into which a long read of a list is cut, each with a checkpoint of its own.

They are laid out, read side by side, and together are then one window of the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import checkpoints as table
from brex_sync.warehouse.internal import listed_keys, parked_windows, quarantine
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.load.deletions import Comparison
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import (
    Counts,
    ListLease,
    ListState,
    ListWindow,
    Scope,
    Slice,
)
from brex_sync.warehouse.warehouse import Warehouse

Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Cut:
    """A read cut into slices: what it is for, the first moment asked for, and the slices."""

    scope: Scope
    since: datetime | None
    parts: tuple[Slice, ...]


def laid_out(warehouse: Warehouse, lease: ListLease) -> Cut | None:
    """The slices that an earlier run laid out, finished or not; None where none did."""
    c = table.c
    with warehouse.connect() as db:
        rows = db.execute(
            sa.select(c.slice, c.window_scope, c.window_since)
            .where(_slices(lease, table))
            .order_by(c.window_since.nulls_first())
        ).all()
    if not rows:
        return None
    parts = tuple(replace(lease.slice, span=row.slice) for row in rows)
    return Cut(Scope(rows[0].window_scope), rows[0].window_since, parts)


def lay_out(
    warehouse: Warehouse, lease: ListLease, scope: Scope, spans: Iterable[Span], opened_at: datetime
) -> Cut:
    """Notes the slices that are to be read: from a moment to another, both included.

    They take the place of what earlier runs laid out, or of a backfill put aside.

    Raises:
        Fenced: another run has taken the list over.
    """
    limit, spans = lease.slice.stream.paging.limit, list(spans)
    parts = tuple(replace(lease.slice, span=_name(lease, *span)) for span in spans)
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        _clear(db, lease)
        db.execute(sa.delete(parked_windows).where(checkpoints.is_of(lease.slice, parked_windows)))
        for part, (since, until) in zip(parts, spans, strict=True):
            window = ListWindow(1, scope, since, opened_at, limit, until=until)
            db.execute(
                sa.insert(table).values(
                    **part.key,
                    **checkpoints.window_values(window),
                    epoch=0,
                    window_open=True,
                    full_at=lease.state.full_at,
                )
            )
    return Cut(scope, spans[0][0], parts)


def extent(
    warehouse: Warehouse, lease: ListLease, since: datetime | None
) -> tuple[int, datetime | None]:
    """How many live rows there are here from a moment on, and where the first of them lies."""
    stream = lease.slice.stream
    if stream.window is None:
        raise ValueError(f"stream {stream.name} has no time filter")
    column = f'"{stream.window.column}"'
    rows = sa.text(
        f'SELECT count(*), min({column}) FROM "{lease.slice.connection}"."{stream.name}" '
        f"WHERE _deleted_at IS NULL AND (CAST(:since AS timestamptz) IS NULL OR {column} >= :since)"
    )
    with warehouse.connect() as db:
        number, first = db.execute(rows, {"since": since}).one()
        return int(number), first


def together(warehouse: Warehouse, lease: ListLease) -> ListWindow:
    """The slices, all read to their ends, as the one window of the list that they are.

    Raises:
        ValueError: a slice is not read to its end.
    """
    c = table.c
    sums = [sa.func.sum(c[n]) for n in ("fetched", "inserted", "updated", "quarantined")]
    with warehouse.connect() as db:
        behind, scope, opened_at, pages, newest, *counts = db.execute(
            sa.select(
                sa.func.bool_or(c.window_open),
                sa.func.min(c.window_scope),
                sa.func.min(c.window_opened_at),
                sa.func.sum(c.window_pages),
                sa.func.max(c.window_newest),
                *sums,
            ).where(_slices(lease, table))
        ).one()
        first = sa.select(c.window_since).where(_slices(lease, table))
        since = db.scalar(first.order_by(c.window_since.nulls_first()).limit(1))
    if behind or opened_at is None:
        raise ValueError(f"{lease.slice.stream.name}: a slice is not read to its end")
    return ListWindow(
        checkpoints.last_number(warehouse, lease) + 1,
        Scope(scope),
        since,
        opened_at,
        lease.slice.stream.paging.limit,
        pages=int(pages),
        newest=newest,
        counts=Counts(*map(int, counts)),
    )


def reopen_left(warehouse: Warehouse, lease: ListLease) -> bool:
    """Has slices read from their first pages again that listed rows have left, and with them the
    last one, which shows what changed; whether there are any.

    All must have been read to their ends.

    Raises:
        Fenced: another run has taken the list over.
    """
    c = table.c
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        left = _left(db, lease)
        if left:
            anew: dict[str, object] = {
                "epoch": c.epoch + 1,
                "window_number": c.window_number + 1,
                "window_open": True,
                "window_part": 0,
                "window_cursor": None,
                "window_pages": 0,
                "window_newest": None,
                **dict.fromkeys(("fetched", "inserted", "updated", "quarantined"), 0),
            }
            those = sa.or_(c.slice.in_(left), c.window_until.is_(None))
            db.execute(sa.update(table).where(_slices(lease, table), those).values(**anew))
        return bool(left)


def _left(db: sa.Connection, lease: ListLease) -> list[str]:
    """The slices of which a row that was listed lies in the last one by now.

    Slices meet in a second, and rows of that second are in both: they have not moved.
    """
    stream = lease.slice.stream
    if stream.window is None:
        raise ValueError(f"stream {stream.name} has no time filter")
    (key,) = stream.own_key
    listed = (
        "SELECT slice, window_until, unnest(keys) AS key "
        "FROM brex_sync.listed_keys JOIN brex_sync.checkpoints "
        "USING (connection, stream, slice, window_number) "
        "WHERE connection = :connection AND stream = :stream AND slice <> :slice"
    )
    present = sa.text(f"SELECT DISTINCT key FROM ({listed} AND window_until IS NULL) present")
    changed = list(db.scalars(present, lease.slice.key))
    if not changed:
        return []
    left = sa.text(
        f"SELECT DISTINCT past.slice FROM ({listed} AND window_until IS NOT NULL) past "
        f'JOIN "{lease.slice.connection}"."{stream.name}" t ON t."{key}" = past.key '
        "WHERE past.key = ANY(:changed) "
        f"AND t.\"{stream.window.column}\" > past.window_until + interval '1 second'"
    )
    return list(db.scalars(left, {**lease.slice.key, "changed": changed}))


def close(
    warehouse: Warehouse,
    lease: ListLease,
    window: ListWindow,
    state: ListState,
    run_id: str,
    now: datetime,
) -> Comparison:
    """Makes the list's own checkpoint say what its slices have reached, and compares what they
    listed with the live rows here, of which it notes the missing ones. Done again after a crash, it
    comes to the same.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        _gather(db, lease, window)
        compared = deletions.compare(db, lease, window, run_id, now)
        deletions.release_quarantine(db, lease, window)
        checkpoints.record(
            db,
            lease,
            {
                "watermark": state.watermark,
                "wide_at": state.wide_at,
                "full_at": state.full_at,
                "window_number": window.number,
                "window_open": False,
                "synced_at": now,
                "synced_through": window.opened_at.date(),
                "listed": compared.listed,
                "held": compared.held - compared.missing,
            },
        )
        return compared


def drop(warehouse: Warehouse, lease: ListLease) -> None:
    """Forgets the slices, once nothing more is to be learnt from them.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        _clear(db, lease)


def close_backfill(warehouse: Warehouse, lease: ListLease, window: ListWindow) -> None:
    """Forgets the slices of a backfill, all read to the end: it only brings rows.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        _gather(db, lease, window)
        deletions.release_quarantine(db, lease, window)
        checkpoints.record(db, lease, {"window_number": window.number})
        _clear(db, lease)
        checkpoints.forget_keys(db, lease)


def _gather(db: sa.Connection, lease: ListLease, window: ListWindow) -> None:
    """What slices listed, and what they set aside, becomes the list's, in this window."""
    db.execute(
        sa.text(
            "INSERT INTO brex_sync.listed_keys "
            "(connection, stream, slice, window_number, page, keys) "
            "SELECT connection, stream, :slice, :number, row_number() OVER (), keys "
            "FROM brex_sync.listed_keys JOIN brex_sync.checkpoints "
            "USING (connection, stream, slice, window_number) "
            "WHERE connection = :connection AND stream = :stream AND slice <> :slice"
        ),
        {**lease.slice.key, "number": window.number},
    )
    _gather_quarantine(db, lease, window.number)


def _gather_quarantine(db: sa.Connection, lease: ListLease, number: int) -> None:
    q = quarantine.c
    own = {"slice": lease.slice.key["slice"], "window_number": number}
    kept = [column.name for column in q if column.name not in own]
    aside = sa.select(*map(sa.literal, own.values()), *(q[name] for name in kept))
    once = aside.where(_slices(lease, quarantine)).distinct(q.digest)
    copied = insert(quarantine).from_select([*own, *kept], once)
    again = {"window_number": number}
    db.execute(
        copied.on_conflict_do_update(index_elements=list(quarantine.primary_key), set_=again)
    )


def _clear(db: sa.Connection, lease: ListLease) -> None:
    """Forgets slices with all they noted, except rows that they set aside."""
    _gather_quarantine(db, lease, lease.state.last_number)
    for of in (table, listed_keys, quarantine):
        db.execute(sa.delete(of).where(_slices(lease, of)))


def _slices(lease: ListLease, of: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of a table that belong to slices of the list."""
    key = lease.slice.key
    return sa.and_(
        of.c.connection == key["connection"],
        of.c.stream == key["stream"],
        of.c.slice != key["slice"],
    )


def _name(lease: ListLease, since: datetime | None, until: datetime | None) -> str:
    """A name that no other run gives: who was fenced holds nothing of that name."""
    span = "/".join(moment.isoformat() if moment else "" for moment in (since, until))
    return f"{lease.state.epoch}:{span}"
