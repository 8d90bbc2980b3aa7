"""Roles: syncs write, people read, and nobody but syncs sees credentials and checkpoints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from brex_sync.databases import databases
from brex_sync.embedded import EmbeddedPostgres
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare, prepare_internal
from brex_sync.warehouse.schema import roles

PASSWORDS = {roles.WRITER: "writes", roles.READER: "reads"}


@pytest.fixture
def as_role(server: Any, database_url: str) -> Iterator[Any]:
    """URLs of a database whose tables an administrator made before there were roles."""
    give_roles(database_url)
    parts = urlsplit(database_url)

    def url(role: str) -> str:
        return f"postgresql://{role}:{PASSWORDS[role]}@127.0.0.1:{parts.port}{parts.path}"

    yield url
    with psycopg.connect(database_url, autocommit=True) as db:
        for role in PASSWORDS:
            db.execute(f"DROP OWNED BY {role} CASCADE")  # type: ignore[arg-type]


def give_roles(url: str) -> None:
    roles.set_up(url)
    for role, password in PASSWORDS.items():
        roles.set_password(url, role, password)


def sync_tables(url: str, connection: str) -> None:
    engine = open_engine(url)
    prepare(Warehouse(engine, connection), STREAMS.values(), VIEWS.values())
    prepare_internal(engine)
    engine.dispose()


def test_the_writer_owns_what_was_there_and_makes_what_is_new(as_role: Any) -> None:
    sync_tables(as_role(roles.WRITER), "brex")
    sync_tables(as_role(roles.WRITER), "second")
    with psycopg.connect(as_role(roles.WRITER)) as db:
        db.execute('ALTER TABLE brex.users ADD COLUMN "mine" text')
        db.execute("DELETE FROM brex_sync.checkpoints")


def test_the_writer_goes_on_keeping_the_history_that_an_administrator_began(as_role: Any) -> None:
    with psycopg.connect(as_role(roles.WRITER), autocommit=True) as db:
        db.execute("COMMENT ON SCHEMA brex IS 'of an older version'")
    sync_tables(as_role(roles.WRITER), "brex")


@pytest.mark.parametrize("name", [*STREAMS, *VIEWS])
def test_the_reader_reads_every_table_and_view(as_role: Any, name: str) -> None:
    sync_tables(as_role(roles.WRITER), "second")
    with psycopg.connect(as_role(roles.READER)) as db:
        for schema in ("brex", "second"):
            db.execute(f'SELECT * FROM {schema}."{name}"')  # type: ignore[arg-type]
        db.execute("SELECT * FROM second_history.cards")
        for table in roles.OPEN_TABLES:
            db.execute(f"SELECT * FROM {table.fullname}")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM brex_sync.credentials",
        "SELECT secrets FROM brex_sync.credentials",
        "SELECT * FROM brex_sync.refreshes",
        "SELECT * FROM brex_sync.checkpoints",
        "SELECT * FROM brex_sync.listed_keys",
        "DELETE FROM brex.users",
        "UPDATE brex.users SET email = ''",
        "DROP TABLE brex.users",
        "CREATE TABLE brex.mine ()",
        "CREATE SCHEMA mine",
    ],
)
def test_the_reader_does_nothing_else(as_role: Any, statement: str) -> None:
    sync_tables(as_role(roles.WRITER), "brex")
    with psycopg.connect(as_role(roles.READER)) as db, pytest.raises(psycopg.Error) as refused:
        db.execute(statement)  # type: ignore[arg-type]
    assert isinstance(refused.value, InsufficientPrivilege)


def test_a_table_or_view_made_later_can_be_read_too(as_role: Any) -> None:
    sync_tables(as_role(roles.WRITER), "brex")
    with psycopg.connect(as_role(roles.WRITER)) as db:
        db.execute("CREATE TABLE brex.later AS SELECT 1 AS n")
        db.execute("CREATE TABLE brex_sync.later AS SELECT 1 AS n")
    with psycopg.connect(as_role(roles.READER), autocommit=True) as db:
        assert db.execute("SELECT n FROM brex.later").fetchall() == [(1,)]
        assert db.execute("SELECT * FROM brex_sync.webhook_events").fetchall() == []
        for closed in ("later", "webhook_bodies", "webhook_secrets", "notifications"):
            with pytest.raises(InsufficientPrivilege):
                db.execute(f"SELECT FROM brex_sync.{closed}")


def test_making_them_again_changes_nothing(as_role: Any, database_url: str) -> None:
    sync_tables(as_role(roles.WRITER), "second")
    with psycopg.connect(database_url) as db:
        before = db.execute("SELECT relname, relacl::text, xmin::text FROM pg_class").fetchall()
        roles.set_up(database_url)
        assert all(roles.lets_in(database_url, r, p) for r, p in PASSWORDS.items())
        after = db.execute("SELECT relname, relacl::text, xmin::text FROM pg_class").fetchall()
    assert before == after


def test_the_embedded_server_has_them_by_itself(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = Settings(_env_file=None, BREX_SYNC_HOME=home)  # type: ignore[call-arg]
    with EmbeddedPostgres(home) as server:
        sync_tables(server.url("brex"), "brex")
    for _ in range(2):
        with databases(settings) as (ready, reader):
            assert ready.database_url is not None
            assert reader is not None
            sync_tables(ready.database_url.get_secret_value(), "brex")
            assert "user=brex_reader" in reader.psql("brex")
            assert reader.password not in reader.psql("brex")
            passfile = reader.passfile
            assert passfile.stat().st_mode & 0o777 == 0o600
            with psycopg.connect(
                host=reader.host, port=reader.port, user=reader.user, dbname="brex",
                passfile=str(passfile),
            ) as db:  # fmt: skip
                db.execute("SELECT * FROM brex.users")
                with pytest.raises(InsufficientPrivilege):
                    db.execute("SELECT * FROM brex_sync.credentials")


def test_an_administrator_who_is_no_superuser_can_run_the_statements(server: Any) -> None:
    """As on a managed Postgres, where the tables so far belong to them."""
    port = urlsplit(server.url("postgres")).port
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        for role in PASSWORDS:
            db.execute(f"DROP ROLE IF EXISTS {role}")  # type: ignore[arg-type]
        db.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss'")
        db.execute("CREATE DATABASE managed OWNER boss")
    boss = f"postgresql://boss:boss@127.0.0.1:{port}/managed"
    try:
        sync_tables(boss, "brex")
        give_roles(boss)
        sync_tables(boss.replace("boss:boss", f"{roles.WRITER}:writes"), "second")
        with psycopg.connect(boss.replace("boss:boss", f"{roles.READER}:reads")) as db:
            db.execute("SELECT * FROM brex.users, second.users")
    finally:
        with psycopg.connect(server.url("postgres"), autocommit=True) as db:
            db.execute("DROP DATABASE managed WITH (FORCE)")
            for role in (*PASSWORDS, "boss"):
                db.execute(f"DROP ROLE IF EXISTS {role}")  # type: ignore[arg-type]
