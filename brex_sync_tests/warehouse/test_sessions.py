"""The session belongs to us: neither the environment, nor the server, nor a role's settings have a
say in it; and a database that will not do is refused in one sentence."""

import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync import cli
from brex_sync.errors import PostgresError
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.sessions import ENVIRONMENT

STRANGE = {
    "PGCLIENTENCODING": "LATIN1",
    "PGOPTIONS": "-c search_path=elsewhere -c timezone=Asia/Tokyo",
    "PGSERVICE": "of_another_program",
    "PGTZ": "Asia/Tokyo",
    "PGDATESTYLE": "German",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "elsewhere",
    "PGGEQO": "off",
    "PGAPPNAME": "another",
}
SETTINGS = (
    "SET search_path = elsewhere, public",
    "SET timezone = 'Asia/Tokyo'",
    "SET datestyle = 'German'",
    "SET client_encoding = 'LATIN1'",
    "SET default_transaction_read_only = on",
    "SET default_transaction_isolation = 'serializable'",
    "SET standard_conforming_strings = off",
    "SET bytea_output = 'escape'",
    "SET array_nulls = off",
)


def ask(url: str, statement: str, **values: Any) -> Any:
    engine = open_engine(url)
    try:
        with engine.connect() as db:
            return db.execute(sa.text(statement), values).one()
    finally:
        engine.dispose()


def seen(url: str) -> Any:
    return ask(
        url,
        "SELECT current_setting('search_path'), current_setting('timezone'), "
        "CAST(:text AS text), octet_length(:text), "
        "CAST('2026-11-24 10:00:00+00' AS timestamptz)::text, "
        "current_setting('application_name'), current_setting('transaction_isolation'), "
        "CAST('\\x41' AS bytea)::text, CAST('{NULL}' AS text[])",
        text="Zoë 漢",
    )


EXPECTED = (
    "pg_catalog, pg_temp",
    "UTC",
    "Zoë 漢",
    8,
    "2026-11-24 10:00:00+00",
    "brex_sync",
    "read committed",
    "\\x41",
    [None],
)


def test_the_environment_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in STRANGE.items():
        monkeypatch.setenv(name, value)
    assert tuple(seen(database_url)) == EXPECTED


def test_what_holds_a_password_or_says_how_to_speak_tls_is_heeded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _, rest = database_url.partition("://")
    user, _, password = rest.partition("@")[0].partition(":")
    monkeypatch.setenv("PGPASSWORD", password)
    monkeypatch.setenv("PGSSLMODE", "disable")
    assert tuple(seen(f"{before}://{user}@{rest.partition('@')[2]}")) == EXPECTED
    assert "PGSSLMODE" in os.environ
    assert not {"PGPASSWORD", "PGPASSFILE", "PGSSLMODE"} & set(ENVIRONMENT)


@pytest.mark.parametrize("whose", ["ROLE CURRENT_USER IN DATABASE", "DATABASE"])
def test_settings_of_the_role_or_the_database_change_nothing(
    new_database: Callable[[], str], whose: str
) -> None:
    url = new_database()
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as db:
        for setting in SETTINGS:
            db.execute(f"ALTER {whose} {name} {setting}")  # type: ignore[arg-type]
    assert tuple(seen(url)) == EXPECTED
    engine = open_engine(url)
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE brex.mine ()")
    engine.dispose()


def test_a_session_is_left_as_it_was_found(database_url: str) -> None:
    """As a pooler hands it to somebody else next."""
    engine = open_engine(database_url)
    try:
        with engine.connect() as db:
            db.execute(sa.text("SELECT 1"))
            driver = db.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            db.rollback()
            left = driver.execute("SHOW search_path").fetchone()
            prepared = driver.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        assert left == ('"$user", public',)
        assert prepared == (0,)
    finally:
        engine.dispose()


def test_a_statement_that_comes_often_is_not_prepared(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.connect() as db:
        for _ in range(12):
            db.execute(sa.text("SELECT CAST(:n AS int)"), {"n": 1})
        assert db.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) == 0
    engine.dispose()


@pytest.fixture
def encoded(server: Any) -> Iterator[Callable[[str], str]]:
    """Makes databases of an encoding."""
    made: list[str] = []

    def make(encoding: str) -> str:
        name = f"in_{encoding.lower()}"
        made.append(name)
        with psycopg.connect(server.url("postgres"), autocommit=True) as db:
            db.execute(
                f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 "  # type: ignore[arg-type]
                "LOCALE_PROVIDER libc LOCALE 'C'"
            )
        return str(server.url(name))

    yield make
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        for name in made:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252", "EUC_JP"])
def test_a_database_in_another_encoding_is_refused(
    encoded: Callable[[str], str], encoding: str
) -> None:
    url = encoded(encoding)
    for _ in range(2):
        assert encoding in refused(url)
        assert "CREATE DATABASE name ENCODING 'UTF8'" in refused(url)


