"""A sync of a connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.runtime.clients import open_client
from brex_sync.runtime.events import send_notifications
from brex_sync.runtime.health import notify_of_faults
from brex_sync.settings import Settings
from brex_sync.streams.declare import Stream
from brex_sync.sync.read.reading import Options, Progress
from brex_sync.sync.report import StreamReport
from brex_sync.sync.run import Sync
from brex_sync.sync.turns import Turn
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync.warehouse.state.run_log import RunKind
from brex_sync.webhooks import notify

_REGULAR = Options()


def _silent(report: StreamReport) -> None:
    pass


@asynccontextmanager
async def open_sync(
    settings: Settings,
    connection: Connection,
    *,
    progress: Progress = _silent,
    run_id: str | None = None,
    kind: RunKind = RunKind.MANUAL,
    options: Options = _REGULAR,
) -> AsyncIterator[Sync]:
    """A sync of one connection, ready to run, with its client and its pool of the warehouse.

    The credential is proved, or renewed where it is due, before anything else. The
    overlaps set for streams take the place of the one in `options`.

    Raises:
        SettingsError: no warehouse is set.
        BrexError: there is no credential to be had; ActionNeeded if only a person can help.
        VaultError: the stored secrets cannot be opened.
    """

    def options_of(stream: Stream) -> Options:
        days = settings.overlap_days.get(stream.name)
        return options if days is None else replace(options, overlap=timedelta(days=days))

    with open_warehouse(settings, connection.name) as warehouse:
        try:
            async with open_client(
                settings, connection, warehouse.engine, for_syncs=True
            ) as client:
                yield Sync(
                    client,
                    warehouse,
                    options_of=options_of,
                    progress=progress,
                    run_id=run_id or str(uuid4()),
                    kind=kind,
                    tell=notify.targets(settings),
                )
        finally:
            await asyncio.to_thread(notify_of_faults, settings, connection, warehouse)
            await send_notifications(settings, warehouse.engine)


@asynccontextmanager
async def turn(
    settings: Settings,
    connection: Connection,
    run_id: str,
    started_by: str,
    wait: Callable[[str], None] | None = None,
) -> AsyncIterator[None]:
    """Has a connection to itself while the block lasts; `wait` is told whom it waits for.

    Raises:
        ConnectionBusy: another run has it, and `wait` is None.
        SettingsError: no warehouse is set.
    """
    with open_warehouse(settings, connection.name) as warehouse:
        await asyncio.to_thread(prepare_internal, warehouse.engine)
        async with Turn(warehouse, run_id, started_by).taken(wait):
            yield
