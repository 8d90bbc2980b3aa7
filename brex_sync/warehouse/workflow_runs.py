"""What workflows have done: noted before and after each request, so that a run can go on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import LeaseLost
from brex_sync.warehouse.internal import workflow_inputs, workflow_runs, workflow_steps, writes
from brex_sync.warehouse.retrying import attempts
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Lease

SOONEST, LATEST = timedelta(minutes=1), timedelta(hours=1)
"""Between two looks of a run that waits is a tenth of the time it has waited, within these."""


class RunState(StrEnum):
    """How a run stands. One that is INTERRUPTED is noted as running, and nobody performs it; of one
    that is WAITING that is as it should be until its next look."""

    RUNNING = "running"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"


class StepState(StrEnum):
    """How a step stands; BEGUN: it was sent, and what came of it is not known; WAITING: what was
    looked at is not yet as it is to be. NEW is not noted."""

    NEW = "new"
    WAITING = "waiting"
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a workflow. `confirmed` is what a person agreed to, `confirmed_by` who; the last
    three are of one that waits."""

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
        """What it waits for, since when, and when it is looked at next; None if it does not."""
        if self.state is not RunState.WAITING or not (self.waits_since and self.next_look_at):
            return None
        since, look = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (self.waits_since, self.next_look_at))
        return f"{self.waits_for} (since {since}; next look at {look})"


