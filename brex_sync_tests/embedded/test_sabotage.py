"""Somebody who has a role's password can neither shut the others out nor stay after it is reset."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from brex_sync.databases import databases, reset_password
from brex_sync.settings import Settings
from brex_sync.warehouse.schema import roles

from .conftest import open_folder, put_away
from .test_attackers import OWN, ask, owner, sync, url_of

ROLES = (roles.WRITER, roles.READER, roles.STORAGE)


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """A home whose server runs, with its tables."""
    home = open_folder() / "home"
    made = Settings(_env_file=None, BREX_SYNC_HOME=home)  # type: ignore[call-arg]
    with databases(made, dagster=True) as (ready, _):
        sync(ready)
        yield made
    put_away(home)


def again(settings: Settings) -> None:
    """What `up` and a sync do at their start."""
    with databases(settings, dagster=True) as (ready, reader):
        assert reader is not None
        sync(ready)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_enters_its_own_database_only(settings: Settings, role: str) -> None:
    ask(url_of(settings, role), "SELECT 1")
    for other in {"brex", "dagster", "postgres", "template1"} - {OWN[role]}:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            ask(url_of(settings, role, other), "SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_put(1, 0, 'x')",
        "SELECT lo_import('/etc/hostname')",
        "CREATE TEMP TABLE mine ()",
        "SELECT 1 AS a INTO TEMP mine",
        "SET temp_file_limit = -1",
        "ALTER ROLE brex_reader SET temp_file_limit = -1",
        "ALTER ROLE brex_reader RESET temp_file_limit",
        "ALTER ROLE brex_reader CONNECTION LIMIT -1",
        "CREATE FUNCTION brex.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.mine ()",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW brex.mine AS SELECT 1",
        "CREATE RULE mine AS ON INSERT TO brex.users DO ALSO SELECT 1",
        "CREATE TRIGGER mine AFTER INSERT ON brex.users EXECUTE FUNCTION brex_sync.note_deletion()",
        "SELECT pg_create_physical_replication_slot('mine')",
        "ALTER ROLE brex_writer SET search_path = mine",
        "ALTER ROLE brex_writer PASSWORD 'mine'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    ],
)
def test_the_reader_leaves_nothing_on_the_server(settings: Settings, statement: str) -> None:
    # The writer has a session, so that there is one to be ended.
    with psycopg.connect(url_of(settings, roles.WRITER)), pytest.raises(InsufficientPrivilege):
        ask(url_of(settings, roles.READER), statement)


LOCKING = (
    "pg_advisory_lock(1)",
    "pg_advisory_lock_shared(1, 1)",
    "pg_try_advisory_lock(1)",
    "pg_advisory_xact_lock(1)",
    "pg_try_advisory_xact_lock_shared(1)",
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("lock", LOCKING)
def test_nobody_fills_the_table_of_locks(settings: Settings, role: str, lock: str) -> None:
    """All sessions share it; where it is full, nobody can log in."""
    with pytest.raises(InsufficientPrivilege):
        ask(url_of(settings, role), f"SELECT {lock}")


def test_locks_on_all_there_is_by_all_of_the_readers_sessions_leave_room(
    settings: Settings,
) -> None:
    readable = (
        "SELECT format('%%I.%%I', nspname, relname) FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = relnamespace WHERE relkind IN ('r', 'v') AND has_table_privilege(c.oid, "
        "'SELECT') AND has_schema_privilege(n.oid, 'USAGE')"
    )
    url = url_of(settings, roles.READER)
    names = [name for (name,) in ask(url, readable)]
    look = "; ".join(f"SELECT FROM {name} LIMIT 0" for name in names)
    with ExitStack() as stack:
        for _ in range(39):
            stack.enter_context(psycopg.connect(url)).execute(look)  # type: ignore[arg-type]
        ((held,),) = ask(owner(settings).url("brex"), "SELECT count(*) FROM pg_locks")
        assert held > 39 * len(names)
        again(settings)


def test_what_the_reader_sorts_on_disk_is_limited(settings: Settings) -> None:
    limit = "SHOW temp_file_limit"
    assert ask(url_of(settings, roles.WRITER), limit) == [("-1",)]
    reset_password(settings, roles.READER)
    assert ask(url_of(settings, roles.READER), limit) == [("1GB",)]
    ask(owner(settings).url("brex"), "ALTER ROLE brex_reader SET temp_file_limit = '5GB'")
    again(settings)
    assert ask(url_of(settings, roles.READER), limit) == [("5GB",)]


@pytest.mark.parametrize(
    ("role", "language"),
    [(role, language) for role in (roles.WRITER, roles.STORAGE) for language in ("c", "internal")],
)
def test_who_makes_functions_makes_none_of_the_servers_own_code(
    settings: Settings, role: str, language: str
) -> None:
    made = f"CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE {language} AS 'lo_import'"
    with pytest.raises(InsufficientPrivilege):
        ask(url_of(settings, role), made)


def test_what_others_ask_for_is_not_shown(settings: Settings) -> None:
    asked = "SELECT query FROM pg_stat_activity WHERE usename = %s"
    with psycopg.connect(url_of(settings, roles.WRITER)) as db:
        db.execute("SELECT 'of the writer'")
        (seen,) = set(ask(url_of(settings, roles.READER), asked, roles.WRITER))
    assert seen == ("<insufficient privilege>",)


def test_a_reader_that_gives_its_rights_away_stops_nobody(settings: Settings) -> None:
    """`DROP OWNED` takes from a role what it was granted, and until its end holds the rows of all
    that is granted."""
    url = url_of(settings, roles.READER)
    with psycopg.connect(url) as db:
        db.execute("DROP OWNED BY brex_reader")
        again(settings)
        db.commit()
        again(settings)
    assert ask(url, "SELECT count(*) FROM brex.users, brex_sync.runs, brex_sync.missing_rows")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "spoilt",
    [
        "ALTER ROLE {role} SET local_preload_libraries = 'nothing_of_the_kind'",
        "ALTER ROLE {role} IN DATABASE {database} SET local_preload_libraries = 'nothing'",
        "ALTER ROLE {role} PASSWORD 'of-mine'",
    ],
)
def test_a_new_password_ends_what_somebody_did_with_the_old(
    settings: Settings, role: str, spoilt: str
) -> None:
    """Though a transaction of theirs is open, which holds the role's row."""
    url = url_of(settings, role)
    with psycopg.connect(url) as held:
        ask(url, spoilt.format(role=role, database=OWN[role]))
        held.execute(f"ALTER ROLE {role} PASSWORD 'not-yet'")  # type: ignore[arg-type]
        reset_password(settings, role)
        with pytest.raises(psycopg.OperationalError):
            held.execute("SELECT 1")
    assert ask(url_of(settings, role), "SHOW local_preload_libraries") == [("",)]
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")
    again(settings)


@pytest.mark.parametrize(
    "change",
    [
        "SET local_preload_libraries = 'nothing_of_the_kind'",
        "SET role = 'brex_dagster'",
        "SET statement_timeout = 1",
        "SET default_transaction_read_only = on",
    ],
)
def test_dagsters_role_cannot_shut_the_owner_out_of_its_database(
    settings: Settings, change: str
) -> None:
    ask(url_of(settings, roles.STORAGE), f"ALTER DATABASE dagster {change}")
    again(settings)
    reset_password(settings, roles.STORAGE)
    assert ask(url_of(settings, roles.STORAGE), "SHOW statement_timeout") == [("0",)]
    assert ask(owner(settings).url("dagster"), "SELECT current_user = session_user") == [(True,)]


@pytest.mark.parametrize(
    "statement", ["ALTER DATABASE dagster ALLOW_CONNECTIONS false", "DROP DATABASE dagster"]
)
def test_dagsters_role_cannot_close_its_database(settings: Settings, statement: str) -> None:
    with pytest.raises(psycopg.Error, match="current"):
        ask(url_of(settings, roles.STORAGE), statement)
