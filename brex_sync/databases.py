"""The databases the settings name, or those of an embedded server where they name none."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from pydantic import SecretStr

from brex_sync.embedded import EmbeddedPostgres, Server, login, renewed
from brex_sync.embedded.lock import exclusive
from brex_sync.errors import EmbeddedPostgresError, SettingsError
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync.warehouse.schema import roles, versions
from brex_sync.warehouse.storage import check_storage


@contextmanager
def databases(
    settings: Settings, *, dagster: bool = False
) -> Iterator[tuple[Settings, Server | None]]:
    """The settings with the warehouse filled in, by an embedded server where none is set.

    So is Dagster's storage, if that is asked for. Yields the server too, as a reader of the
    warehouse reaches it, None where it isn't needed; it runs for as long as the block does.

    Raises:
        EmbeddedPostgresError: it cannot be started, or somebody changed a password of ours.
        UnfitDatabase: Dagster's storage cannot be made in the database that is set for it.
    """
    if settings.dagster_url and dagster:
        check_storage(settings.dagster_url.get_secret_value())
    if settings.database_url and (settings.dagster_url or not dagster):
        yield settings, None
        return
    with _embedded(settings) as server:
        with exclusive(settings.home / "roles.lock"):
            roles.set_up(server.url("brex"))
            roles.limit_reader(server.url("brex"))
            roles.own_storage(server.url("dagster"))
            writer, storage, reader = (
                _login(server, role) for role in (roles.WRITER, roles.STORAGE, roles.READER)
            )
        for needed in (writer, storage):
            _check_opens(needed)
        urls = {
            "database_url": settings.database_url or SecretStr(writer.url("brex")),
            "dagster_url": settings.dagster_url or SecretStr(storage.url("dagster")),
        }
        yield settings.model_copy(update=urls), reader


def reset_password(settings: Settings, role: str) -> Server:
    """Gives a role of the embedded server a new password; the server as that role reaches it.

    Sessions opened with the old password are ended (`roles.renew_password`).

    Raises:
        SettingsError: the warehouse is in a Postgres of the user's own.
        EmbeddedPostgresError: the server cannot be started.
    """
    if settings.database_url:
        raise SettingsError(
            f"BREX_SYNC_DATABASE_URL names a Postgres of yours: give {role} another password there "
            f"(\\password {role} in psql)"
        )
    with _embedded(settings) as server, exclusive(settings.home / "roles.lock"):
        url = server.url("brex")
        roles.set_up(url)
        return renewed(server, role, lambda password: roles.renew_password(url, role, password))


def _embedded(settings: Settings) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        settings.home, port=settings.postgres_port, bin_dir=settings.postgres_bin
    )


def _login(server: Server, role: str) -> Server:
    return login(server, role, lambda password: roles.lets_in(server.url("brex"), role, password))


def _check_opens(server: Server) -> None:
    if not server.opens:
        short = server.user.removeprefix("brex_")
        raise EmbeddedPostgresError(
            f"somebody gave {server.user} another password than {server.passfile} has: write it "
            f"there, or make a new one with `brex-sync roles reset-password {short}`"
        )


@contextmanager
def open_warehouse(
    settings: Settings, connection: str, *, prepared: bool = False
) -> Iterator[Warehouse]:
    """The schema of the connection of that name, as `open_database` opens the database."""
    with open_database(settings, prepared=prepared) as engine:
        yield Warehouse(engine, connection)


@contextmanager
def open_database(settings: Settings, *, prepared: bool = False) -> Iterator[sa.Engine]:
    """The database of the warehouse, with a pool that is closed when the block ends.

    `prepared` makes the internal tables ready first. A database that a later version has written
    is refused on connecting.

    Raises:
        SettingsError: the settings name none, and no embedded server was started in its place.
        TableMismatch: `prepared`, and something in the internal tables can't be mended.
    """
    if settings.database_url is None:
        raise SettingsError(
            "BREX_SYNC_DATABASE_URL is not set; `brex-sync up` sets it to its own server"
        )
    engine = versions.guard(open_engine(settings.database_url.get_secret_value()))
    try:
        if prepared:
            prepare_internal(engine)
        yield engine
    finally:
        engine.dispose()
