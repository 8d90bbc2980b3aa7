"""Webhook events and notifications of a connection."""

import logging

import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.connections.declared import Connection
from brex_sync.errors import (
    PostgresError,
)
from brex_sync.runtime.clients import open_client
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.events import inbox
from brex_sync.webhooks import notify
from brex_sync.webhooks.processing import EventProcessor, process

log = logging.getLogger(__name__)


async def process_events(
    settings: Settings, connection: Connection, warehouse: Warehouse, seconds: float = 30.0
) -> int:
    """Processes the webhook events that are due, for about `seconds`; returns how many there were.

    Raises:
        BrexError, SettingsError, VaultError: there is no credential; the events go on waiting.
        PostgresError: the warehouse failed.
    """
    if not await warehouse.call(inbox.are_due):
        return 0
    async with open_client(settings, connection, warehouse.engine) as client:
        return await process(event_processor(settings, connection, warehouse, client), seconds)


def event_processor(
    settings: Settings, connection: Connection, warehouse: Warehouse, client: BrexClient
) -> EventProcessor:
    """The processor of a connection's events."""
    streams = frozenset(stream.name for stream in streams_of(settings, connection))
    return EventProcessor(client, warehouse, streams, notify.targets(settings))


async def send_notifications(settings: Settings, engine: sa.Engine, seconds: float = 20.0) -> None:
    """Sends what is due; what isn't taken, or can't be sent now, waits in the outbox."""
    try:
        await notify.deliver(engine, settings, seconds)
    except PostgresError as error:
        log.warning("notifications were not sent: Postgres: %s", type(error).__name__)
