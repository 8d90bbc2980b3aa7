"""Whether a database will do for Dagster's own storage."""

from typing import Any

import psycopg

from brex_sync.errors import UnfitDatabase
from brex_sync.warehouse import faults
from brex_sync.warehouse.database import with_driver
from brex_sync.warehouse.sessions import forget_environment

SETTING = "DAGSTER_POSTGRES_URL"


def check_storage(url: str) -> None:
    """Looks whether Dagster could make its tables, or has.

    Raises:
        UnfitDatabase: it could not; the message says what to grant.
    """
    forget_environment()
    plain = with_driver(url, "psycopg").set(drivername="postgresql")
    try:
        with psycopg.connect(
            plain.render_as_string(hide_password=False), autocommit=True, connect_timeout=10
        ) as db:
            _check(db)
    except psycopg.Error as error:
        raise UnfitDatabase(faults.of_driver(error, SETTING)) from None


def _check(db: psycopg.Connection[Any]) -> None:
    """By the role's own search path, which is Dagster's too."""
    row = db.execute(
        "SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE'), "
        "to_regclass('event_logs') IS NOT NULL, current_user"
    ).fetchone()
    schema, may, made, user = row or (None, False, False, None)
    if not (may or made):
        raise UnfitDatabase(
            f"{SETTING}: {user} may make no tables in the database {db.info.dbname}: "
            f'GRANT CREATE, USAGE ON SCHEMA {schema or "public"} TO "{user}", or make a database '
            "for it; `brex-sync roles` prints both"
        )
