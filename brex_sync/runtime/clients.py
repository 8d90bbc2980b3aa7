"""A client of a connection."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
import tenacity

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.connections.credentials import Session
from brex_sync.connections.declared import Connection
from brex_sync.connections.limits import limiter
from brex_sync.errors import (
    ActionNeeded,
    BrexError,
    TokenEndpointUnavailable,
)
from brex_sync.runtime.health import credentials_of
from brex_sync.settings import Settings

log = logging.getLogger(__name__)
REFRESHES = 4
"""How often a sync tries to get its first token, where Brex is out of reach or failing."""


@asynccontextmanager
async def open_client(
    settings: Settings, connection: Connection, engine: sa.Engine, *, for_syncs: bool = False
) -> AsyncIterator[BrexClient]:
    """A client of one connection, which shares its credential and limit with all other processes.

    The credential is proved, or renewed where it is due, before anything else. Where requests run
    short, those of syncs go first.

    Raises:
        BrexError: there is no credential to be had; ActionNeeded if only a person can help.
        SettingsError: it is not set.
        VaultError: the stored secrets cannot be opened.
    """
    session = await _session(settings, connection, engine)
    async with BrexClient(
        BrexApi(connection.api_url, session.token, session.renew),
        limiter(connection, engine, for_syncs=for_syncs),
    ) as client:
        yield client


async def _session(settings: Settings, connection: Connection, engine: sa.Engine) -> Session:
    credentials = await asyncio.to_thread(credentials_of, settings, connection, engine)
    try:
        await asyncio.to_thread(credentials.keep_alive)
    except ActionNeeded:
        raise
    except BrexError as error:
        log.warning("%s: not renewed: %s", connection.name, error)
    session = Session(credentials)
    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TokenEndpointUnavailable),
        stop=tenacity.stop_after_attempt(REFRESHES),
        wait=tenacity.wait_random_exponential(2, 30),
        reraise=True,
    ):
        with attempt:
            await session.token()
    return session
