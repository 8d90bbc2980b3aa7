"""Performs workflows: each step is noted before it is sent and after it was answered.

A workflow that is continued is begun anew, and steps that are done answer with what was kept of
them; so it comes to the step at which it stopped, which is sent again with the key it had.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import httpx
import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.brex.uploads import put_file
from brex_sync.connections.vault import Vault
from brex_sync.errors import (
    BadInputs,
    BrexError,
    Fenced,
    LeaseLost,
    LinkRefused,
    OtherInputs,
    PostgresError,
    Refused,
    RunBusy,
    StepFailed,
    Unconfirmed,
    WorkflowError,
)
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.sync.read.refetch import refetch
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse import workflow_runs as table
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import TERMS, Lease, Terms
from brex_sync.warehouse.workflow_runs import RunState, StepNote, StepState
from brex_sync.workflows import sending
from brex_sync.workflows.declare import Inputs, Kept, Step, Steps, Taken, Until, Workflow, each_once
from brex_sync.workflows.lines import read_back
from brex_sync.workflows.masking import cut_in, masked

LOOKS_AT_ONCE = 8
"""How many steps that only look are made side by side."""
LOOK_EVERY = 0.5
"""Seconds between two looks at whether a run that another process holds is free."""
UNKNOWN = "; whether Brex did it is not known: resumed, it is asked again with the same key"


class _Waits(Exception):
    """A step waits, and so does the run: `told` says for what."""

    def __init__(self, note: StepNote, until: Until, told: str) -> None:
        super().__init__(told)
        self.note, self.until, self.told = note, until, told


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A workflow to perform. `run_id` makes it one and the same, however often it is asked for;
    `by` is who asks, for the record; `confirmed`: they agree to what it spends or ends."""

    workflow: Workflow
    inputs: Inputs
    run_id: str
    by: str
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What came of it.

    `steps` are those that stand. `error` says what failed, None where all was done; `faults` what
    was wrong with the inputs, and `refused` that asking again as it is would change nothing.
    `stale` tells of rows that could not be fetched again, which the next sync mends. `waiting` says
    what the run waits for; it goes on by itself where Dagster or the service runs.
    """

    run_id: str
    workflow: str
    steps: tuple[StepNote, ...]
    error: str | None = None
    faults: tuple[str, ...] = ()
    refused: bool = False
    stale: tuple[str, ...] = ()
    waiting: str | None = None


@dataclass(slots=True)
class _RunState:
    """A run on its way: what was done before, and what was come to since."""

    asked: RunRequest
    lease: Lease
    known: Mapping[str, StepNote]
    taken: Taken = field(default_factory=Taken)
    kept: dict[str, Any] = field(default_factory=dict)
    touched: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkflowRunner:
    """Performs the workflows of one connection. `store` replaces the network to where files go."""

    connection: str
    client: BrexClient
    engine: sa.Engine
    vault: Vault
    store: httpx.AsyncBaseTransport | None = None
    lease_terms: Terms = TERMS

    async def perform(self, asked: RunRequest) -> RunOutcome:
        """Does what is not done yet, and fetches the rows concerned again.

        A run that another process held is taken over once that process's lease has ended.

        Raises:
            RunBusy, OtherInputs, Unconfirmed: it was not begun, or another process took it over.
            VaultError: what it was given cannot be sealed or compared.
            PostgresError: the warehouse went away; to be resumed.
        """
        warehouse = Warehouse(self.engine, self.connection)
        await warehouse.call(prepare, STREAMS.values(), VIEWS.values())
        async with self._claimed(asked.run_id) as lease:
            try:
                before = await asyncio.to_thread(self._open, asked, lease)
                if before is RunState.FINISHED:
                    return await asyncio.to_thread(self._outcome, asked)
                return await self._perform(asked, lease, waited=before is RunState.WAITING)
            except LeaseLost as lost:
                raise RunBusy(str(lost)) from None

    async def _perform(self, asked: RunRequest, lease: Lease, *, waited: bool) -> RunOutcome:
        known = await asyncio.to_thread(table.steps_of, self.engine, asked.run_id)
        going = _RunState(asked, lease, {note.step: note for note in known})
        closing = partial(table.close_run, self.engine, lease, asked.run_id)
        failure: WorkflowError | BrexError | None = None
        try:
            await self._drive(going, asked.workflow.steps(asked.inputs))
        except _Waits as wait:
            stale = () if waited else await self._refetch(going.touched)
            if await asyncio.to_thread(self._suspend, going, wait):
                return await asyncio.to_thread(self._outcome, asked, None, stale)
            failure = StepFailed(f"{wait.told}: that is {wait.until.patience.days} days", False)
        except (WorkflowError, BrexError) as error:
            failure = error
        except (PostgresError, LeaseLost):
            raise
        except Exception as error:
            told = f"the workflow itself has a fault: {type(error).__name__}"
            await asyncio.to_thread(closing, told)
            raise
        stale = await self._refetch(going.touched)
        await asyncio.to_thread(closing, None if failure is None else str(failure))
        return await asyncio.to_thread(self._outcome, asked, failure, stale)

    @asynccontextmanager
    async def _claimed(self, run_id: str) -> AsyncIterator[Lease]:
        """Holds the run's lease, once its holder has let go of it or is known to be dead.

        Raises:
            RunBusy: a heartbeat shows that the holder lives.
        """
        first = None
        while True:
            claim = leases.held(self.engine, leases.WORKFLOW, run_id, self.lease_terms)
            async with _entered(claim) as lease:
                if lease is not None:
                    yield lease
                    return
            ends = await asyncio.to_thread(leases.ends_at, self.engine, leases.WORKFLOW, run_id)
            first = first or ends
            if ends is not None and ends != first:
                raise RunBusy(f"run {run_id} is being performed by another process")
            await asyncio.sleep(LOOK_EVERY)

    def _open(self, asked: RunRequest, lease: Lease) -> RunState | None:
        """Notes that the run begins, or goes on, if it may; how it stood before, None if new."""
        given = {"inputs": asked.inputs.model_dump_json()}
        name, run_id = asked.workflow.name, asked.run_id
        run, before = table.find(self.engine, run_id), table.sealed_of(self.engine, run_id)
        if run is None or before is None:
            agreed = _agreed(asked, None)
            sealed = self.vault.seal(given)
            table.open_run(self.engine, run_id, self.connection, name, asked.by, sealed, agreed)
            return None
        if (run.connection, run.workflow) != (self.connection, name):
            raise OtherInputs(f"run {run_id} is of another workflow: begin another run")
        first = self.vault.open(before)["inputs"]
        if read_back(asked.workflow, first) != asked.inputs:
            raise OtherInputs(f"run {run_id} was begun with other inputs: begin another run")
        if run.state is not RunState.FINISHED:
            agreed = _agreed(asked, run)
            table.reopen_run(self.engine, lease, run_id, agreed, asked.by)
        return run.state

    def _suspend(self, going: _RunState, wait: _Waits) -> bool:
        run_id, patience = going.asked.run_id, wait.until.patience
        return table.suspend(self.engine, going.lease, run_id, wait.note, wait.told, patience)

    async def _drive(self, going: _RunState, steps: Steps) -> None:
        try:
            wish = next(steps)
            while True:
                if isinstance(wish, Step):
                    wish = steps.send(await self._make(going, wish))
                else:
                    wish = steps.send(await self._make_all(going, wish))
        except StopIteration:
            pass

    async def _make_all(self, going: _RunState, steps: Sequence[Step]) -> list[Any]:
        """Steps that do not depend on one another: one that is refused stops no other."""
        lost: list[StepFailed] = []

        async def make(step: Step) -> Any:
            if lost and (step.until or not lost[-1].refused):
                return None
            try:
                return await self._make(going, step)
            except StepFailed as failure:
                lost.append(failure)
                return None

        wanted = each_once(steps)
        if any(step.writes for step in wanted):
            answers = [await make(step) for step in wanted]
        else:
            answers = await _side_by_side(make, wanted)
        if lost:
            refused = all(failure.refused for failure in lost)
            raise StepFailed("\n".join(map(str, lost)), refused)
        by_name = {step.name: answer for step, answer in zip(wanted, answers, strict=True)}
        return [by_name[step.name] for step in steps]

    async def _make(self, going: _RunState, step: Step) -> Any:
        """What is kept of a step's answer; made now, unless it was made before."""
        going.asked.workflow.check(step)
        if going.taken.again(step):
            return going.kept[step.name]
        fresh = StepNote(
            step.name, step.method, step.url, masked(step.body), StepState.NEW, 0, None
        )
        note = going.known.get(step.name, fresh)
        if (note.method, note.path, note.body) != (fresh.method, fresh.path, fresh.body):
            raise WorkflowError(
                f"{step.name}: the run was begun by another version of the workflow, in which "
                f"this step was {note.method} {note.path}: begin another run for what is left"
            )
        try:
            kept = await self._answer(going, step, note)
        except BrexError as error:
            raise StepFailed(f"{step.name}: {error}", isinstance(error, Refused)) from None
        going.kept[step.name] = kept
        for stream in step.refetch:
            going.touched.setdefault(stream, []).append(step.id or kept["id"])
        return kept

    async def _answer(self, going: _RunState, step: Step, note: StepNote) -> Any:
        if note.state is StepState.DONE:
            return sending.distinct(step, note.kept) if step.every else note.kept
        if step.until is not None:
            return await self._wait(going, step, step.until, note)
        if not step.writes:
            return await self._look(going, step, note)
        try:
            return await self._write(going, step, note)
        except LinkRefused:
            return await self._write(going, step, replace(note, refusals=note.refusals + 1))

    async def _look(self, going: _RunState, step: Step, note: StepNote) -> Any:
        kept = await sending.look(self.client, step)
        done = replace(note, state=StepState.DONE, kept=kept)
        await asyncio.to_thread(table.note_read, self.engine, going.lease, going.asked.run_id, done)
        return kept

    async def _wait(self, going: _RunState, step: Step, until: Until, note: StepNote) -> Any:
        """What is kept of a look, if it shows what is waited for.

        One that shows nothing, for whatever reason, is made again later. Where a version that did
        not wait has begun what comes next, there is nothing to wait for any more.
        """
        seen, late = None, any(name not in going.taken for name in going.known)
        try:
            kept = await sending.look(self.client, step)
            seen = kept.get(until.field)
            shows = f"{until.field} is {seen}"
        except BrexError as error:
            if late:
                raise
            shows = str(error)
        if late or seen == until.reaches:
            done = replace(note, state=StepState.DONE, kept=kept)
            await asyncio.to_thread(
                table.note_read, self.engine, going.lease, going.asked.run_id, done
            )
            return kept
        if seen in until.never:
            raise StepFailed(f"{step.name}: {shows}, and not {until.reaches}", refused=True)
        waits = replace(note, state=StepState.WAITING)
        raise _Waits(waits, until, f"{step.name}: waits {until}; {shows}")

    async def _write(self, going: _RunState, step: Step, note: StepNote) -> Kept:
        asked = going.asked
        who = (asked.run_id, self.connection, asked.workflow.name, asked.by)
        key = key_of(asked.run_id, step.name, note.refusals)
        lease = going.lease
        number = await asyncio.to_thread(table.begin_write, self.engine, lease, who, note, key)
        ending = partial(table.end_write, self.engine, lease, asked.run_id, step.name, number)
        sent = sending.Sent()
        try:
            if step.file is None:
                kept = await sending.send(self.client, step, key, sent)
            else:
                kept = await self._upload(going, step, note, key, sent)
        except BrexError as error:
            refused = isinstance(error, Refused) and not _in_doubt(step, note, sent)
            state = StepState.REFUSED if refused else StepState.BEGUN
            said = cut_in(str(error), step.body)
            await asyncio.to_thread(ending, state, sent.answer(error, said))
            if isinstance(error, LinkRefused):
                raise
            told = f"{step.name}: {said}" if refused else f"{step.name}: {said}{UNKNOWN}"
            raise StepFailed(told, refused) from None
        await asyncio.to_thread(ending, StepState.DONE, sent.answer(), kept)
        return kept

    async def _upload(
        self, going: _RunState, step: Step, note: StepNote, key: str, sent: sending.Sent
    ) -> Kept:
        """Puts a file, unless it was put by an attempt that could not note it any more."""
        if note.kept and await sending.is_attached(self.client, step, note.kept["id"]):
            return dict(note.kept)
        content = await asyncio.to_thread(sending.read_file, step)
        link, kept = await sending.ask_for_link(self.client, step, key, sent)
        run_id = going.asked.run_id
        await asyncio.to_thread(table.note_kept, self.engine, going.lease, run_id, step.name, kept)
        await put_file(link, step.file.path.name if step.file else "", content, self.store)
        return kept

    async def _refetch(self, touched: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """Brings the rows concerned up to date; tells of those that could not be."""
        stale, warehouse = [], Warehouse(self.engine, self.connection)
        for name, keys in touched.items():
            try:
                await refetch(self.client, warehouse, STREAMS[name], keys)
            except (BrexError, Fenced, PostgresError) as error:
                first = str(error).partition("\n")[0]
                stale.append(f"{name} will be brought up to date by the next sync: {first}")
        return tuple(stale)

    def _outcome(
        self, asked: RunRequest, failure: Exception | None = None, stale: tuple[str, ...] = ()
    ) -> RunOutcome:
        run, notes = (
            table.find(self.engine, asked.run_id),
            table.steps_of(self.engine, asked.run_id),
        )
        return RunOutcome(
            asked.run_id,
            asked.workflow.name,
            tuple(note for note in notes if note.method != "GET" and note.state is StepState.DONE),
            None if failure is None else str(failure),
            failure.faults if isinstance(failure, BadInputs) else (),
            isinstance(failure, BadInputs) or (isinstance(failure, StepFailed) and failure.refused),
            stale,
            run.waiting if run else None,
        )


@asynccontextmanager
async def _entered(manager: AbstractContextManager[Lease | None]) -> AsyncIterator[Lease | None]:
    """Enters and leaves a lease in threads; it is let go of even if this is cancelled meanwhile."""
    entering = asyncio.create_task(asyncio.to_thread(manager.__enter__))
    try:
        yield await asyncio.shield(entering)
    finally:
        await asyncio.wait({entering})
        if entering.exception() is None:
            await asyncio.to_thread(manager.__exit__, None, None, None)


async def _side_by_side(make: Callable[[Step], Awaitable[Any]], steps: Sequence[Step]) -> list[Any]:
    """The answers to steps that only look, a few at once; none goes on after this has ended."""
    turns = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def look(step: Step) -> Any:
        async with turns:
            return await make(step)

    answers = await asyncio.gather(*map(look, steps), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


def key_of(run_id: str, step: str, refusals: int = 0) -> str:
    """A step's idempotency key. What Brex refused was not done, and is asked for anew with another,
    since nobody says whether Brex remembers its refusals."""
    name = f"{step}\n{refusals}" if refusals else step
    return str(uuid5(uuid5(NAMESPACE_OID, run_id), name))


def unconfirmed(engine: sa.Engine, asked: RunRequest) -> str | None:
    """What must be agreed to before a run is performed; None where it is, or nothing needs it."""
    if asked.confirmed:
        return None
    try:
        _agreed(asked, table.find(engine, asked.run_id))
    except Unconfirmed as error:
        return error.what
    return None


def _agreed(asked: RunRequest, run: table.Run | None) -> str | None:
    """What is to be noted as agreed to now; None where it is noted, or nothing needs it.

    Raises:
        Unconfirmed: nobody agreed to it, or to something else than this version would do.
    """
    what = asked.workflow.confirm(asked.inputs)
    if what is None or (run is not None and run.confirmed == what):
        return None
    if not asked.confirmed:
        raise Unconfirmed(what)
    return what


def recall(
    engine: sa.Engine, vault: Vault, workflows: Mapping[str, Workflow], run_id: str, by: str
) -> tuple[str, RunRequest]:
    """The connection of a run that was begun, and what it was asked for, not confirmed again.

    Raises:
        WorkflowError: there is no such run, or its workflow is declared no more.
        VaultError: what it was given cannot be opened.
    """
    run, sealed = table.find(engine, run_id), table.sealed_of(engine, run_id)
    if run is None or sealed is None:
        raise WorkflowError(f"no workflow's run is called {run_id}")
    if run.workflow not in workflows:
        raise WorkflowError(f"run {run_id} is of {run.workflow}, which is not declared any more")
    workflow = workflows[run.workflow]
    inputs = read_back(workflow, vault.open(sealed)["inputs"])
    return run.connection, RunRequest(workflow, inputs, run_id, by)


def _in_doubt(step: Step, note: StepNote, sent: sending.Sent) -> bool:
    """Whether a request before the one that was refused may have done it. Asking for a link to put
    a file at does nothing yet."""
    return step.file is None and (note.state is StepState.BEGUN or sent.meter.requests > 1)