def test_an_old_server_is_refused(database_url: str) -> None:
    with claiming(database_url, "13.4") as url:
        assert "is PostgreSQL 13.4, and brex_sync needs 14 or newer" in refused(url)
    with claiming(database_url, "9.6.24") as url:
        assert "is PostgreSQL 9.6.24, " in refused(url)
    with claiming(database_url, "14.0") as url:
        assert tuple(seen(url)) == EXPECTED


def refused(url: str) -> str:
    """The sentence by which a database is refused before anything was made there."""
    engine = open_engine(url)
    try:
        with pytest.raises(PostgresError) as error:
            prepare(Warehouse(engine, "brex"), STREAMS.values(), VIEWS.values())
    finally:
        engine.dispose()
    assert "\n" not in error.value.said
    return error.value.said


@contextmanager
def claiming(url: str, version: str) -> Iterator[str]:
    """A way to a database on which the server says that it is of a version."""
    host, port = re.search(r"@([^:/]+):(\d+)", url).groups()  # type: ignore[union-attr]
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(source: socket.socket, target: socket.socket, change: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(_as_of(data, version) if change else data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                real = socket.create_connection((host, int(port)))
                for pair in ((client, real, False), (real, client, True)):
                    threading.Thread(target=relay, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield url.replace(f"{host}:{port}", f"127.0.0.1:{listener.getsockname()[1]}")
    finally:
        listener.close()


def _as_of(data: bytes, version: str) -> bytes:
    said = b"server_version\0" + version.encode() + b"\0"
    message = b"S" + (len(said) + 4).to_bytes(4, "big") + said
    return re.sub(rb"S....server_version\0[^\0]*\0", lambda _: message, data, flags=re.DOTALL)


@pytest.fixture
def stranger(server: Any, database_url: str) -> Iterator[str]:
    """The URL of somebody who may log in, and no more."""
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    yield re.sub(r"://[^@]*@", "://stranger:stranger@", database_url)
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("DROP ROLE stranger")


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def other_urls(url: str) -> dict[str, tuple[str, str]]:
    """URLs that are wrong in one way, and words of what is said of each."""
    return {
        "password": (re.sub(r":[^:@]*@", ":wrong@", url), "the user and the password"),
        "user": (re.sub(r"://[^:]*:", "://nobody_here:", url), "the user and the password"),
        "database": (url.rpartition("/")[0] + "/nowhere", "CREATE DATABASE"),
        "port": (re.sub(r":\d+/", f":{closed_port()}/", url), "see that the server runs"),
        "host": (re.sub(r"@[^:]*:", "@nowhere.invalid:", url), "the host in"),
        "socket": ("postgresql://u@/brex?host=/nowhere", "see that the server runs"),
        "tls": (f"{url}?sslmode=require", "sslmode"),
    }


@pytest.mark.parametrize("wrong", ["password", "user", "database", "port", "host", "socket", "tls"])
def test_a_url_that_is_wrong_is_said_to_be_so(database_url: str, wrong: str) -> None:
    url, words = other_urls(database_url)[wrong]
    told = refused(url)
    assert words in told
    assert "BREX_SYNC_DATABASE_URL" in told
    assert "wrong@" not in told


def test_a_role_without_rights_is_told_how_to_get_them(stranger: str) -> None:
    told = refused(stranger)
    assert "permission denied for" in told
    assert "`brex-sync roles` prints the SQL" in told


def test_a_role_that_may_not_make_schemas_is_told_so(stranger: str, server: Any) -> None:
    """In an empty database, where everybody may only look."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE bare")
    try:
        told = refused(stranger.rpartition("/")[0] + "/bare")
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as db:
            db.execute("DROP DATABASE bare WITH (FORCE)")
    assert told.startswith("permission denied for database bare: the role in ")


@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize("command", ["sync", "status", "serve"])
def test_the_command_line_says_it_in_one_line(
    stranger: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", stranger)
    monkeypatch.setenv("BREX_SYNC_SANDBOX_PORT", str(closed_port()))
    monkeypatch.setenv("BREX_SYNC_SERVICE_PORT", str(closed_port()))
    monkeypatch.setattr(sys, "argv", ["brex-sync", command])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("brex-sync: Postgres: permission denied for ")
    assert "Traceback" not in said.out + said.err
