"""Workflows of a connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import sqlalchemy as sa

from brex_sync.connections.connect import ready_vault
from brex_sync.connections.declared import Connection
from brex_sync.runtime.clients import open_client
from brex_sync.settings import Settings
from brex_sync.warehouse import workflow_runs
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.run import RunOutcome, WorkflowRunner
from brex_sync.workflows.waiting import go_on


@asynccontextmanager
async def open_performer(
    settings: Settings, connection: Connection, engine: sa.Engine
) -> AsyncIterator[WorkflowRunner]:
    """A runner for the workflows of one connection. Raises what `open_client` does."""
    async with open_client(settings, connection, engine) as client:
        vault = await asyncio.to_thread(ready_vault, settings, engine)
        yield WorkflowRunner(connection.name, client, engine, vault)


async def resume_waiting(
    settings: Settings,
    connection: Connection,
    engine: sa.Engine,
    workflows: Mapping[str, Workflow],
) -> list[tuple[str, RunOutcome | str]]:
    """Resumes the workflows of a connection that wait and are due, as `waiting.go_on` does.

    Raises:
        BrexError, SettingsError, VaultError: there is no credential; they go on waiting.
        PostgresError: the warehouse failed.
    """
    if not await asyncio.to_thread(workflow_runs.due, engine, connection.name):
        return []
    async with open_performer(settings, connection, engine) as performer:
        return await go_on(performer, workflows)
