"""Who may do what in the warehouse: a writer for syncs, a reader for people and BI."""

import hmac
import os
import re
from base64 import b64decode, b64encode
from hashlib import pbkdf2_hmac, sha256
from hmac import compare_digest
from importlib.resources import files

import psycopg
import sqlalchemy as sa
from psycopg import sql

from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import (
    closes,
    differences,
    marts,
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
from brex_sync.warehouse.sessions import administer

WRITER = "brex_writer"
READER = "brex_reader"
STORAGE = "brex_dagster"
"""Dagster's, in a database of its own."""
ROUNDS = 4096
"""Rounds of hashing in a login, which clients ask for at the least (RFC 7677). Dagster opens a
connection per query, and half of its daemon's time went into them; so its role has one round. Its
password is random and long, and rounds protect what can be guessed."""
_OWNS = "SELECT pg_get_userbyid(datdba) = %s FROM pg_database WHERE datname = current_database()"
_END_SESSIONS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s
"""
_RESETS = """
    SELECT format('ALTER ROLE %%I', %(role)s::text)
        || CASE WHEN d.oid IS NULL THEN '' ELSE format(' IN DATABASE %%I', d.datname) END
        || ' RESET ALL'
    FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE s.setrole = (SELECT oid FROM pg_roles WHERE rolname = %(role)s)
    UNION ALL
    SELECT format('ALTER DATABASE %%I RESET ALL', datname) FROM pg_database
    WHERE pg_get_userbyid(datdba) = %(role)s
"""
_UNLIMITED = """
    SELECT EXISTS (
        SELECT FROM pg_roles r WHERE rolname = %s AND NOT EXISTS (
            SELECT FROM pg_db_role_setting s
            WHERE s.setrole = r.oid AND array_to_string(s.setconfig, ' ') ~ 'temp_file_limit='
        )
    )
"""
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
    marts,
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


def set_up(url: str) -> None:
    """Makes the roles in the database of an administrator's libpq URL, if that is still to do.

    To be called by one process at a time. Nobody's locks stand in the way where nothing is to do.
    """
    with administer(url) as db:
        if not _all_set(db):
            db.execute(statements())


def limit_reader(url: str) -> None:
    """Limits what a session of the reader sorts on disk to 1 GB; a limit that is set stays.

    `url` is a superuser's: nobody else may set it, nor lift it.
    """
    with administer(url) as db:
        if db.execute(_UNLIMITED, [READER]).fetchone() == (True,):
            db.execute(f"ALTER ROLE {READER} SET temp_file_limit = '1GB'".encode())


def lets_in(url: str, role: str, password: str) -> bool:
    """Whether a role has a password; it is given this one where it has none.

    `url` is a superuser's. One that somebody else set stays.
    """
    with administer(url) as db:
        row = db.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()
        stored = row[0] if row else None
        if stored is None:
            _set_password(db, role, password)
        return stored is None or _is_of(stored, password)


def set_password(url: str, role: str, password: str) -> None:
    """Gives a role a password, whatever it had. `url` is an administrator's."""
    with administer(url) as db:
        _set_password(db, role, password)


def renew_password(url: str, role: str, password: str) -> None:
    """Gives a role another password, and undoes what was done with the old one: ends the role's
    sessions, and resets its settings and those of the databases it owns.

    `url` is a superuser's.
    """
    with administer(url) as db:
        # Their open transactions would hold the role's row.
        db.execute(_END_SESSIONS, [role])
        with db.transaction():
            _set_password(db, role, password)
            for (statement,) in db.execute(_RESETS, {"role": role}).fetchall():
                db.execute(str(statement).encode())
        db.execute(_END_SESSIONS, [role])
    limit_reader(url)


def own_storage(url: str) -> None:
    """Makes a role for Dagster, which owns the database of a superuser's `url`, with all that is in
    it, and nothing else; nobody else enters it.
    """
    with administer(url) as db:
        if db.execute(_OWNS, [STORAGE]).fetchone() == (True,):
            return
        db.execute(files("brex_sync.warehouse").joinpath("sql/storage.sql").read_text())


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
        WITH owners AS (
            SELECT nspowner FROM pg_namespace WHERE nspname = 'brex_sync'
                OR pg_get_userbyid(nspowner) IN ('brex_writer', current_user)
        )
        SELECT (SELECT count(*) FROM pg_roles WHERE rolname IN ('brex_writer', 'brex_reader')) = 2
            AND NOT EXISTS (
                SELECT FROM pg_namespace
                WHERE (nspname = 'brex_sync'
                        OR obj_description(oid, 'pg_namespace') LIKE 'Brex, synced by brex_sync%')
                    AND pg_get_userbyid(nspowner) <> 'brex_writer'
                    AND nspowner IN (SELECT nspowner FROM owners)
            )
        """
    ).fetchone()
    return bool(row and row[0])


def _set_password(db: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    secret = _scram(password, os.urandom(16), 1 if role == STORAGE else ROUNDS)
    db.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(secret))
    )


def _is_of(stored: object, password: str) -> bool:
    """Whether a stored SCRAM secret is that of a password; no login is tried, which could fail for
    other reasons."""
    parsed = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+", str(stored))
    if not parsed:
        return False
    rounds, salt = parsed.groups()
    return compare_digest(_scram(password, b64decode(salt), int(rounds)), str(stored))


def _scram(password: str, salt: bytes, rounds: int) -> str:
    """The secret that Postgres keeps of a password, by RFC 5802."""
    salted = pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${rounds}:{parts[0]}${parts[1]}:{parts[2]}"
