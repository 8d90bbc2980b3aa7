"""The databases the settings name, or those of an embedded server where they name none."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from pydantic import SecretStr

from brex_sync.embedded import EmbeddedPostgres, Server, login
from brex_sync.settings import Settings, SettingsError
from brex_sync.warehouse import roles
from brex_sync.warehouse.database import open_warehouse
from brex_sync.warehouse.tables import prepare_internal


@contextmanager
def databases(
    settings: Settings, *, dagster: bool = False
) -> Iterator[tuple[Settings, Server | None]]:
    """The settings with the warehouse filled in, by an embedded server where none is set.

    So is Dagster's storage, if that is asked for. Yields the server too, as a reader of the
    warehouse reaches it, None where it isn't needed; it runs for as long as the block does.

    Raises:
        EmbeddedPostgresError: it cannot be started.
    """
    if settings.database_url and (settings.dagster_url or not dagster):
        yield settings, None
        return
    embedded = EmbeddedPostgres(
        settings.home, port=settings.postgres_port, bin_dir=settings.postgres_bin
    )
    with embedded as server:
        writer, reader = login(server, roles.WRITER), login(server, roles.READER)
        roles.set_up(server.url("brex"), {user.user: user.password for user in (writer, reader)})
        urls = {
            "database_url": settings.database_url or SecretStr(writer.url("brex")),
            "dagster_url": settings.dagster_url or SecretStr(server.url("dagster")),
        }
        yield settings.model_copy(update=urls), reader


def open_engine(settings: Settings) -> sa.Engine:
    """The warehouse the settings name.

    Raises:
        SettingsError: they name none, and no embedded server was started in its place.
    """
    if settings.database_url is None:
        raise SettingsError(
            "BREX_SYNC_DATABASE_URL is not set; `brex-sync up` sets it to its own server"
        )
    return open_warehouse(settings.database_url.get_secret_value())


@contextmanager
def warehouse(settings: Settings) -> Iterator[sa.Engine]:
    """The warehouse with its internal tables, given back when the block ends."""
    engine = open_engine(settings)
    try:
        prepare_internal(engine)
        yield engine
    finally:
        engine.dispose()
