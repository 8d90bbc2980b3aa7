"""The schema with a connection's marts, as far as the tables below it must know of it."""

from collections.abc import Iterable

import sqlalchemy as sa

from brex_sync.errors import PostgresError
from brex_sync.warehouse.internal import marts
from brex_sync.warehouse.schema.fitting import refusal

SUFFIX = "_marts"
"""What the schema with the marts is called, after its connection."""
_FOUND = sa.text("""
    SELECT c.relname, c.relkind FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = ANY(:names) AND c.relkind IN ('v', 'm')
    ORDER BY c.oid DESC
""")


def drop_all(db: sa.Connection, connection: str) -> None:
    """Drops the marts of a connection, so that what they read can be altered; the next run makes
    them again. One that something of somebody else's reads stays."""
    made = sa.select(marts.c.mart).where(marts.c.connection == connection)
    drop(db, connection, db.scalars(made).all())


def drop(db: sa.Connection, connection: str, names: Iterable[str]) -> dict[str, str]:
    """Drops marts, each after those that read it; why Postgres refused, by name."""
    schema = f"{connection}{SUFFIX}"
    refused = {}
    for name, kind in db.execute(_FOUND, {"schema": schema, "names": list(names)}).all():
        stored = "MATERIALIZED VIEW" if kind == "m" else "VIEW"
        try:
            with db.begin_nested():
                db.exec_driver_sql(f'DROP {stored} "{schema}"."{name}"')
        except PostgresError as error:
            reason = refusal(error)
            if reason is None:
                raise
            refused[name] = reason
    return refused
