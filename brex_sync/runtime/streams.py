"""Which streams a connection syncs."""

from brex_sync.connections.declared import Connection
from brex_sync.errors import (
    SettingsError,
    UnknownStream,
)
from brex_sync.settings import Settings
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import select


def streams_of(settings: Settings, connection: Connection) -> list[Stream]:
    """The streams to sync of a connection: those it declares, else those the settings name.

    Raises:
        SettingsError: a name is no stream's.
    """
    named = [name.strip() for name in settings.streams.split(",") if name.strip()]
    try:
        return select(connection.streams or named)
    except UnknownStream as error:
        raise SettingsError(f"streams of connection {connection.name}: {error}") from None
