"""Who may do what in the warehouse: a writer for syncs, a reader for people and BI."""

from collections.abc import Mapping
from importlib.resources import files

import psycopg
import sqlalchemy as sa
from psycopg import sql

from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import (
    closes,
    differences,
    missing_rows,
    postponed,
    proxied_requests,
    quarantine,
    reconciliations,
    run_streams,
    runs,
    unavailable,
    unavailable_lists,
    webhook_events,
    webhook_refusals,
    workflow_runs,
    workflow_steps,
    writes,
)

WRITER = "brex_writer"
READER = "brex_reader"
OPEN_TABLES = (
    runs,
    run_streams,
    quarantine,
    missing_rows,
    unavailable,
    unavailable_lists,
    closes,
    reconciliations,
    postponed,
    differences,
    proxied_requests,
    workflow_runs,
    workflow_steps,
    writes,
    webhook_events,
    webhook_refusals,
)
"""What the reader may see of the internal schema."""


def statements() -> str:
    """The SQL that makes the roles, for an administrator to run; idempotent, without passwords."""
    return files("brex_sync.warehouse").joinpath("sql/roles.sql").read_text()


def set_up(url: str, passwords: Mapping[str, str]) -> None:
    """Makes the roles in the database of an administrator's libpq URL, if that is still to do.

    `passwords` are set where a role is new or its password is another.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=30) as db:
        db.execute("SELECT pg_advisory_lock(hashtextextended('brex_sync.roles', 0))")
        if not _all_set(db):
            db.execute(statements())
        for role, password in passwords.items():
            if not _lets_in(db, role, password):
                db.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                        sql.Identifier(role), sql.Literal(password)
                    )
                )


def let_people_read(db: sa.Connection, schema: str | None = None) -> None:
    """Lets the reader, if there is one, see what is open of the internal schema; with `schema`, a
    connection's tables and views too, those made later as well.

    To be called by whoever owns the schema.
    """
    if not db.scalar(sa.text("SELECT true FROM pg_roles WHERE rolname = :r"), {"r": READER}):
        return
    statements = [
        f"GRANT USAGE ON SCHEMA {INTERNAL} TO {READER}",
        *(f"GRANT SELECT ON {table.fullname} TO {READER}" for table in OPEN_TABLES),
    ]
    if schema is not None:
        statements += [
            f'GRANT USAGE ON SCHEMA "{schema}" TO {READER}',
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {READER}',
            f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT SELECT ON TABLES TO {READER}',
        ]
    for statement in statements:
        db.exec_driver_sql(statement)


def _all_set(db: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Whether both roles are there and the writer owns all that is ours."""
    row = db.execute(
        """
        SELECT (SELECT count(*) FROM pg_roles WHERE rolname IN ('brex_writer', 'brex_reader')) = 2
            AND NOT EXISTS (
                SELECT FROM pg_namespace
                WHERE (nspname = 'brex_sync'
                        OR obj_description(oid, 'pg_namespace') LIKE 'Brex, synced by brex_sync%')
                    AND pg_get_userbyid(nspowner) <> 'brex_writer'
            )
        """
    ).fetchone()
    return bool(row and row[0])


def _lets_in(db: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> bool:
    known = db.info
    try:
        psycopg.connect(
            host=known.host,
            port=known.port,
            dbname=known.dbname,
            user=role,
            password=password,
            connect_timeout=30,
        ).close()
    except psycopg.OperationalError:
        return False
    return True
