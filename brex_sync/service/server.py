"""The service on its port."""

import socket

from brex_sync import http_server as serving
from brex_sync.connections.declared import load_connections
from brex_sync.databases import open_database
from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse.prepare.tables import prepare

GRACE = 5
"""Seconds that requests under way have to end."""


def serve(settings: Settings, listener: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM.

    Raises:
        SettingsError: a connection is declared wrongly, or no warehouse is set.
        TableMismatch, PostgresError: the warehouse could not be prepared.
    """
    port = listener.getsockname()[1]
    settings = settings.model_copy(update={"service_port": port})
    connections = {c.name: c for c in load_connections(settings)}
    with open_database(settings) as engine:
        accounts = Accounts(settings, engine, connections)
        for name in connections:
            prepare(accounts.warehouse(name), STREAMS.values(), VIEWS.values())
        serving.serve(create_service(accounts), listener, GRACE)
