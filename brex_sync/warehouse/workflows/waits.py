"""Runs that wait at a step: suspended, due, failed. Their times are counted by Postgres's clock."""

from datetime import timedelta

import sqlalchemy as sa

from brex_sync.warehouse.internal import workflow_runs, workflow_steps
from brex_sync.warehouse.retrying import attempts
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Lease
from brex_sync.warehouse.workflows.step_log import StepRecord, begin_wait, fence
from brex_sync.warehouse.workflows.workflow_runs import NO_WAIT, SOONEST, RunState, change

LATEST = timedelta(hours=1)
"""The longest time between two polls, which is otherwise a tenth of the time waited."""


def suspend(
    engine: sa.Engine,
    lease: Lease,
    run_id: str,
    step: StepRecord,
    waits_for: str,
    timeout: timedelta,
) -> bool:
    """Records that a run waits at a step, and when it is polled next.

    Returns False, and leaves the run as it is, once the step has waited for `timeout`. The wait
    begins when the step is first recorded, and again when a run that failed is resumed.

    Raises:
        LeaseLost: another process has taken over the run.
    """
    s = workflow_steps.c
    mine = sa.and_(s.run_id == run_id, s.step == step.step)
    begun = sa.select(s.begun_at, sa.func.now() - s.begun_at).where(mine)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            fence(db, lease)
            begin_wait(db, run_id, step)
            since, waited = db.execute(begun).one()
            if waited >= timeout:
                return False
            pause = min(max(waited / 10, SOONEST), LATEST)
            waits = {"waits_for": waits_for, "waits_since": since, "message": None}
            look = {"state": RunState.WAITING, "next_look_at": sa.func.now() + pause}
            change(db, run_id, **waits, **look)
    return True


def due(engine: sa.Engine, connection: str) -> list[str]:
    """Returns the ids of the runs of a connection that wait and are due to be polled, including
    those whose last poll was interrupted."""
    r = workflow_runs.c
    waits = r.state.in_((RunState.WAITING, RunState.RUNNING)) & (r.next_look_at <= sa.func.now())
    idle = ~leases.alive(leases.WORKFLOW, r.run_id)
    wanted = sa.select(r.run_id).where(r.connection == connection, waits, idle)
    with engine.connect() as db:
        return list(db.scalars(wanted.order_by(r.next_look_at)))


def make_due(engine: sa.Engine, connection: str) -> None:
    """Makes the waiting runs of a connection due now: something has changed at Brex."""
    r = workflow_runs.c
    waiting = (r.connection == connection) & (r.state == RunState.WAITING)
    with engine.begin() as db:
        db.execute(sa.update(workflow_runs).where(waiting).values(next_look_at=sa.func.now()))


def fail(engine: sa.Engine, run_id: str, message: str) -> None:
    """Records that a waiting run failed, because it cannot be resumed."""
    waiting = (workflow_runs.c.run_id == run_id) & workflow_runs.c.next_look_at.is_not(None)
    ended = {"state": RunState.FAILED, "message": message, "finished_at": sa.func.now()}
    with engine.begin() as db:
        db.execute(sa.update(workflow_runs).where(waiting).values(**ended, **NO_WAIT))
