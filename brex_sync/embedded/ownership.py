"""What the owner of the embedded server ensures at every start: its own name, the databases, and
who can connect to them.

The writer can create schemas, and functions in them, in a database in which the owner works too.
The owner's sessions therefore look up names in `pg_catalog` only, and no schema has the owner's
name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from brex_sync.embedded.credentials import OWNER, new_password
from brex_sync.embedded.server import Server
from brex_sync.errors import EmbeddedPostgresError
from brex_sync.warehouse.sessions import administer

DATABASES = {"brex": "public, pg_temp", "dagster": "pg_catalog, pg_temp"}
"""With the search path of people who log in as the owner: without the schema of its name, which the
writer may make, and without any in which another role may make functions."""
FORMER = "brex"
"""What it was called in earlier versions."""
RENAMING = "brex-sync-renaming"
"""A superuser for the moment in which the owner gets its name: nobody can rename themselves."""


def prepare(server: Server) -> Server:
    """The server as its owner reaches it, with the required databases.

    `server.user` may be the owner's name of an earlier version; it is then renamed.

    Raises EmbeddedPostgresError if the server refuses.
    """
    with _explained(server):
        if server.user == FORMER:
            server = _renamed(server)
        with administer(server.url("postgres")) as db:
            present = {name for (name,) in db.execute("SELECT datname FROM pg_database")}
            for name, path in DATABASES.items():
                if name not in present:
                    db.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
                db.execute(_PATH.format(_NAME, Identifier(name), SQL(path)))
            _close_doors(db)
        for name in DATABASES:
            with administer(server.url(name)) as db:
                _withhold(db)
    return server


def _close_doors(db: psycopg.Connection[tuple[object, ...]]) -> None:
    """Lets only roles with a grant connect to the databases. Their owner can neither close nor drop
    them from within.

    Changes only what is not so yet, so that an open transaction does not block a later start.
    """
    for (name,) in db.execute(_OPEN_TO_ANYBODY).fetchall():
        db.execute(SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(Identifier(str(name))))


def _withhold(db: psycopg.Connection[tuple[object, ...]]) -> None:
    """Revokes from PUBLIC, in one database, the default rights with which a read-only role could
    harm the server. Changes only what is not so yet.
    """
    if db.info.server_version < 150_000:
        db.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    for (function,) in db.execute(_HARMFUL).fetchall():
        db.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC".encode())
    if db.execute(_MAKES_TEMPORARY).fetchone() == (True,):
        database = Identifier(db.info.dbname)
        db.execute(SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))


_NAME = Identifier(OWNER)
_OPEN_TO_ANYBODY = """
    SELECT datname FROM pg_database WHERE datname IN ('brex', 'postgres', 'template1')
        AND has_database_privilege('public', oid, 'CONNECT')
"""
_HARMFUL = """
    SELECT oid::regprocedure::text FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace
        AND (
            proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'
            OR proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite')
        )
        AND has_function_privilege('public', oid, 'EXECUTE')
"""
"""Large objects fill the disk for good. Advisory locks fill the table of locks that all sessions
share; nobody can log in then."""
_MAKES_TEMPORARY = "SELECT has_database_privilege('public', current_database(), 'TEMPORARY')"
_PATH = SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}")


def _renamed(server: Server) -> Server:
    """The server with its owner under the present name; resumes a renaming that was interrupted."""
    owned = replace(server, user=OWNER)
    if not _opens(owned):
        _rename(server)
    with administer(owned.url("postgres")) as db:
        db.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(RENAMING)))
    return owned


def _opens(server: Server) -> bool:
    try:
        administer(server.url("postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def _rename(server: Server) -> None:
    helper = replace(server, user=RENAMING, password=new_password())
    with administer(server.url("postgres")) as db:
        db.execute(SQL("DROP ROLE IF EXISTS {}").format(Identifier(RENAMING)))
        db.execute(
            SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                Identifier(RENAMING), Literal(helper.password)
            )
        )
    with administer(helper.url("postgres")) as db:
        db.execute(SQL("ALTER ROLE {} RENAME TO {}").format(Identifier(server.user), _NAME))


@contextmanager
def _explained(server: Server) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as refused:
        raise EmbeddedPostgresError(
            f"Postgres runs on port {server.port} but refuses to work: {refused}; "
            f"see that {server.passfile} is as it was made"
        ) from refused
