"""The simulated Brex that a connection may be for."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from brex_sync.connections.declared import Connection
from brex_sync.folders import make_home
from brex_sync.settings import Configuration, Settings


@contextmanager
def sandbox_if_needed(settings: Settings, connection: Connection) -> Iterator[None]:
    """Runs the sandbox in this process while the block does, if it is wanted and isn't running."""
    url = urlsplit(connection.api_url)
    ours = (url.hostname, url.port) == ("127.0.0.1", settings.sandbox_port)
    if connection.configuration is not Configuration.SANDBOX or not ours or _listens(url.port or 0):
        yield
        return
    from brex_sync.http_server import bind, running_on
    from brex_sync.sandbox import create_app, create_world

    app = create_app(create_world(today=sandbox_day(settings), lively=True))
    with running_on(app, bind(settings.sandbox_port)):
        yield


def sandbox_day(settings: Settings) -> date:
    """The day on which the sandbox's history ends: the first it was used in this home."""
    note = settings.home / "sandbox-day"
    try:
        return date.fromisoformat(note.read_text().strip())
    except (OSError, ValueError):
        today = datetime.now(UTC).date()
        make_home(settings.home)
        note.write_text(today.isoformat())
        return today


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
