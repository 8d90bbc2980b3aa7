"""The runs of workflows: started, resumed, ended, listed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import workflow_inputs, workflow_runs, workflow_steps
from brex_sync.warehouse.retrying import attempts
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Lease
from brex_sync.warehouse.workflows.step_log import StepState, fence

SOONEST = timedelta(minutes=1)
"""The shortest time between two polls of a waiting run."""
NO_WAIT = {"waits_for": None, "waits_since": None, "next_look_at": None}
"""The columns of a run that does not wait."""


class RunState(StrEnum):
    """The state of a run. INTERRUPTED is not stored: the run is recorded as running, and no process
    holds its lease. A WAITING run has no process until its next poll."""

    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a workflow. `confirmed` is the text that was confirmed, and `confirmed_by` by whom;
    the last three fields are set while the run waits."""

    run_id: str
    connection: str
    workflow: str
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None
    state: RunState
    message: str | None
    confirmed: str | None
    confirmed_by: str | None
    confirmed_at: datetime | None
    waits_for: str | None
    waits_since: datetime | None
    next_look_at: datetime | None

    @property
    def waiting(self) -> str | None:
        """What the run waits for, since when, and when it is polled next; None if it does not."""
        if self.state is not RunState.WAITING or not (self.waits_since and self.next_look_at):
            return None
        since, look = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (self.waits_since, self.next_look_at))
        return f"{self.waits_for} (since {since}; next look at {look})"


def start_run(
    engine: sa.Engine,
    run_id: str,
    connection: str,
    workflow: str,
    asked_by: str,
    sealed: str,
    confirmed: str | None = None,
) -> str | None:
    """Records that a run starts, with its sealed inputs, and the text that `asked_by` confirmed.

    Returns the sealed inputs it was first started with if the run exists already, else None.
    """
    row = {
        "run_id": run_id,
        "connection": connection,
        "workflow": workflow,
        "asked_by": asked_by,
        "state": RunState.RUNNING,
        **_confirmation(confirmed, asked_by),
    }
    with engine.begin() as db:
        started = insert(workflow_runs).values(row).on_conflict_do_nothing()
        if db.scalar(started.returning(workflow_runs.c.run_id)):
            db.execute(sa.insert(workflow_inputs).values(run_id=run_id, sealed=sealed))
            return None
        return _sealed(db, run_id)


def resume_run(
    engine: sa.Engine, lease: Lease, run_id: str, confirmed: str | None, by: str
) -> None:
    """Records that a run resumes, and the text that `by` confirmed just now, if any.

    A run that waited stays due soon, in case this process dies. The waits of a run that failed
    begin again with their full length.

    Raises:
        LeaseLost: another process has taken over the run.
    """
    soon = sa.case((workflow_runs.c.next_look_at.is_not(None), sa.func.now() + SOONEST))
    again = {"state": RunState.RUNNING, "message": None, "finished_at": None, "next_look_at": soon}
    s, failed = workflow_steps.c, workflow_runs.c.state == RunState.FAILED
    of_it = sa.select(workflow_runs).where(workflow_runs.c.run_id == run_id, failed).exists()
    waits = (s.run_id == run_id) & (s.state == StepState.WAITING)
    with engine.begin() as db:
        fence(db, lease)
        db.execute(sa.delete(workflow_steps).where(waits, of_it))
        change(db, run_id, **again, **_confirmation(confirmed, by))


def end_run(engine: sa.Engine, lease: Lease, run_id: str, message: str | None) -> None:
    """Records that a run finished, or failed with `message`. Raises LeaseLost."""
    state = RunState.FAILED if message else RunState.FINISHED
    ended = {"state": state, "message": message, "finished_at": sa.func.now()}
    for attempt in attempts():
        with attempt, engine.begin() as db:
            fence(db, lease)
            change(db, run_id, **ended, **NO_WAIT)


def find(engine: sa.Engine, run_id: str) -> Run | None:
    """Returns the run with this id, if there is one."""
    return next(iter(_runs(engine, workflow_runs.c.run_id == run_id, 1)), None)


def latest(engine: sa.Engine, connection: str | None, most: int) -> list[Run]:
    """Returns the latest runs, of one connection or of all, newest first."""
    of_it = sa.true() if connection is None else workflow_runs.c.connection == connection
    return _runs(engine, of_it, most)


def sealed_inputs(engine: sa.Engine, run_id: str) -> str | None:
    """Returns the sealed inputs of a run; None if there is no such run."""
    with engine.connect() as db:
        return _sealed(db, run_id)


def reseal(engine: sa.Engine, seal: Callable[[str], str]) -> None:
    """Replaces the sealed inputs of every run by what `seal` returns for them."""
    i = workflow_inputs.c
    with engine.begin() as db:
        for run_id, sealed in db.execute(sa.select(i.run_id, i.sealed).with_for_update()).all():
            db.execute(
                sa.update(workflow_inputs).where(i.run_id == run_id).values(sealed=seal(sealed))
            )


def change(db: sa.Connection, run_id: str, **values: Any) -> None:
    """Sets columns of a run."""
    db.execute(sa.update(workflow_runs).where(workflow_runs.c.run_id == run_id).values(values))


def _confirmation(confirmed: str | None, by: str) -> dict[str, Any]:
    if confirmed is None:
        return {}
    return {"confirmed": confirmed, "confirmed_by": by, "confirmed_at": sa.func.now()}


def _sealed(db: sa.Connection, run_id: str) -> str | None:
    found: str | None = db.scalar(
        sa.select(workflow_inputs.c.sealed).where(workflow_inputs.c.run_id == run_id)
    )
    return found


def _runs(engine: sa.Engine, condition: sa.ColumnElement[bool], most: int) -> list[Run]:
    held = leases.alive(leases.WORKFLOW, workflow_runs.c.run_id).label("held")
    statement = sa.select(workflow_runs, held).where(condition)
    with engine.connect() as db:
        rows = db.execute(statement.order_by(workflow_runs.c.asked_at.desc()).limit(most)).all()
    runs = []
    for row in rows:
        values = dict(row._mapping)
        interrupted = not values.pop("held") and values["state"] == RunState.RUNNING
        state = RunState.INTERRUPTED if interrupted else RunState(values["state"])
        runs.append(Run(**values | {"state": state}))
    return runs
