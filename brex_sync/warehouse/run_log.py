"""The log of runs: what each did, for charts of the sync itself and for those who retry one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse import outbox
from brex_sync.warehouse.internal import run_streams, runs
from brex_sync.warehouse.outbox import Notice


class RunKind(StrEnum):
    """What a run is for."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    RECONCILE = "reconcile"
    BACKFILL = "backfill"


def begin(
    engine: sa.Engine, run_id: str, connection: str, kind: RunKind, started_at: datetime
) -> None:
    """Notes that a run has begun; one that is tried again keeps the moment it first began."""
    row = insert(runs).values(
        run_id=run_id, connection=connection, kind=kind, started_at=started_at, state="running"
    )
    again = {"state": "running", "finished_at": None}
    with engine.begin() as db:
        db.execute(row.on_conflict_do_update(index_elements=[runs.c.run_id], set_=again))


def finish(engine: sa.Engine, run_id: str, state: str, finished_at: datetime) -> None:
    """Notes how a run ended."""
    with engine.begin() as db:
        db.execute(
            sa.update(runs)
            .where(runs.c.run_id == run_id)
            .values(state=state, finished_at=finished_at)
        )


def record(engine: sa.Engine, row: Mapping[str, object], notices: Sequence[Notice] = ()) -> None:
    """Notes what a run did to one stream (`row` is one of `run_streams`), and who hears of it."""
    with engine.begin() as db:
        db.execute(sa.insert(run_streams), [dict(row)])
        outbox.put(db, str(row["connection"]), notices)


def finished_in(engine: sa.Engine, run_id: str) -> set[str]:
    """Streams that an earlier attempt of this run has already finished."""
    with engine.connect() as db:
        return set(
            db.scalars(
                sa.select(run_streams.c.stream).where(
                    run_streams.c.run_id == run_id, run_streams.c.state == "finished"
                )
            )
        )
