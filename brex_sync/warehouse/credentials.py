"""What is known of each connection's credential, and the lock that lets one process renew it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from psycopg.errors import UndefinedTable
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import PostgresError
from brex_sync.warehouse.internal import credentials, refreshes, webhook_secrets


class CredentialState(StrEnum):
    """Whether a credential may be used."""

    CONNECTED = "CONNECTED"
    RECONNECT_REQUIRED = "RECONNECT_REQUIRED"


@dataclass(frozen=True, slots=True)
class Credential:
    """A row of the table; `secrets` and `digest` are never shown."""

    connection: str
    configuration: str
    state: CredentialState
    state_since: datetime
    company_id: str | None = None
    company_name: str | None = None
    reason: str | None = None
    granted: list[str] | None = None
    scopes: list[str] | None = None
    secrets: str | None = field(default=None, repr=False)
    digest: str | None = field(default=None, repr=False)
    access_ends_at: datetime | None = None
    issued_at: datetime | None = None
    used_at: datetime | None = None
    tried_at: datetime | None = None
    failure: str | None = None
    alerted: str | None = None


def read(engine: sa.Engine, connection: str) -> Credential | None:
    """What is known of a connection; None if it was never connected."""
    return next(iter(_select(engine, credentials.c.connection == connection)), None)


def read_all(engine: sa.Engine) -> list[Credential]:
    """All that were ever connected and not forgotten, by name."""
    return _select(engine, sa.true())


@contextmanager
def locked(engine: sa.Engine, connection: str) -> Iterator[tuple[sa.Connection, Credential | None]]:
    """The row, locked against every other process until the block's transaction ends."""
    with engine.begin() as db:
        found = db.execute(
            sa.select(credentials).where(credentials.c.connection == connection).with_for_update()
        ).one_or_none()
        yield db, _credential(found) if found else None


def change(db: sa.Connection, connection: str, **values: Any) -> None:
    """Changes columns of a row, which should be locked."""
    db.execute(
        sa.update(credentials).where(credentials.c.connection == connection).values(**values)
    )


def put(db: sa.Connection, connection: str, **values: Any) -> None:
    """A row with these columns and no others, in place of the one there was."""
    fresh = {column.name: None for column in credentials.columns} | values
    fresh["connection"] = connection
    db.execute(
        insert(credentials)
        .values(fresh)
        .on_conflict_do_update(constraint=credentials.primary_key, set_=fresh)
    )


def forget(db: sa.Connection, connection: str) -> None:
    """Removes all that is known of a connection's credential."""
    for table in (credentials, refreshes, webhook_secrets):
        db.execute(sa.delete(table).where(table.c.connection == connection))


def begin_refresh(engine: sa.Engine, connection: str, now: datetime) -> datetime | None:
    """Notes, for good, that a refresh begins; answers when one began whose outcome is unknown.

    To be called with the row locked, by a connection of its own: the note outlives a crash.
    """
    with engine.begin() as db:
        before: datetime | None = db.scalar(
            sa.select(refreshes.c.started_at).where(refreshes.c.connection == connection)
        )
        note = {"connection": connection, "started_at": now}
        db.execute(insert(refreshes).values(note).on_conflict_do_nothing())
    return before


def end_refresh(db: sa.Connection, connection: str) -> None:
    """Takes the note back, in the transaction that stores the outcome."""
    db.execute(sa.delete(refreshes).where(refreshes.c.connection == connection))


@contextmanager
def alerting(
    engine: sa.Engine, connection: str
) -> Iterator[tuple[sa.Connection, Credential] | None]:
    """A transaction in which one process alone may tell of a connection, with what is known of it;
    None for all others, and where it was never connected."""
    with engine.begin() as db:
        found = db.execute(
            sa.select(credentials)
            .where(credentials.c.connection == connection)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        yield (db, _credential(found)) if found else None


def _select(engine: sa.Engine, condition: sa.ColumnElement[bool]) -> list[Credential]:
    try:
        with engine.connect() as db:
            rows = db.execute(
                sa.select(credentials).where(condition).order_by(credentials.c.connection)
            )
            return [_credential(row) for row in rows]
    except PostgresError as error:
        if isinstance(error.orig, UndefinedTable):
            return []
        raise


def _credential(row: sa.Row[Any]) -> Credential:
    values = dict(row._mapping)
    return Credential(**values | {"state": CredentialState(values["state"])})
