"""Somebody who has the writer's password, the reader's or Dagster's gets no further than that; and
an older home, whose owner could be deceived, is mended."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege
from pydantic import SecretStr

from brex_sync.databases import databases, reset_password
from brex_sync.embedded import EmbeddedPostgres, Server
from brex_sync.embedded.credentials import OWNER, PassfileEntry, read_passfile, write_passfile
from brex_sync.embedded.ownership import FORMER, RENAMING
from brex_sync.errors import EmbeddedPostgresError, PostgresUnavailable
from brex_sync.runtime import parts, supervisor
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse, credentials
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.schema import roles

from .conftest import open_folder, put_away

LATER = {**STREAMS, "titles": replace(STREAMS["titles"], description="Of a later version.")}
SHADOWS = (
    "hashtextextended(text, integer) RETURNS bigint",
    "hashtextextended(unknown, integer) RETURNS bigint",
    "format(text, name) RETURNS text",
    "format(unknown, name) RETURNS text",
    "obj_description(oid, unknown) RETURNS text",
    "pg_get_userbyid(oid) RETURNS text",
    "count() RETURNS bigint",
    "current_database() RETURNS text",
)
OPERATORS = (("name", "text"), ("name", "unknown"), ("oid", "oid"), ("text", "text"))


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    folder = open_folder()
    home = folder / "home"
    made = Settings(_env_file=None, BREX_SYNC_HOME=home)  # type: ignore[call-arg]
    with databases(made, dagster=True) as (ready, _):
        sync(ready)
    yield made
    put_away(home)


@pytest.fixture
def ready(settings: Settings) -> Iterator[Settings]:
    """What `up` works with, while its server runs."""
    with databases(settings, dagster=True) as (ready, _):
        yield ready


def sync(ready: Settings, streams: Any = STREAMS) -> None:
    assert ready.database_url
    engine = open_engine(ready.database_url.get_secret_value())
    prepare(Warehouse(engine, "brex"), streams.values(), VIEWS.values())
    engine.dispose()


def owner(settings: Settings) -> Server:
    with EmbeddedPostgres(settings.home) as server:
        return server


def ask(url: str, statement: str, *values: Any) -> Any:
    with psycopg.connect(url, autocommit=True) as db:
        cursor = db.execute(statement, values)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else None


OWN = {roles.WRITER: "brex", roles.READER: "brex", roles.STORAGE: "dagster"}


def url_of(settings: Settings, role: str, database: str | None = None) -> str:
    """As a role reaches a database, or its own."""
    known = read_passfile(settings.home / f"pgpass-{role}")
    assert known
    return f"postgresql://{role}:{known.password}@127.0.0.1:{known.port}/{database or OWN[role]}"


def superusers(settings: Settings) -> list[str]:
    found = ask(owner(settings).url("postgres"), "SELECT rolname FROM pg_roles WHERE rolsuper")
    return [name for (name,) in found]


def plant(db: psycopg.Connection[Any], schema: str) -> None:
    """Functions and operators that make the writer a superuser if a superuser ever runs one."""
    db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')  # type: ignore[arg-type]
    act = "BEGIN ALTER ROLE brex_writer SUPERUSER; RETURN NULL; END"
    for one in (*SHADOWS, *(f"op({a}, {b}) RETURNS boolean" for a, b in OPERATORS)):
        if "unknown" not in one:
            db.execute(
                f'CREATE OR REPLACE FUNCTION "{schema}".{one} '  # type: ignore[arg-type]
                f"LANGUAGE plpgsql AS $f$ {act} $f$"
            )
    for a, b in OPERATORS:
        if "unknown" not in (a, b):
            db.execute(
                f'CREATE OPERATOR "{schema}".= '  # type: ignore[arg-type]
                f'(LEFTARG = {a}, RIGHTARG = {b}, FUNCTION = "{schema}".op)'
            )


@pytest.mark.parametrize("schema", ["brex", OWNER, "postgres", "brex_writer"])
def test_the_writer_cannot_have_a_superuser_run_functions_of_its_own(
    settings: Settings, ready: Settings, schema: str
) -> None:
    with psycopg.connect(url_of(settings, roles.WRITER), autocommit=True) as db:
        plant(db, schema)
        db.execute(f"COMMENT ON SCHEMA \"{schema}\" IS 'Brex, synced by brex_sync (mine)'")  # type: ignore[arg-type]
    with databases(settings, dagster=True):
        pass
    reset_password(settings, roles.READER)
    sync(ready)
    assert superusers(settings) == [OWNER]
    assert ask(owner(settings).url("brex"), "SHOW search_path") == [("public, pg_temp",)]


@pytest.mark.parametrize("role", [roles.WRITER, roles.READER, roles.STORAGE])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER ROLE brex_writer SUPERUSER",
        "CREATE ROLE another SUPERUSER",
        "CREATE DATABASE another",
        "ALTER SYSTEM SET port = 1",
        "ALTER DATABASE brex SET search_path = mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT rolpassword FROM pg_authid",
        "CREATE TABLE pg_catalog.mine ()",
        "CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION now()",
        f'SET ROLE "{OWNER}"',
    ],
)
def test_no_role_may_what_only_the_owner_may(
    settings: Settings, ready: Settings, role: str, statement: str
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        ask(url_of(settings, role), statement)
    assert isinstance(refused.value, InsufficientPrivilege)


def test_dagsters_role_owns_its_database_and_nothing_else(
    settings: Settings, ready: Settings
) -> None:
    assert ready.dagster_url
    url = ready.dagster_url.get_secret_value()
    assert f"{roles.STORAGE}:" in url
    assert ask(url, "CREATE TABLE mine ()") is None
    owned = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s"
    assert ask(url, owned, roles.STORAGE) == [("dagster",)]


def test_the_service_is_not_given_dagsters_database(ready: Settings) -> None:
    assert ready.dagster_url
    given = parts.without_dagsters(parts.environment(ready))
    assert not [name for name in given if name.startswith("DAGSTER_")]
    secret = read_passfile(ready.home / f"pgpass-{roles.STORAGE}")
    assert secret
    assert not [value for value in given.values() if secret.password in value]
    assert "BREX_SYNC_DATABASE_URL" in given


def every_connection(stack: ExitStack, url: str) -> None:
    for _ in range(99):
        stack.enter_context(psycopg.connect(url))


def test_the_reader_stands_in_nobodys_way(settings: Settings, ready: Settings) -> None:
    """With every lock it can take, a transaction that stays open, and all connections it gets."""
    with ExitStack() as stack:
        url = url_of(settings, roles.READER)
        db = stack.enter_context(psycopg.connect(url))
        for name in (*STREAMS, *VIEWS):
            db.execute(f'SELECT FROM brex."{name}" LIMIT 1')  # type: ignore[arg-type]
        for table in roles.OPEN_TABLES:
            db.execute(f"SELECT FROM {table.fullname} LIMIT 1")
        db.execute("ALTER ROLE brex_reader SET work_mem = '1MB'")
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            every_connection(stack, url)
        with databases(settings, dagster=True) as (again, reader):
            assert reader is not None
            assert reader.opens
            sync(again)
        assert again.database_url
        engine = open_engine(again.database_url.get_secret_value())
        with engine.begin() as writer:
            credentials.put(writer, "brex", configuration="x", state="CONNECTED",
                            state_since=sa.func.now())  # fmt: skip
        with credentials.alerting(engine, "brex") as mine:
            assert mine is not None
        engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "LOCK TABLE brex.users IN ROW SHARE MODE",
        "LOCK TABLE brex.users IN SHARE MODE",
        "LOCK TABLE brex.transactions IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE brex_sync.runs IN SHARE ROW EXCLUSIVE MODE",
        "LOCK TABLE brex_sync.preparing IN ACCESS SHARE MODE",
        "SELECT * FROM brex_sync.runs FOR SHARE",
        "SELECT * FROM brex.users FOR KEY SHARE",
        "LOCK TABLE pg_catalog.pg_authid IN ROW EXCLUSIVE MODE",
    ],
)
def test_the_reader_takes_no_lock_that_writing_waits_for(
    settings: Settings, ready: Settings, statement: str
) -> None:
    with psycopg.connect(url_of(settings, roles.READER)) as db, pytest.raises(psycopg.Error) as no:
        db.execute(statement)  # type: ignore[arg-type]
    assert isinstance(no.value, InsufficientPrivilege)


def test_a_transaction_that_holds_up_new_tables_is_named_in_one_sentence(
    settings: Settings, ready: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the tables has to wait for readers; not for ever."""
    monkeypatch.setattr("brex_sync.warehouse.sessions.BEGIN", "BEGIN; SET LOCAL lock_timeout = 100")
    with psycopg.connect(url_of(settings, roles.READER)) as db:
        db.execute("SELECT FROM brex.transactions")
        with pytest.raises(PostgresUnavailable) as refused:
            sync(ready, LATER)
    assert "somebody's open transaction" in str(refused.value)


