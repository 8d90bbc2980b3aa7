"""Slices of time into which the first read of a list is cut, each with a checkpoint of its own.

They are laid out, read side by side, and at last taken over into the list's own checkpoint.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse import checkpoints
from brex_sync.warehouse.checkpoints import Lease, Scope, Slice, State, Window
from brex_sync.warehouse.internal import checkpoints as table
from brex_sync.warehouse.internal import listed_keys, quarantine

Span = tuple[datetime | None, datetime | None]


def laid_out(engine: sa.Engine, lease: Lease) -> list[Slice]:
    """The slices that an earlier run laid out, finished or not; none where none did."""
    with engine.connect() as db:
        names = db.scalars(
            sa.select(table.c.slice).where(_slices(lease, table)).order_by(table.c.slice)
        )
        return [replace(lease.slice, span=name) for name in names]


def lay_out(
    engine: sa.Engine, lease: Lease, spans: Iterable[Span], opened_at: datetime
) -> list[Slice]:
    """Notes the slices that are to be read: from a moment to another, both included.

    Raises:
        Fenced: another run has taken the list over.
    """
    limit = lease.slice.stream.paging.limit
    made = []
    with engine.begin() as db:
        checkpoints.committed(db, lease)
        for since, until in spans:
            one = replace(lease.slice, span=_name(since, until))
            window = Window(1, Scope.FULL, since, opened_at, limit, until=until)
            checkpoints.begin_slice(db, one, window)
            made.append(one)
    return made


def take_over(engine: sa.Engine, lease: Lease, now: datetime) -> State:
    """Makes the list's own checkpoint say what its slices, all read to the end, have reached.

    Raises:
        Fenced: another run has taken the list over.
        ValueError: a slice is not read to its end.
    """
    with engine.begin() as db:
        checkpoints.committed(db, lease)
        c = table.c
        behind, watermark, opened_at, number = db.execute(
            sa.select(
                sa.func.bool_or(c.window_open),
                sa.func.max(c.watermark),
                sa.func.min(c.window_opened_at),
                sa.func.max(c.window_number),
            ).where(_slices(lease, table))
        ).one()
        if behind or opened_at is None:
            raise ValueError(f"{lease.slice.stream.name}: a slice is not read to its end")
        state = replace(
            lease.state,
            watermark=watermark,
            wide_at=opened_at,
            full_at=opened_at,
            last_number=int(number),
        )
        checkpoints.set_state(db, lease, state, now)
        _move_quarantine(db, lease)
        db.execute(sa.delete(table).where(_slices(lease, table)))
        db.execute(sa.delete(listed_keys).where(_slices(lease, listed_keys)))
    return state


def _move_quarantine(db: sa.Connection, lease: Lease) -> None:
    """Rows set aside by slices become the whole list's, so that it can release them."""
    q, aside = quarantine.c, _slices(lease, quarantine)
    names = [column.name for column in quarantine.columns if column.name != "slice"]
    once = sa.select(sa.literal(lease.slice.key["slice"]), *(q[n] for n in names)).where(aside)
    copy = insert(quarantine).from_select(["slice", *names], once)
    db.execute(copy.on_conflict_do_nothing())
    db.execute(sa.delete(quarantine).where(aside))


def _slices(lease: Lease, of: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of a table that belong to slices of the list."""
    key = lease.slice.key
    return sa.and_(
        of.c.connection == key["connection"],
        of.c.stream == key["stream"],
        of.c.slice != key["slice"],
    )


def _name(since: datetime | None, until: datetime | None) -> str:
    return "/".join(moment.isoformat() if moment else "" for moment in (since, until))
