"""A connection's credential and runs: looked at, and kept alive."""

import logging
from dataclasses import replace

import sqlalchemy as sa

from brex_sync.connections.alerts import tell_once
from brex_sync.connections.credentials import Credentials, now_utc
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import Health, Level, health, with_lost
from brex_sync.connections.vault import open_vault
from brex_sync.databases import open_warehouse
from brex_sync.errors import (
    BrexError,
    PostgresError,
    SettingsError,
)
from brex_sync.runtime.streams import streams_of
from brex_sync.settings import Settings
from brex_sync.sync import turns
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse import credentials as credential_table
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync.warehouse.state import unavailable
from brex_sync.warehouse.status import runs
from brex_sync.warehouse.status.runs import LastRun

log = logging.getLogger(__name__)


def credentials_of(settings: Settings, connection: Connection, engine: sa.Engine) -> Credentials:
    """The credential of a connection, in a warehouse whose internal tables are made ready."""
    prepare_internal(engine)
    return Credentials(connection, engine, open_vault(settings.home, settings.encryption_key))


def check_health(settings: Settings, connection: Connection, warehouse: Warehouse) -> Health:
    """How a connection's credential stands, by what the warehouse knows of it."""
    row = credential_table.read(warehouse.engine, connection.name)
    found = health(connection, row, now_utc(), runs.last_read(warehouse))
    chosen = {stream.name for stream in streams_of(settings, connection)}
    lost = unavailable.lost(warehouse)
    return with_lost(found, [name for name in lost if name in chosen])


def last_run(warehouse: Warehouse) -> LastRun | None:
    """The connection's last run; interrupted, where its process is known to be gone."""
    run = runs.last_run(warehouse)
    if run and run.state == "running" and turns.was_left(warehouse, run.run_id):
        return replace(run, state="interrupted")
    return run


def keep_connection_alive(settings: Settings, connection: Connection) -> Health:
    """Keeps a connection's credential alive if it is due, and alerts if a person must act.

    Raises:
        PostgresError: the warehouse could not be asked.
    """
    with open_warehouse(settings, connection.name) as warehouse:
        credentials = credentials_of(settings, connection, warehouse.engine)
        try:
            credentials.keep_alive()
            found = check_health(settings, connection, warehouse)
        except BrexError as error:
            log.warning("%s: %s", connection.name, error)
            found = check_health(settings, connection, warehouse)
        except SettingsError as error:
            found = Health(connection.name, Level.ACTION, str(error), "UNKNOWN")
        tell_once(settings, warehouse.engine, found)
    return found


def notify_of_faults(settings: Settings, connection: Connection, warehouse: Warehouse) -> None:
    """Alerts of what only a person can mend, where no sensor looks after the connection."""
    try:
        found = check_health(settings, connection, warehouse)
        if found.level is Level.ACTION:
            tell_once(settings, warehouse.engine, found)
    except PostgresError as error:
        log.warning("%s: its state could not be read: %s", connection.name, type(error).__name__)
