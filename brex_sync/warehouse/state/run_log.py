"""The log of runs: what each did, for charts of the sync itself and for those who retry one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.events import outbox
from brex_sync.warehouse.events.outbox import Notice
from brex_sync.warehouse.internal import run_streams, runs
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.warehouse import Warehouse


class RunKind(StrEnum):
    """What a run is for."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    RECONCILE = "reconcile"
    BACKFILL = "backfill"


def begin(
    warehouse: Warehouse,
    run_id: str,
    kind: RunKind,
    streams: Iterable[str],
    started_at: datetime,
) -> None:
    """Notes that a run has begun; one that is tried again keeps the moment it first began."""
    place = {"run_id": run_id, "connection": warehouse.schema, "started_at": started_at}
    row = insert(runs).values(**place, kind=kind, state="running")
    again = {"state": "running", "finished_at": None}
    with warehouse.begin() as db:
        db.execute(row.on_conflict_do_update(index_elements=[runs.c.run_id], set_=again))
        for stream in streams:
            db.execute(sa.insert(run_streams).values(**place, stream=stream, state="running"))


def finish(warehouse: Warehouse, run_id: str, state: str, finished_at: datetime) -> None:
    """Notes how a run ended; streams it was still at ended with it."""
    with warehouse.begin() as db:
        _end(db, run_id, state, sa.literal(finished_at))


def dead(engine: sa.Engine, connection: str | None = None) -> list[str]:
    """The ids of runs of a connection, or of all, that are noted as running and have no lease."""
    of_it = sa.true() if connection is None else runs.c.connection == connection
    unheard = ~leases.alive(leases.SYNC, runs.c.run_id)
    with engine.connect() as db:
        found = sa.select(runs.c.run_id).where(of_it, runs.c.state == "running", unheard)
        return list(db.scalars(found.order_by(runs.c.run_id)))


def interrupt_dead(warehouse: Warehouse) -> None:
    """Notes that the connection's dead runs were interrupted."""
    mark_interrupted(warehouse.engine, dead(warehouse.engine, warehouse.schema))


def mark_interrupted(engine: sa.Engine, run_ids: Iterable[str]) -> list[str]:
    """Notes that dead runs were interrupted, but for those that have been heard of since.

    They ended when they were last heard of: when a stream of theirs began or ended. Returns their
    ids.
    """
    return [run_id for run_id in run_ids if _mark_interrupted(engine, run_id)]


def _mark_interrupted(engine: sa.Engine, run_id: str) -> bool:
    """Whether a run was found dead. Its row is locked first, for which the next attempt at it
    waits: that has its lease before it begins, so it is never called dead."""
    one = sa.and_(runs.c.run_id == run_id, runs.c.state == "running")
    moments = sa.func.greatest(run_streams.c.started_at, run_streams.c.finished_at)
    heard = sa.select(sa.func.max(moments)).where(run_streams.c.run_id == run_id)
    last = sa.func.greatest(runs.c.started_at, heard.scalar_subquery())
    with engine.begin() as db:
        if not db.scalar(sa.select(runs.c.run_id).where(one).with_for_update(skip_locked=True)):
            return False
        if not leases.lapse(db, leases.SYNC, run_id):
            return False
        moment = db.scalar(sa.select(last).where(one))
        _end(db, run_id, "interrupted", sa.literal(moment))
    return True


def _end(db: sa.Connection, run_id: str, state: str, at: sa.ColumnElement[datetime]) -> None:
    ended = {"state": state, "finished_at": at}
    db.execute(sa.update(runs).where(runs.c.run_id == run_id).values(**ended))
    unfinished = sa.and_(run_streams.c.run_id == run_id, run_streams.c.state == "running")
    db.execute(sa.update(run_streams).where(unfinished).values(**ended))


def finish_stream(
    warehouse: Warehouse, run_id: str, row: Mapping[str, object], notices: Sequence[Notice] = ()
) -> None:
    """Notes what a run's latest attempt did to one stream, and who is to hear of it.

    `row` has columns of `run_streams`, the stream's name too.
    """
    c = run_streams.c
    latest = sa.select(sa.func.max(c.id)).where(c.run_id == run_id, c.stream == row["stream"])
    mine = sa.update(run_streams).where(c.id == latest.scalar_subquery())
    with warehouse.begin() as db:
        db.execute(mine.values(**row, noted_at=sa.func.now()))
        outbox.put(db, warehouse.schema, notices)


def finished_in(warehouse: Warehouse, run_id: str) -> set[str]:
    """Streams that an earlier attempt of this run has already finished."""
    with warehouse.connect() as db:
        return set(
            db.scalars(
                sa.select(run_streams.c.stream).where(
                    run_streams.c.run_id == run_id, run_streams.c.state == "finished"
                )
            )
        )
