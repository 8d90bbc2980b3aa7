"""Runs workflows for all doors: inputs, then a dry run, or a confirmation and the run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.connections.connect import ready_vault
from brex_sync.connections.declared import Connection
from brex_sync.databases import open_database
from brex_sync.errors import Unconfirmed, UnknownRun
from brex_sync.runtime.clients import open_client
from brex_sync.settings import Settings
from brex_sync.warehouse.workflows import step_log, waits, workflow_runs
from brex_sync.warehouse.workflows.step_log import StepRecord, WriteRecord
from brex_sync.warehouse.workflows.workflow_runs import Run
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.dry_run import PlannedStep, dry_run
from brex_sync.workflows.run_request import RunRequest, pending_confirmation, recall
from brex_sync.workflows.runner import RunOutcome, WorkflowRunner
from brex_sync.workflows.waiting import resume_due

Ask = Callable[[str], None]
"""Asks a person to confirm a text: returns if they agree, and raises if not."""
OpenClient = Callable[[Connection], AbstractAsyncContextManager[BrexClient]]
"""Opens the client of a connection."""


def _decline(what: str) -> None:
    raise Unconfirmed(what)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run, its steps so far, and the writes it has sent."""

    run: Run
    steps: list[StepRecord]
    writes: list[WriteRecord]


@dataclass(frozen=True, slots=True)
class WorkflowRuntime:
    """Runs workflows, and reports on their runs.

    A door makes a `RunRequest` of its inputs (`request_run`), or recalls that of an earlier run. It
    then calls `plan`, or `confirm` and `run`. The engine refuses requests that need a confirmation
    and have none, so `run` cannot be used to avoid `confirm`.

    `client` opens the client of a connection, for doors that keep theirs open.
    """

    settings: Settings
    engine: sa.Engine
    client: OpenClient | None = None

    async def plan(self, connection: Connection, request: RunRequest) -> list[PlannedStep]:
        """Returns the writes that a run would send, in order; sends only reads.

        Raises:
            WorkflowError: the workflow cannot be run with these inputs.
            BrexError, SettingsError, VaultError: there is no credential, or a read failed.
        """
        async with self._client(connection) as client:
            return await dry_run(client, request.workflow, request.inputs)

    def confirm(self, request: RunRequest, ask: Ask = _decline) -> RunRequest:
        """Returns the request, confirmed if it needs to be. Nothing is asked if it does not.

        Raises:
            Unconfirmed: a confirmation is needed, and there is nobody to `ask`.
        """
        what = pending_confirmation(self.engine, request)
        if what is None:
            return request
        ask(what)
        return replace(request, confirmed=True)

    async def run(self, connection: Connection, request: RunRequest) -> RunOutcome:
        """Runs a workflow, or resumes the run with the request's id.

        Raises what `WorkflowRunner.run` does, and what `open_client` does.
        """
        async with self.runner(connection) as runner:
            return await runner.run(request)

    def recall(
        self, run_id: str, workflows: Mapping[str, Workflow], by: str
    ) -> tuple[str, RunRequest]:
        """Returns the name of an earlier run's connection, and its request, not confirmed.

        `workflows` are the declared ones, by name.

        Raises:
            UnknownRun: there is no such run.
            WorkflowError: its workflow is no longer declared, or no longer accepts its inputs.
            VaultError: its inputs cannot be opened.
        """
        vault = ready_vault(self.settings, self.engine)
        return recall(self.engine, vault, workflows, run_id, by)

    async def resume_waiting(
        self, connection: Connection, workflows: Mapping[str, Workflow]
    ) -> list[tuple[str, RunOutcome | str]]:
        """Resumes the runs of a connection that wait and are due, as `resume_due` does.

        Raises:
            BrexError, SettingsError, VaultError: there is no credential; the runs still wait.
            PostgresError: the warehouse failed.
        """
        if not await asyncio.to_thread(waits.due, self.engine, connection.name):
            return []
        async with self.runner(connection) as runner:
            return await resume_due(runner, workflows)

    def latest(self, connection: str | None, most: int) -> list[Run]:
        """Returns the latest runs, of one connection or of all, newest first."""
        return workflow_runs.latest(self.engine, connection, most)

    def report(self, run_id: str) -> RunReport:
        """Returns what a run has done. Raises UnknownRun."""
        run = workflow_runs.find(self.engine, run_id)
        if run is None:
            raise UnknownRun(run_id)
        steps = step_log.steps_of(self.engine, run_id)
        return RunReport(run, steps, step_log.writes_of(self.engine, run_id))

    @asynccontextmanager
    async def runner(self, connection: Connection) -> AsyncIterator[WorkflowRunner]:
        """Opens the runner of one connection. Raises what `open_client` does, and VaultError."""
        async with self._client(connection) as client:
            vault = await asyncio.to_thread(ready_vault, self.settings, self.engine)
            yield WorkflowRunner(connection.name, client, self.engine, vault)

    def _client(self, connection: Connection) -> AbstractAsyncContextManager[BrexClient]:
        if self.client is not None:
            return self.client(connection)
        return open_client(self.settings, connection, self.engine)


@contextmanager
def open_workflows(settings: Settings) -> Iterator[WorkflowRuntime]:
    """Opens the warehouse that the settings name, and closes it when the block ends.

    Raises:
        SettingsError: no warehouse is set.
        PostgresError: the warehouse cannot be used.
    """
    with open_database(settings, prepared=True) as engine:
        yield WorkflowRuntime(settings, engine)
