"""The steps of a workflow run, and the record of the writes it sent.

A write is recorded before it is sent and after its response, so that a resumed run knows which
steps are complete, and which request may have been sent.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import LeaseLost
from brex_sync.warehouse.internal import workflow_steps, writes
from brex_sync.warehouse.retrying import attempts
from brex_sync.warehouse.state.leases import Lease


class StepState(StrEnum):
    """The state of a step. NEW is not stored. WAITING: the last poll did not show what the step
    waits for. BEGUN: the request was sent, and its result is not known."""

    NEW = "new"
    WAITING = "waiting"
    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run: its request, its state, and the fields kept of the response.

    `refusals` counts the requests that Brex refused; `body` has its bank numbers cut.
    """

    step: str
    method: str
    path: str
    body: Any
    state: StepState
    refusals: int
    kept: Any


@dataclass(frozen=True, slots=True)
class WriteOrigin:
    """What a write is sent for: the run, and who asked for it."""

    run_id: str
    connection: str
    workflow: str
    asked_by: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The number of requests a write took, and the last response's status, message and trace id.

    `status` and `trace_id` are None if no response came, `message` is None if the write succeeded.
    """

    attempts: int
    status: int | None
    message: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """A row of the record of writes: the request, and the response if one is known."""

    step: str
    sent_at: datetime
    method: str
    path: str
    status: int | None
    message: str | None
    trace_id: str | None


def steps_of(engine: sa.Engine, run_id: str) -> list[StepRecord]:
    """Returns the steps of a run, in the order in which they began."""
    s = workflow_steps.c
    columns = (s.step, s.method, s.path, s.body, s.state, s.refusals, s.kept)
    with engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(s.run_id == run_id).order_by(s.number))
        return [StepRecord(**dict(row._mapping) | {"state": StepState(row.state)}) for row in rows]


def writes_of(engine: sa.Engine, run_id: str) -> list[WriteRecord]:
    """Returns the writes that a run has sent, in order."""
    w = writes.c
    columns = (w.step, w.sent_at, w.method, w.path, w.status, w.message, w.trace_id)
    with engine.connect() as db:
        rows = db.execute(sa.select(*columns).where(w.run_id == run_id).order_by(w.id))
        return [WriteRecord(*row) for row in rows]


def begin_write(
    engine: sa.Engine, lease: Lease, origin: WriteOrigin, step: StepRecord, key: str
) -> int:
    """Records a write before it is sent, with its idempotency key; returns its id in the record.

    Raises:
        LeaseLost: another process has taken over the run. Nothing is recorded, and the write must
            not be sent.
    """
    request = {"step": step.step, "method": step.method, "path": step.path, "body": step.body}
    begun = {"state": StepState.BEGUN}
    row = {"run_id": origin.run_id, **request, **begun, "refusals": step.refusals}
    begin = _upsert(row, begun)
    added = sa.insert(writes).values(**asdict(origin), **request, idempotency_key=key)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            fence(db, lease)
            db.execute(begin)
            number: int = db.execute(added.returning(writes.c.id)).scalar_one()
    return number


def end_write(
    engine: sa.Engine,
    lease: Lease,
    run_id: str,
    step: str,
    number: int,
    state: StepState,
    result: WriteResult,
    kept: Any = None,
) -> None:
    """Records the result of a write, and the new state of its step.

    The step is left as it is if another process has taken over the run: that process sends the
    request again with the same key.
    """
    s = workflow_steps.c
    mine = sa.and_(s.run_id == run_id, s.step == step)
    ended = {
        "state": state,
        "refusals": s.refusals + (1 if state is StepState.REFUSED else 0),
        "finished_at": None if state is StepState.BEGUN else sa.func.now(),
        **({} if kept is None else {"kept": kept}),
    }
    open_write = sa.and_(writes.c.id == number, writes.c.answered_at.is_(None))
    answered = {"answered_at": sa.func.now(), **asdict(result)}
    for attempt in attempts():
        with attempt, engine.begin() as db:
            db.execute(sa.update(writes).where(open_write).values(answered))
            if lease.is_kept(db):
                db.execute(sa.update(workflow_steps).where(mine).values(ended))


def record_read(engine: sa.Engine, lease: Lease, run_id: str, step: StepRecord) -> None:
    """Records the fields kept of a read. Raises LeaseLost."""
    row = _read_row(run_id, step) | {"kept": step.kept, "finished_at": sa.func.now()}
    changed = {name: row[name] for name in ("state", "kept", "finished_at")}
    recorded = _upsert(row, changed, workflow_steps.c.state == StepState.WAITING)
    for attempt in attempts():
        with attempt, engine.begin() as db:
            fence(db, lease)
            db.execute(recorded)


def record_kept(engine: sa.Engine, lease: Lease, run_id: str, step: str, kept: Any) -> None:
    """Records what is known of a write that is not complete yet. Raises LeaseLost."""
    s = workflow_steps.c
    mine = sa.and_(s.run_id == run_id, s.step == step)
    with engine.begin() as db:
        fence(db, lease)
        db.execute(sa.update(workflow_steps).where(mine).values(kept=kept))


def begin_wait(db: sa.Connection, run_id: str, step: StepRecord) -> None:
    """Records that a step waits, unless it is recorded already."""
    db.execute(insert(workflow_steps).values(_read_row(run_id, step)).on_conflict_do_nothing())


def fence(db: sa.Connection, lease: Lease) -> None:
    """Renews the run's lease in this transaction.

    Raises:
        LeaseLost: another process has taken over the run, so the transaction must not commit.
    """
    if not lease.is_kept(db):
        raise LeaseLost(f"run {lease.name} was taken over by another process")


def _upsert(row: dict[str, Any], changed: dict[str, Any], where: Any = None) -> sa.Insert:
    """Inserts a step, or changes the one that is stored, if `where` holds for it."""
    keys = list(workflow_steps.primary_key)
    statement = insert(workflow_steps).values(row)
    return statement.on_conflict_do_update(index_elements=keys, set_=changed, where=where)


def _read_row(run_id: str, step: StepRecord) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "step": step.step,
        "method": step.method,
        "path": step.path,
        "state": step.state,
        "refusals": 0,
    }
