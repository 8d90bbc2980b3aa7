"""What workflows have done: noted before and after each request, so that a run can go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import workflow_inputs, workflow_runs, workflow_steps, writes
from brex_sync.warehouse.retrying import attempts


class RunState(StrEnum):
    """How a run stands. One that is INTERRUPTED is noted as running, and nobody performs it."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"


class StepState(StrEnum):
    """How a step stands; BEGUN: it was sent, and what came of it is not known. NEW is not noted."""

    NEW = "new"
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a workflow."""

    run_id: str
    connection: str
    workflow: str
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None
    state: RunState
    message: str | None


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
class Write:
    """A line of the record: a write that was sent, and what Brex answered, if that is known."""

    step: str
    sent_at: datetime
    method: str
    path: str
    status: int | None
    message: str | None
    trace_id: str | None


@contextmanager
def claimed(engine: sa.Engine, run_id: str) -> Iterator[bool]:
    """Whether this process alone may perform a run, for as long as the block lasts.

    The lock is on a connection of its own; Postgres lets go of it when the process dies.
    """
    alone = sa.create_engine(engine.url, poolclass=sa.NullPool)
    with alone.connect() as db:
        try:
            yield bool(db.scalar(sa.select(sa.func.pg_try_advisory_lock(_lock_of(run_id)))))
        finally:
            with suppress(sa.exc.DBAPIError):
                db.execute(sa.select(sa.func.pg_advisory_unlock_all()))


def open_run(
    engine: sa.Engine, run_id: str, connection: str, workflow: str, asked_by: str, sealed: str
) -> str | None:
    """Notes that a run begins; what it was first given, sealed, if it has begun before."""
    fresh = {
        "run_id": run_id,
        "connection": connection,
        "workflow": workflow,
        "asked_by": asked_by,
        "state": RunState.RUNNING,
    }
    with engine.begin() as db:
        begun = insert(workflow_runs).values(fresh).on_conflict_do_nothing()
        if db.scalar(begun.returning(workflow_runs.c.run_id)):
            db.execute(sa.insert(workflow_inputs).values(run_id=run_id, sealed=sealed))
            return None
        return _sealed(db, run_id)


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


def writes_of(engine: sa.Engine, run_id: str) -> list[Write]:
    """Every write that a run has sent, in order."""
    w = writes.c
    columns = (w.step, w.sent_at, w.method, w.path, w.status, w.message, w.trace_id)
    with engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(w.run_id == run_id).order_by(w.id))
        return [Write(*row) for row in rows]


def begin_write(engine: sa.Engine, who: tuple[str, str, str, str], step: StepNote, key: str) -> int:
    """Notes, before it is sent, that a write begins; answers with its number in the record.

    `who` is the run, its connection and workflow, and who asks for it now.
    """
    run = dict(zip(("run_id", "connection", "workflow", "asked_by"), who, strict=True))
    request = {"step": step.step, "method": step.method, "path": step.path, "body": step.body}
    row = {"run_id": run["run_id"], **request, "state": StepState.BEGUN, "refusals": step.refusals}
    note = insert(workflow_steps).values(row)
    for attempt in attempts():
        with attempt, engine.begin() as db:
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
    run_id: str,
    step: str,
    number: int,
    state: StepState,
    answer: Answer,
    kept: Any = None,
) -> None:
    """Notes what came of a write, in the record and in the run."""
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
            db.execute(
                sa.update(workflow_steps)
                .where(s.run_id == run_id, s.step == step)
                .values(state=state, refusals=s.refusals + refused, finished_at=ended, **answered)
            )


def note_read(engine: sa.Engine, run_id: str, step: StepNote) -> None:
    """Notes what was kept of something that was looked at."""
    row = {
        "run_id": run_id,
        "step": step.step,
        "method": step.method,
        "path": step.path,
        "state": step.state,
        "refusals": 0,
        "kept": step.kept,
        "finished_at": sa.func.now(),
    }
    for attempt in attempts():
        with attempt, engine.begin() as db:
            db.execute(insert(workflow_steps).values(row).on_conflict_do_nothing())


def note_kept(engine: sa.Engine, run_id: str, step: str, kept: Any) -> None:
    """Notes what is known of a write that is not done yet."""
    s = workflow_steps.c
    with engine.begin() as db:
        db.execute(
            sa.update(workflow_steps).where(s.run_id == run_id, s.step == step).values(kept=kept)
        )


def close_run(engine: sa.Engine, run_id: str, message: str | None) -> None:
    """Notes how a run ended: finished, or failed with a message."""
    state = RunState.FAILED if message else RunState.FINISHED
    ended = {"state": state, "message": message, "finished_at": sa.func.now()}
    for attempt in attempts():
        with attempt, engine.begin() as db:
            db.execute(
                sa.update(workflow_runs).where(workflow_runs.c.run_id == run_id).values(ended)
            )


def reopen_run(engine: sa.Engine, run_id: str) -> None:
    """Notes that a run goes on."""
    again = {"state": RunState.RUNNING, "message": None, "finished_at": None}
    with engine.begin() as db:
        db.execute(sa.update(workflow_runs).where(workflow_runs.c.run_id == run_id).values(again))


def _sealed(db: sa.Connection, run_id: str) -> str | None:
    found: str | None = db.scalar(
        sa.select(workflow_inputs.c.sealed).where(workflow_inputs.c.run_id == run_id)
    )
    return found


def _runs(engine: sa.Engine, condition: sa.ColumnElement[bool], most: int) -> list[Run]:
    statement = sa.select(workflow_runs, _held()).where(condition)
    with engine.connect() as db:
        rows = db.execute(statement.order_by(workflow_runs.c.asked_at.desc()).limit(most)).all()
    runs = []
    for row in rows:
        values = dict(row._mapping)
        cut_off = not values.pop("held") and values["state"] == RunState.RUNNING
        state = RunState.INTERRUPTED if cut_off else RunState(values["state"])
        runs.append(Run(**values | {"state": state}))
    return runs


def _lock_of(run_id: Any) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(sa.literal("brex_sync.workflow.").op("||")(run_id), 0)


def _held() -> sa.ColumnElement[bool]:
    """Whether somebody performs the run of a row: holds its lock."""
    text = sa.text(
        "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND ((classid::bigint << 32) | objid::bigint) "
        "= hashtextextended('brex_sync.workflow.' || workflow_runs.run_id, 0)) AS held"
    )
    return text  # type: ignore[return-value]
