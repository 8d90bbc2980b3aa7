"""Runs workflows.

Resuming replays the generator: completed steps return their stored result, and the first incomplete
step is sent again with its original idempotency key.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx
import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.connections.vault import Vault
from brex_sync.errors import (
    BadInputs,
    BrexError,
    Fenced,
    LeaseLost,
    OtherInputs,
    PostgresError,
    RunBusy,
    StepFailed,
    WorkflowError,
)
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.sync.read.refetch import refetch
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import TERMS, Lease, Terms
from brex_sync.warehouse.workflows import step_log, waits, workflow_runs
from brex_sync.warehouse.workflows.step_log import StepRecord, StepState
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync.workflows.lines import read_back
from brex_sync.workflows.replay import replay
from brex_sync.workflows.run_request import RunRequest, confirmation
from brex_sync.workflows.step_runner import StepRunner, Suspended

POLL_EVERY = 0.5
"""Seconds between two attempts to take the lease of a run that another process holds."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The result of running, or resuming, a run.

    `steps` are the writes that are complete. `error` says what failed; it is None if everything was
    done, or if the run waits. `faults` are the reasons why the inputs cannot be used. `refused`
    says that sending the same requests again would change nothing. `stale` names streams whose rows
    could not be fetched again; the next sync updates them. `waiting` says what the run waits for.
    """

    run_id: str
    workflow: str
    steps: tuple[StepRecord, ...]
    error: str | None = None
    faults: tuple[str, ...] = ()
    refused: bool = False
    stale: tuple[str, ...] = ()
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowRunner:
    """Runs the workflows of one connection. `store` replaces the network for uploads of files."""

    connection: str
    client: BrexClient
    engine: sa.Engine
    vault: Vault
    store: httpx.AsyncBaseTransport | None = None
    lease_terms: Terms = TERMS

    async def run(self, request: RunRequest) -> RunOutcome:
        """Sends the steps that are not complete, and fetches the rows they change again.

        A run whose process died is taken over once its lease has ended. A run that has finished
        returns its outcome again.

        Raises:
            Unconfirmed: the run needs a confirmation and has none; nothing was sent.
            OtherInputs: the run was started with other inputs; nothing was sent.
            RunBusy: another process runs it.
            VaultError: its inputs cannot be sealed or opened.
            PostgresError: the warehouse failed; the run can be resumed.
        """
        await self._warehouse.call(prepare, STREAMS.values(), VIEWS.values())
        async with self._claimed(request.run_id) as lease:
            try:
                before = await asyncio.to_thread(self._open, request, lease)
                if before is RunState.FINISHED:
                    return await asyncio.to_thread(self._outcome, request)
                return await self._run(request, lease, waited=before is RunState.WAITING)
            except LeaseLost as lost:
                raise RunBusy(str(lost)) from None

    @property
    def _warehouse(self) -> Warehouse:
        return Warehouse(self.engine, self.connection)

    async def _run(self, request: RunRequest, lease: Lease, *, waited: bool) -> RunOutcome:
        runner = await self._step_runner(request, lease)
        end = partial(workflow_runs.end_run, self.engine, lease, request.run_id)
        failure: WorkflowError | BrexError | None = None
        try:
            await replay(request.workflow.steps(request.inputs), runner.run, runner.run_all)
        except Suspended as wait:
            stale = () if waited else await self._refetch(runner.touched)
            if await asyncio.to_thread(self._suspend, runner, wait):
                return await asyncio.to_thread(self._outcome, request, None, stale)
            failure = StepFailed(f"{wait.reason}: that is {wait.until.timeout.days} days", False)
        except (WorkflowError, BrexError) as error:
            failure = error
        except (PostgresError, LeaseLost):
            raise
        except Exception as error:
            message = f"the workflow itself has a fault: {type(error).__name__}"
            await asyncio.to_thread(end, message)
            raise
        stale = await self._refetch(runner.touched)
        await asyncio.to_thread(end, None if failure is None else str(failure))
        return await asyncio.to_thread(self._outcome, request, failure, stale)

    async def _step_runner(self, request: RunRequest, lease: Lease) -> StepRunner:
        steps = await asyncio.to_thread(step_log.steps_of, self.engine, request.run_id)
        recorded = {record.step: record for record in steps}
        return StepRunner(
            self.connection, self.client, self.engine, lease, request, recorded, self.store
        )

    @asynccontextmanager
    async def _claimed(self, run_id: str) -> AsyncIterator[Lease]:
        """Holds the run's lease, once its holder has released it or is known to be dead.

        Raises:
            RunBusy: a heartbeat shows that the holder is alive.
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
                raise RunBusy(f"run {run_id} is being run by another process")
            await asyncio.sleep(POLL_EVERY)

    def _open(self, request: RunRequest, lease: Lease) -> RunState | None:
        """Records that the run starts or resumes; returns its state before, None if it is new."""
        inputs, run_id = request.inputs.model_dump_json(), request.run_id
        run = workflow_runs.find(self.engine, run_id)
        before = workflow_runs.sealed_inputs(self.engine, run_id)
        if run is None or before is None:
            confirmed = confirmation(request, None)
            sealed, name = self.vault.seal({"inputs": inputs}), request.workflow.name
            workflow_runs.start_run(
                self.engine, run_id, self.connection, name, request.by, sealed, confirmed
            )
            return None
        if (run.connection, run.workflow) != (self.connection, request.workflow.name):
            raise OtherInputs(f"run {run_id} is of another workflow: start another run")
        first = self.vault.open(before)["inputs"]
        if read_back(request.workflow, first) != request.inputs:
            raise OtherInputs(f"run {run_id} was started with other inputs: start another run")
        if run.state is not RunState.FINISHED:
            confirmed = confirmation(request, run)
            workflow_runs.resume_run(self.engine, lease, run_id, confirmed, request.by)
        return run.state

    def _suspend(self, runner: StepRunner, wait: Suspended) -> bool:
        run_id, timeout = runner.request.run_id, wait.until.timeout
        return waits.suspend(self.engine, runner.lease, run_id, wait.step, wait.reason, timeout)

    async def _refetch(self, touched: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        """Fetches the changed rows again; returns a sentence for each stream that failed."""
        stale = []
        for name, keys in touched.items():
            try:
                await refetch(self.client, self._warehouse, STREAMS[name], keys)
            except (BrexError, Fenced, PostgresError) as error:
                first = str(error).partition("\n")[0]
                stale.append(f"{name} will be brought up to date by the next sync: {first}")
        return tuple(stale)

    def _outcome(
        self, request: RunRequest, failure: Exception | None = None, stale: tuple[str, ...] = ()
    ) -> RunOutcome:
        run = workflow_runs.find(self.engine, request.run_id)
        steps = step_log.steps_of(self.engine, request.run_id)
        return RunOutcome(
            request.run_id,
            request.workflow.name,
            tuple(one for one in steps if one.method != "GET" and one.state is StepState.DONE),
            None if failure is None else str(failure),
            failure.faults if isinstance(failure, BadInputs) else (),
            isinstance(failure, BadInputs) or (isinstance(failure, StepFailed) and failure.refused),
            stale,
            run.waiting if run else None,
        )


@asynccontextmanager
async def _entered(manager: AbstractContextManager[Lease | None]) -> AsyncIterator[Lease | None]:
    """Enters and leaves a lease in threads; it is released even if the caller is cancelled."""
    entering = asyncio.create_task(asyncio.to_thread(manager.__enter__))
    try:
        yield await asyncio.shield(entering)
    finally:
        await asyncio.wait({entering})
        if entering.exception() is None:
            await asyncio.to_thread(manager.__exit__, None, None, None)
