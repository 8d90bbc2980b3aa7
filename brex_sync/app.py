"""The parts put together for whoever runs them: the command line and Dagster alike."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import sqlalchemy as sa

from brex_sync.brex.client import BrexClient, Endpoint
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.connections import Connection
from brex_sync.settings import Settings, SettingsError
from brex_sync.streams.declare import Stream
from brex_sync.sync.listing import Options, Progress
from brex_sync.sync.report import StreamReport
from brex_sync.sync.run import Sync
from brex_sync.warehouse.database import open_warehouse


def open_engine(settings: Settings) -> sa.Engine:
    """The warehouse the settings name.

    Raises:
        SettingsError: they name none, and no embedded server was started in its place.
    """
    if settings.database_url is None:
        raise SettingsError(
            "BREX_SYNC_DATABASE_URL is not set; it is set for you by `brex-sync up`"
        )
    return open_warehouse(settings.database_url.get_secret_value())


def options_for(
    settings: Settings, *, full: bool, accept_deletions: bool, stream: Stream
) -> Options:
    """How far back to read one stream, by the settings and what was asked for."""
    days = settings.overlap_days.get(stream.name)
    return Options(
        full=full,
        overlap=None if days is None else timedelta(days=days),
        accept_deletions=accept_deletions,
    )


def _silent(report: StreamReport) -> None:
    pass


@asynccontextmanager
async def open_sync(
    settings: Settings,
    connection: Connection,
    *,
    progress: Progress = _silent,
    run_id: str | None = None,
    full: bool = False,
    accept_deletions: bool = False,
) -> AsyncIterator[Sync]:
    """A sync of one connection, ready to run, with its client and its pool of the warehouse.

    Raises:
        SettingsError: no warehouse is set.
    """
    engine = open_engine(settings)
    limiter = RateLimiter(settings.requests_per_minute)
    endpoint = Endpoint(connection.api_url, lambda: connection.token)

    def options_of(stream: Stream) -> Options:
        return options_for(settings, full=full, accept_deletions=accept_deletions, stream=stream)

    try:
        async with BrexClient(endpoint, limiter) as client:
            yield Sync(
                connection.name,
                client,
                engine,
                options_of=options_of,
                progress=progress,
                run_id=run_id or str(uuid4()),
            )
    finally:
        engine.dispose()
