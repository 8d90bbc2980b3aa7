"""Streams and lists the credential may not read, and why: they are neither empty nor failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import checkpoints, unavailable, unavailable_lists
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a stream can't be read, and when Brex last said so; None where it was not asked."""

    reason: str
    tried_at: datetime | None


def found(warehouse: Warehouse, stream: str) -> Unavailable | None:
    """What is known about a stream; None where it can be read, or was never tried."""
    with warehouse.connect() as db:
        row = db.execute(
            sa.select(unavailable.c.reason, unavailable.c.tried_at).where(_is(warehouse, stream))
        ).one_or_none()
    return None if row is None else Unavailable(row.reason, row.tried_at)


def note(warehouse: Warehouse, stream: str, fact: Unavailable, now: datetime) -> None:
    """Records that a stream can't be read."""
    row = insert(unavailable).values(
        connection=warehouse.schema,
        stream=stream,
        reason=fact.reason,
        since=now,
        tried_at=fact.tried_at,
    )
    news = {"reason": fact.reason, "tried_at": fact.tried_at}
    with warehouse.begin() as db:
        db.execute(
            row.on_conflict_do_update(index_elements=list(unavailable.primary_key), set_=news)
        )


def forget(warehouse: Warehouse, stream: str) -> None:
    """The stream can be read."""
    with warehouse.begin() as db:
        db.execute(sa.delete(unavailable).where(_is(warehouse, stream)))


def note_lists(
    warehouse: Warehouse,
    stream: str,
    refused: Mapping[str, str],
    read: Sequence[str],
    now: datetime,
) -> None:
    """Records which lists of a stream were refused, and why, by row; and which were read."""
    c = unavailable_lists.c
    place = {"connection": warehouse.schema, "stream": stream}
    again = sa.and_(*(c[name] == value for name, value in place.items()), c.slice.in_(read))
    fact = insert(unavailable_lists)
    why = {"reason": fact.excluded.reason}
    told = fact.on_conflict_do_update(index_elements=list(unavailable_lists.primary_key), set_=why)
    rows = [
        {**place, "since": now, "slice": row, "reason": reason} for row, reason in refused.items()
    ]
    with warehouse.begin() as db:
        db.execute(sa.delete(unavailable_lists).where(again))
        if rows:
            db.execute(told, rows)


def lost(warehouse: Warehouse) -> list[str]:
    """The streams that were read once and may not be read any more."""
    if not sa.inspect(warehouse.engine).has_table("unavailable", schema=INTERNAL):
        return []
    read_once = sa.exists().where(
        checkpoints.c.connection == unavailable.c.connection,
        checkpoints.c.stream == unavailable.c.stream,
        checkpoints.c.synced_at.is_not(None),
    )
    with warehouse.connect() as db:
        return list(
            db.scalars(
                sa.select(unavailable.c.stream)
                .where(unavailable.c.connection == warehouse.schema, read_once)
                .order_by(unavailable.c.stream)
            )
        )


def _is(warehouse: Warehouse, stream: str) -> sa.ColumnElement[bool]:
    return sa.and_(unavailable.c.connection == warehouse.schema, unavailable.c.stream == stream)
