"""What a session with Postgres is, whatever the environment, the server or a pooler makes of it.

Settings are local to each transaction and sent along with its BEGIN, so that they cost no round
trip, hold through a pooler that gives every transaction another session, and are left to nobody.
"""

import os
from typing import Any

import psycopg
import sqlalchemy as sa

from brex_sync.errors import UnfitDatabase

OLDEST = 14
"""The oldest major version of PostgreSQL that will do."""

SETTINGS = {
    "search_path": "pg_catalog, pg_temp",
    "timezone": "'UTC'",
    "datestyle": "'ISO, MDY'",
    "intervalstyle": "'postgres'",
    "bytea_output": "'hex'",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "lock_timeout": "'60s'",
}
"""Of every transaction. With this path, a name without its schema is Postgres's own or a temporary
table's: nobody's function or operator can stand in for one of Postgres's."""

BEGIN = "; ".join(
    (
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        *(f"SET LOCAL {name} = {value}" for name, value in SETTINGS.items()),
    )
)

ENVIRONMENT = (
    "PGAPPNAME",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGHOST",
    "PGHOSTADDR",
    "PGLOADBALANCEHOSTS",
    "PGOPTIONS",
    "PGPORT",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGTARGETSESSIONATTRS",
    "PGTZ",
    "PGUSER",
)
"""Variables that libpq would heed. Those that hold a password, or say how TLS is to be spoken
(PGPASSFILE, PGPASSWORD, PGSSLMODE and the like), are left to it."""


_ADMINISTRATORS = (
    "search_path=pg_catalog,pg_temp",
    "lock_timeout=30s",
    "role=none",
    "local_preload_libraries=",
    "statement_timeout=0",
    "idle_in_transaction_session_timeout=0",
    "default_transaction_read_only=off",
)
"""What the owner of a database, who may be a lesser role, could set otherwise for every session."""


def parameters(url: sa.URL) -> dict[str, Any]:
    """What psycopg is given beside the URL. Parameters of the URL's own stand, but for the
    encoding."""
    return {
        "client_encoding": "utf8",
        "application_name": "brex_sync",
        "connect_timeout": 10,
        "prepare_threshold": None,
        "autocommit": True,
        **{k: v for k, v in url.query.items() if k in ("application_name", "connect_timeout")},
    }


def forget_environment() -> None:
    """Takes out of this process's environment what would make our sessions others than the URL
    says."""
    for name in ENVIRONMENT:
        os.environ.pop(name, None)


def administer(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A session of an administrator's, straight to a server, in which every statement commits.

    It looks for names in `pg_catalog` alone from its first moment on, waits for nobody's lock
    longer than half a minute, and heeds nothing that `ALTER DATABASE … SET` could break it with.

    Raises:
        psycopg.Error: there is none to be had.
    """
    forget_environment()
    return psycopg.connect(
        url,
        autocommit=True,
        client_encoding="utf8",
        application_name="brex_sync",
        connect_timeout=30,
        options=" ".join(f"-c {setting}" for setting in _ADMINISTRATORS),
    )


def check_first(engine: sa.Engine) -> None:
    """Has every connection looked at, before anything is asked, for a server or a database that
    will not do; those raise UnfitDatabase."""
    sa.event.listen(engine, "connect", _check, insert=True)


def begin_alike(engine: sa.Engine) -> None:
    """Begins every transaction with the settings of this module."""

    def begin(db: sa.Connection) -> None:
        db.exec_driver_sql(BEGIN)

    sa.event.listen(engine, "begin", begin)


def _check(driver: psycopg.Connection[Any], _: object) -> None:
    info = driver.info
    where = f"the database {info.dbname} at {info.host}:{info.port}"
    if info.server_version < OLDEST * 10_000:
        raise UnfitDatabase(
            f"{where} is PostgreSQL {_version(info.server_version)}, and brex_sync needs {OLDEST} "
            "or newer: upgrade it, or let BREX_SYNC_DATABASE_URL name another"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnfitDatabase(
            f"{where} has the encoding {encoding}, which cannot hold every text: make one with "
            f"CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C', and let "
            "BREX_SYNC_DATABASE_URL name it"
        )


def _version(number: int) -> str:
    major, minor = divmod(number, 10_000)
    return f"{major}.{minor}" if major >= 10 else f"{major}.{minor // 100}.{minor % 100}"
