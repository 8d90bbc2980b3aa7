"""Faults of Postgres as one sentence: what happened, and what to do."""

import re

import psycopg
import sqlalchemy as sa

from brex_sync.errors import PostgresError, PostgresUnavailable

_URL = "BREX_SYNC_DATABASE_URL"
_BY_STATE = {
    "42501": "the role in "
    + _URL
    + " may not do that: `brex-sync roles` prints the SQL that makes "
    "a role which may, and that gives it the tables there are",
    "25006": "the server takes no writes: let " + _URL + " name the primary",
    "0A000": "the server takes no writes: let " + _URL + " name the primary",
    "55P03": "somebody's open transaction holds what this needs: find it in pg_stat_activity, let "
    "it end, and try again",
    "53100": "the disk of the server is full: make room, and try again",
    "53300": "the server has no connection to spare: raise its max_connections, or put a pooler in "
    "front of it",
}
"""What to do, by SQLSTATE."""
_BY_WORDS = (
    ("password authentication failed|SASL authentication failed|no password supplied|"
     "role .* does not exist|not permitted to log in|authentication failed",
     "see that the user and the password in " + _URL + " are right"),
    ("database .* does not exist|no such database",
     "make it with CREATE DATABASE, or let " + _URL + " name another"),
    ("permission denied for database",
     "let that role in with GRANT CONNECT, or let " + _URL + " name another"),
    ("no pg_hba.conf entry",
     "allow this host, user and database in the server's pg_hba.conf"),
    ("resolve host|translate host name|Name or service not known",
     "see that the host in " + _URL + " is right"),
    ("refused|timeout|timed out|unreachable|No route|No such file or directory",
     "see that the server runs, and that the host and port in " + _URL + " are right"),
    ("too many|remaining connection slots", _BY_STATE["53300"]),
    ("SSL|certificate", "see that sslmode in " + _URL + " is what the server offers"),
    ("starting up|shutting down|recovery mode", "wait until the server is up, and try again"),
)  # fmt: skip
"""What to do where no session came about, by what was said: libpq keeps no SQLSTATE of it."""


def translate(engine: sa.Engine) -> None:
    """Lets an engine raise the driver's exceptions as PostgresError."""

    @sa.event.listens_for(engine, "handle_error")
    def raise_ours(context: sa.engine.ExceptionContext) -> PostgresError | None:
        if context.is_pre_ping or not isinstance(context.original_exception, psycopg.Error):
            return None
        return of_statement(context.original_exception, context.is_disconnect)


def of_statement(error: psycopg.Error, lost: bool) -> PostgresError:
    """An exception of the driver as ours; `lost` says that the session has ended."""
    cure = _cure(error)
    said = f"{first_line(error)}: {cure}" if cure else first_line(error)
    passing = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    kind = PostgresUnavailable if passing else PostgresError
    return kind(said, error, connection_lost=lost)


def of_driver(error: psycopg.Error, setting: str) -> str:
    """A fault of the driver's own, which a session met that `setting` names the database of."""
    cure = _cure(error)
    return f"{setting}: {first_line(error)}" + (f": {cure.replace(_URL, setting)}" if cure else "")


def first_line(error: BaseException) -> str:
    """What Postgres or the driver said first."""
    said = str(error).strip().partition("\n")[0]
    return said.rpartition("FATAL:")[2].strip().rstrip(".:")


def _cure(error: BaseException | None) -> str | None:
    state = getattr(error, "sqlstate", None)
    if state or not isinstance(error, psycopg.OperationalError):
        return _BY_STATE.get(state or "")
    return next((cure for words, cure in _BY_WORDS if re.search(words, str(error))), None)