def test_views_of_somebody_else_are_not_given_the_writers_rights(
    settings: Settings, ready: Settings
) -> None:
    """Whoever may make schemas in a database that the roles are made in."""
    with psycopg.connect(owner(settings).url("brex"), autocommit=True) as db:
        db.execute("CREATE ROLE mallory LOGIN PASSWORD 'm'")
        db.execute("GRANT CREATE ON DATABASE brex TO mallory")
        db.execute("SET SESSION AUTHORIZATION mallory")
        db.execute("CREATE SCHEMA trap")
        db.execute("CREATE VIEW trap.all AS SELECT * FROM pg_catalog.pg_authid")
        db.execute("COMMENT ON SCHEMA trap IS 'Brex, synced by brex_sync (0)'")
        db.execute("RESET SESSION AUTHORIZATION")
        db.execute(roles.statements())  # type: ignore[arg-type]
        found = db.execute("SELECT viewowner FROM pg_views WHERE schemaname = 'trap'").fetchall()
        db.execute("DROP OWNED BY mallory CASCADE")
        db.execute("DROP ROLE mallory")
    assert found == [("mallory",)]


@pytest.fixture
def passwords(settings: Settings, ready: Settings) -> Iterator[None]:
    yield
    for role in (roles.READER, roles.WRITER, roles.STORAGE):
        reset_password(settings, role)