@dataclass(frozen=True, slots=True)
class StepNote:
    """A step of a run: the request, how it stands, and what was kept of the answer."""

    step: str
    method: str
    path: str
    body: Any
    state: StepState
    refusals: int
    kept: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a write: requests made, and of the last the status, what it said, its trace."""

    attempts: int
    status: int | None
    message: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """A line of the record: a write that was sent, and what Brex answered, if that is known."""

    step: str
    sent_at: datetime
    method: str
    path: str
    status: int | None
    message: str | None
    trace_id: str | None


def open_run(
    engine: sa.Engine,
    run_id: str,
    connection: str,
    workflow: str,
    asked_by: str,
    sealed: str,
    confirmed: str | None = None,
) -> str | None:
    """Notes that a run begins; what it was first given, sealed, if it has begun before.

    `confirmed` is what whoever asks for it agreed to.
    """
    fresh = {
        "run_id": run_id,
        "connection": connection,
        "workflow": workflow,
        "asked_by": asked_by,
        "state": RunState.RUNNING,
        **_agreed(confirmed, asked_by),
    }
    with engine.begin() as db:
        begun = insert(workflow_runs).values(fresh).on_conflict_do_nothing()
        if db.scalar(begun.returning(workflow_runs.c.run_id)):
            db.execute(sa.insert(workflow_inputs).values(run_id=run_id, sealed=sealed))
            return None
        return _sealed(db, run_id)


def _agreed(confirmed: str | None, by: str) -> dict[str, Any]:
    if confirmed is None:
        return {}
    return {"confirmed": confirmed, "confirmed_by": by, "confirmed_at": sa.func.now()}


def sealed_of(engine: sa.Engine, run_id: str) -> str | None:
    """What a run was given, sealed; None where there is no such run."""
    with engine.connect() as db:
        return _sealed(db, run_id)


def seal_anew(engine: sa.Engine, seal: Callable[[str], str]) -> None:
    """Replaces what every run was given, sealed, by what `seal` makes of it."""
    i = workflow_inputs.c
    with engine.begin() as db:
        for run_id, sealed in db.execute(sa.select(i.run_id, i.sealed).with_for_update()).all():
            db.execute(
                sa.update(workflow_inputs).where(i.run_id == run_id).values(sealed=seal(sealed))
            )


def find(engine: sa.Engine, run_id: str) -> Run | None:
    """A run, if there is one of that id."""
    return next(iter(_runs(engine, workflow_runs.c.run_id == run_id, 1)), None)


def latest(engine: sa.Engine, connection: str | None, most: int) -> list[Run]:
    """The latest runs, of one connection or of all; the newest first."""
    of_it = sa.true() if connection is None else workflow_runs.c.connection == connection
    return _runs(engine, of_it, most)


def steps_of(engine: sa.Engine, run_id: str) -> list[StepNote]:
    """The steps of a run, in the order in which they were begun."""
    s = workflow_steps.c
    columns = (s.step, s.method, s.path, s.body, s.state, s.refusals, s.kept)
    with engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(s.run_id == run_id).order_by(s.number))
        return [StepNote(**dict(row._mapping) | {"state": StepState(row.state)}) for row in rows]


def writes_of(engine: sa.Engine, run_id: str) -> list[WriteRecord]:
    """Every write that a run has sent, in order."""
    w = writes.c
    columns = (w.step, w.sent_at, w.method, w.path, w.status, w.message, w.trace_id)
    with engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(w.run_id == run_id).order_by(w.id))
        return [WriteRecord(*row) for row in rows]


def begin_write(
    engine: sa.Engine, lease: Lease, who: tuple[str, str, str, str], step: StepNote, key: str
) -> int:
    """Notes, before it is sent, that a write begins; answers with its number in the record.

    `who` is the run, its connection and workflow, and who asks for it now.

    Raises:
        LeaseLost: another process has taken the run over; nothing was noted, and must be sent.
    """
    run = dict(zip(("run_id", "connection", "workflow", "asked_by"), who, strict=True))
    request = {"step": step.step, "method": step.method, "path": step.path, "body": step.body}
    row = {"run_id": run["run_id"], **request, "state": StepState.BEGUN, "refusals": step.refusals}
    note = insert(workflow_steps).values(row)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            _fence(db, lease)
            db.execute(
                note.on_conflict_do_update(
                    index_elements=list(workflow_steps.primary_key),
                    set_={"state": StepState.BEGUN},
                )
            )
            added = sa.insert(writes).values(**run, **request, idempotency_key=key)
            number: int = db.execute(added.returning(writes.c.id)).scalar_one()
    return number


def end_write(
    engine: sa.Engine,
    lease: Lease,
    run_id: str,
    step: str,
    number: int,
    state: StepState,
    answer: Answer,
    kept: Any = None,
) -> None:
    """Notes what came of a write in the record; and in the run, unless another process has taken
    that over, which asks again with the same key."""
    s = workflow_steps.c
    refused = 1 if state is StepState.REFUSED else 0
    ended = None if state is StepState.BEGUN else sa.func.now()
    answered = {} if kept is None else {"kept": kept}
    for attempt in attempts():
        with attempt, engine.begin() as db:
            db.execute(
                sa.update(writes)
                .where(writes.c.id == number, writes.c.answered_at.is_(None))
                .values(
                    answered_at=sa.func.now(),
                    attempts=answer.attempts,
                    status=answer.status,
                    message=answer.message,
                    trace_id=answer.trace_id,
                )
            )
            if lease.is_kept(db):
                db.execute(
                    sa.update(workflow_steps)
                    .where(s.run_id == run_id, s.step == step)
                    .values(
                        state=state, refusals=s.refusals + refused, finished_at=ended, **answered
                    )
                )


def note_read(engine: sa.Engine, lease: Lease, run_id: str, step: StepNote) -> None:
    """Notes what was kept of something that was looked at. Raises LeaseLost."""
    row = _looked(run_id, step) | {"kept": step.kept, "finished_at": sa.func.now()}
    seen = {name: row[name] for name in ("state", "kept", "finished_at")}
    note = insert(workflow_steps).values(row)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            _fence(db, lease)
            db.execute(
                note.on_conflict_do_update(
                    index_elements=list(workflow_steps.primary_key),
                    set_=seen,
                    where=workflow_steps.c.state == StepState.WAITING,
                )
            )


def _looked(run_id: str, step: StepNote) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "step": step.step,
        "method": step.method,
        "path": step.path,
        "state": step.state,
        "refusals": 0,
    }


def note_kept(engine: sa.Engine, lease: Lease, run_id: str, step: str, kept: Any) -> None:
    """Notes what is known of a write that is not done yet. Raises LeaseLost."""
    s = workflow_steps.c
    with engine.begin() as db:
        _fence(db, lease)
        db.execute(
            sa.update(workflow_steps).where(s.run_id == run_id, s.step == step).values(kept=kept)
        )


def suspend(
    engine: sa.Engine,
    lease: Lease,
    run_id: str,
    step: StepNote,
    waits_for: str,
    patience: timedelta,
) -> bool:
    """Notes that a run waits at a step; False once it has done so for `patience`.

    That is counted by Postgres's clock from the step's first note since the run last failed.

    Raises:
        LeaseLost: another process has taken the run over.
    """
    s = workflow_steps.c
    mine = sa.and_(s.run_id == run_id, s.step == step.step)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            _fence(db, lease)
            db.execute(
                insert(workflow_steps).values(_looked(run_id, step)).on_conflict_do_nothing()
            )
            since, waited = db.execute(
                sa.select(s.begun_at, sa.func.now() - s.begun_at).where(mine)
            ).one()
            if waited >= patience:
                return False
            pause = min(max(waited / 10, SOONEST), LATEST)
            waits = {"waits_for": waits_for, "waits_since": since, "message": None}
            look = {"state": RunState.WAITING, "next_look_at": sa.func.now() + pause}
            _change(db, run_id, **waits, **look)
    return True


def close_run(engine: sa.Engine, lease: Lease, run_id: str, message: str | None) -> None:
    """Notes how a run ended: finished, or failed with a message. Raises LeaseLost."""
    state = RunState.FAILED if message else RunState.FINISHED
    ended = {"state": state, "message": message, "finished_at": sa.func.now()}
    for attempt in attempts():
        with attempt, engine.begin() as db:
            _fence(db, lease)
            _change(db, run_id, **ended, **_NO_WAIT)


def reopen_run(
    engine: sa.Engine, lease: Lease, run_id: str, confirmed: str | None, by: str
) -> None:
    """Notes that a run goes on; of one that waited, that it is looked at again soon in case this
    process dies. One that failed waits as long again. `confirmed` is what `by` agreed to just now.
    Raises LeaseLost."""
    soon = sa.case((workflow_runs.c.next_look_at.is_not(None), sa.func.now() + SOONEST))
    again = {"state": RunState.RUNNING, "message": None, "finished_at": None, "next_look_at": soon}
    s, failed = workflow_steps.c, workflow_runs.c.state == RunState.FAILED
    of_it = sa.select(workflow_runs).where(workflow_runs.c.run_id == run_id, failed).exists()
    waits = (s.run_id == run_id) & (s.state == StepState.WAITING)
    with engine.begin() as db:
        _fence(db, lease)
        db.execute(sa.delete(workflow_steps).where(waits, of_it))
        _change(db, run_id, **again, **_agreed(confirmed, by))


def due(engine: sa.Engine, connection: str) -> list[str]:
    """The runs of a connection that wait and are to be looked at now, those included whose look
    was cut off."""
    r = workflow_runs.c
    waits = r.state.in_((RunState.WAITING, RunState.RUNNING)) & (r.next_look_at <= sa.func.now())
    idle = ~leases.alive(leases.WORKFLOW, r.run_id)
    wanted = sa.select(r.run_id).where(r.connection == connection, waits, idle)
    with engine.connect() as db:
        return list(db.scalars(wanted.order_by(r.next_look_at)))


def look_now(engine: sa.Engine, connection: str) -> None:
    """Has the runs of a connection that wait looked at now: something has changed at Brex."""
    r = workflow_runs.c
    waiting = (r.connection == connection) & (r.state == RunState.WAITING)
    with engine.begin() as db:
        db.execute(sa.update(workflow_runs).where(waiting).values(next_look_at=sa.func.now()))


def give_up_waiting(engine: sa.Engine, run_id: str, message: str) -> None:
    """Notes that a run that waits cannot go on by itself."""
    waiting = (workflow_runs.c.run_id == run_id) & workflow_runs.c.next_look_at.is_not(None)
    ended = {"state": RunState.FAILED, "message": message, "finished_at": sa.func.now()}
    with engine.begin() as db:
        db.execute(sa.update(workflow_runs).where(waiting).values(**ended, **_NO_WAIT))


_NO_WAIT = {"waits_for": None, "waits_since": None, "next_look_at": None}


def _fence(db: sa.Connection, lease: Lease) -> None:
    """Keeps a process that woke up after another took its run over from committing."""
    if not lease.is_kept(db):
        raise LeaseLost(f"run {lease.name} was taken over by another process")


def _change(db: sa.Connection, run_id: str, **values: Any) -> None:
    db.execute(sa.update(workflow_runs).where(workflow_runs.c.run_id == run_id).values(values))


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
        cut_off = not values.pop("held") and values["state"] == RunState.RUNNING
        state = RunState.INTERRUPTED if cut_off else RunState(values["state"])
        runs.append(Run(**values | {"state": state}))
    return runs
