"""What Brex signs events with, sealed, when it was last asked for it, and where it sends them."""

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import webhook_secrets
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Sealed:
    """A connection's secrets as they are stored; `age` is how long ago Brex gave them."""

    secrets: str
    age: timedelta


def read(warehouse: Warehouse) -> Sealed | None:
    """What is stored; None where nothing is."""
    w = webhook_secrets.c
    age = sa.func.now() - w.fetched_at
    chosen = sa.select(w.secrets, age).where(
        w.connection == warehouse.schema, w.secrets.is_not(None)
    )
    with warehouse.connect() as db:
        row = db.execute(chosen).one_or_none()
    return Sealed(*row) if row else None


def store(warehouse: Warehouse, sealed: str) -> None:
    """Puts secrets in the place of those there were."""
    now = sa.func.now()
    row = {"secrets": sealed, "fetched_at": now, "asked_at": now}
    with warehouse.begin() as db:
        db.execute(
            insert(webhook_secrets)
            .values(connection=warehouse.schema, **row)
            .on_conflict_do_update(index_elements=["connection"], set_=row)
        )


def endpoint(warehouse: Warehouse) -> str | None:
    """The URL that was last registered for a connection; None where none is."""
    w = webhook_secrets.c
    with warehouse.connect() as db:
        url: str | None = db.scalar(sa.select(w.endpoint).where(w.connection == warehouse.schema))
    return url


def remember_endpoint(warehouse: Warehouse, url: str | None) -> None:
    """Notes the URL that is registered for a connection; None: none is any more."""
    row = {"endpoint": url}
    with warehouse.begin() as db:
        db.execute(
            insert(webhook_secrets)
            .values(connection=warehouse.schema, **row)
            .on_conflict_do_update(index_elements=["connection"], set_=row)
        )


def may_ask(warehouse: Warehouse, every: timedelta) -> bool:
    """Whether nobody asked Brex for that long; if so, the caller is who asks now."""
    w, now = webhook_secrets.c, sa.func.now()
    asked = insert(webhook_secrets).values(connection=warehouse.schema, asked_at=now)
    with warehouse.begin() as db:
        row = db.execute(
            asked.on_conflict_do_update(
                index_elements=["connection"],
                set_={"asked_at": now},
                where=w.asked_at.is_(None) | (w.asked_at <= now - every),
            ).returning(w.connection)
        ).one_or_none()
    return row is not None


def sealed_by_connection(db: sa.Connection) -> dict[str, str]:
    """All that is stored, locked until the transaction ends."""
    w = webhook_secrets.c
    rows = db.execute(
        sa.select(w.connection, w.secrets).where(w.secrets.is_not(None)).with_for_update()
    )
    return {row.connection: row.secrets for row in rows}


def change(db: sa.Connection, connection: str, sealed: str) -> None:
    """The same secrets, sealed anew."""
    db.execute(
        sa.update(webhook_secrets)
        .where(webhook_secrets.c.connection == connection)
        .values(secrets=sealed)
    )