@pytest.mark.usefixtures("passwords")
def test_a_password_that_somebody_gave_the_reader_stays(settings: Settings) -> None:
    ask(owner(settings).url("brex"), "ALTER ROLE brex_reader PASSWORD 'theirs'")
    port = owner(settings).port
    for _ in range(2):
        with databases(settings, dagster=True) as (_, reader):
            assert reader is not None
            assert "passfile" not in reader.psql("brex")
            (line,) = supervisor._of_password(reader)
            assert "`brex-sync roles reset-password reader`" in line
    theirs = f"postgresql://brex_reader:theirs@127.0.0.1:{port}/brex"
    assert ask(theirs, "SELECT 1") == [(1,)]
    reset_password(settings, roles.READER)
    with databases(settings, dagster=True) as (_, reader):
        assert reader is not None
        assert "passfile" in reader.psql("brex")
        assert supervisor._of_password(reader) == []
        assert ask(reader.url("brex"), "SELECT 1") == [(1,)]


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize("role", [roles.WRITER, roles.STORAGE])
def test_one_that_somebody_gave_us_is_said_in_one_sentence(settings: Settings, role: str) -> None:
    ask(owner(settings).url("brex"), f"ALTER ROLE {role} PASSWORD 'theirs'")
    with pytest.raises(EmbeddedPostgresError) as refused, databases(settings, dagster=True):
        pass
    short = role.removeprefix("brex_")
    assert f"`brex-sync roles reset-password {short}`" in str(refused.value)
    passfile = settings.home / f"pgpass-{role}"
    known = read_passfile(passfile)
    assert known
    write_passfile(passfile, replace(known, password="theirs"))
    with databases(settings, dagster=True) as (ready, _):
        sync(ready)


def test_passwords_of_a_postgres_of_ones_own_are_not_ours_to_change(settings: Settings) -> None:
    own = settings.model_copy(update={"database_url": SecretStr("postgresql://a:b@c/d")})
    with pytest.raises(Exception, match=r"\\password brex_reader in psql"):
        reset_password(own, roles.READER)


def undone(settings: Settings) -> Server:
    """The owner of a home as an earlier version left it: with its name, and Dagster's tables."""
    server = owner(settings)
    with psycopg.connect(server.url("dagster"), autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS public.mine, public.runs")
        db.execute(f'ALTER DATABASE dagster OWNER TO "{OWNER}"')  # type: ignore[arg-type]
        db.execute("DROP OWNED BY brex_dagster")
        db.execute("DROP ROLE brex_dagster")
        db.execute("GRANT ALL ON DATABASE dagster TO PUBLIC")
        db.execute("CREATE TABLE public.runs (id bigserial PRIMARY KEY, body text)")
        db.execute("INSERT INTO public.runs (body) VALUES ('kept')")
        db.execute(f"CREATE ROLE \"{RENAMING}\" SUPERUSER LOGIN PASSWORD 'r'")  # type: ignore[arg-type]
    with psycopg.connect(
        replace(server, user=RENAMING, password="r").url("postgres"), autocommit=True
    ) as db:
        db.execute(f'ALTER ROLE "{OWNER}" RENAME TO {FORMER}')  # type: ignore[arg-type]
    former = replace(server, user=FORMER)
    ask(former.url("postgres"), f'DROP ROLE "{RENAMING}"')
    write_passfile(server.passfile, PassfileEntry(server.port, server.password, FORMER))
    return former


def nothing(former: Server) -> None:
    """An earlier start did not get anywhere."""


def helper_made(former: Server) -> None:
    ask(former.url("postgres"), f"CREATE ROLE \"{RENAMING}\" SUPERUSER LOGIN PASSWORD 'r'")


def renamed(former: Server) -> None:
    helper_made(former)
    ask(
        replace(former, user=RENAMING, password="r").url("postgres"),
        f'ALTER ROLE {FORMER} RENAME TO "{OWNER}"',
    )


@pytest.mark.parametrize("died", [nothing, helper_made, renamed])
def test_an_older_home_gets_the_owners_name_and_dagsters_role(
    settings: Settings, ready: Settings, died: Callable[[Server], None]
) -> None:
    died(undone(settings))
    for _ in range(2):
        with databases(settings, dagster=True) as (again, _):
            assert superusers(settings) == [OWNER]
            assert again.dagster_url
            url = again.dagster_url.get_secret_value()
            assert ask(url, "SELECT body FROM runs") == [("kept",)]
            ask(url, "INSERT INTO runs (body) VALUES ('new') RETURNING id")
            ask(url, "DELETE FROM runs WHERE body = 'new'")
            ask(url, "ALTER TABLE runs ADD COLUMN more int")
            ask(url, "ALTER TABLE runs DROP COLUMN more")
            with pytest.raises(psycopg.OperationalError):
                ask(url_of(settings, roles.READER, "dagster"), "SELECT 1")
    assert read_passfile(settings.home / "pgpass") is not None
    assert f":{OWNER}:" in Path(settings.home / "pgpass").read_text()
