"""All that a request needs, opened together: warehouse, credential, and the sandbox if it is to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from brex_sync.brex.client import BrexClient
from brex_sync.connections.declared import Connection, find
from brex_sync.databases import databases, open_database
from brex_sync.runtime.clients import open_client
from brex_sync.runtime.simulator import sandbox_if_needed
from brex_sync.settings import Settings, load_settings


@asynccontextmanager
async def opened(connection: str | None) -> AsyncIterator[BrexClient]:
    """A client of the connection of that name, or of the first one for None.

    The settings are the environment's. Where they name no warehouse, the embedded server is used:
    the running one, or one that runs for as long as the block does.

    Raises:
        SettingsError: there is no such connection, or a setting is missing.
        BrexError: there is no credential to be had; ActionNeeded if only a person can help.
        VaultError, EmbeddedPostgresError: secrets cannot be opened, or the server not started.
    """
    settings = load_settings()
    chosen = find(settings, connection)
    held = ExitStack()
    try:
        ready = await asyncio.to_thread(_hold, held, settings, chosen)
        engine = held.enter_context(open_database(ready))
        async with open_client(ready, chosen, engine) as client:
            yield client
    finally:
        await asyncio.to_thread(held.close)


def _hold(held: ExitStack, settings: Settings, connection: Connection) -> Settings:
    ready, _ = held.enter_context(databases(settings))
    held.enter_context(sandbox_if_needed(ready, connection))
    return ready
