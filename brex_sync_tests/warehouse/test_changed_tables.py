"""Tables that people dropped, emptied, renamed or altered are mended, and hold everything again."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from brex_sync.databases import open_warehouse
from brex_sync.errors import TableMismatch, WarehouseIsNewer
from brex_sync.sandbox import create_world
from brex_sync.settings import load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare, prepare_internal
from brex_sync.warehouse.schema import versions
from brex_sync.warehouse.status.runs import status
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.worlds import trimmed

NAMES = ("users", "vendors", "departments", "card_transactions", "expenses", "user_limits")
_numbers = count()


@pytest.fixture(scope="module")
def filled(server: Any) -> Rig:
    """A company's warehouse, read once, as it is copied for each test."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE filled TEMPLATE prepared")
    engine = open_engine(server.url("filled"))
    rig = Rig(engine, trimmed(create_world(card_transactions=120)))
    assert rig.sync(*NAMES).finished
    engine.dispose()
    return rig


@pytest.fixture
def rig(server: Any, filled: Rig) -> Iterator[Rig]:
    name = f"filled{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE filled")
    engine = open_engine(server.url(name))
    filled.requests.clear()
    yield replace(filled, engine=engine)
    engine.dispose()
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")


def do(rig: Rig, *statements: str) -> None:
    with rig.engine.begin() as db:
        for statement in statements:
            db.exec_driver_sql(statement)


def assert_whole(rig: Rig, *names: str) -> None:
    """One ordinary run makes the tables equal to Brex again, and the next finds all in order."""
    report = rig.sync(*names)
    assert report.finished, {n: s.error for n, s in report.streams.items()}
    for name in names:
        assert_equal(rig, name)
        assert not rig.one("SELECT count(*) FROM brex_sync.quarantine")
    assert not rig.one("SELECT count(*) FROM brex_sync.unfilled")
    assert not rig.one("SELECT count(*) FROM brex_sync.stray_deletions")
    for table in ("users", "vendors", "expenses"):
        assert_past_is_true(rig, table)


def assert_past_is_true(rig: Rig, table: str) -> None:
    """Each live row has one open version, which is as the row is, and no other row has any."""
    live = f"SELECT id, _raw FROM brex.{table} WHERE _deleted_at IS NULL"
    last = f"SELECT id, _raw FROM brex_history.{table} WHERE _valid_to IS NULL"
    assert rig.rows(f"({last} EXCEPT ALL {live}) UNION ALL ({live} EXCEPT ALL {last})") == []


REMADE = (
    "CREATE TABLE public.card_transactions (LIKE brex.card_transactions INCLUDING ALL)",
    "INSERT INTO public.card_transactions SELECT * FROM brex.card_transactions LIMIT 7",
    "DROP TABLE brex.card_transactions CASCADE",
    "ALTER TABLE public.card_transactions SET SCHEMA brex",
)
PARTLY = (
    "CREATE TABLE public.kept AS SELECT * FROM brex.card_transactions LIMIT 3",
    "TRUNCATE brex.card_transactions",
    "INSERT INTO brex.card_transactions SELECT * FROM public.kept",
)
LOST = {
    "dropped": (
        "DROP TABLE brex.vendors CASCADE",
        "DROP TABLE brex.card_transactions CASCADE",
        "DROP TABLE brex.users, brex.user_limits CASCADE",
        "DROP TABLE brex.expenses CASCADE",
        "DROP TABLE brex.departments CASCADE",
    ),
    "emptied": (
        "DELETE FROM brex.vendors",
        "TRUNCATE brex.card_transactions, brex.users, brex.user_limits, brex.departments",
        "TRUNCATE brex.expenses",
    ),
    "renamed, moved, made again, or emptied and filled in part": (
        "ALTER TABLE brex.vendors RENAME TO vendors_of_then",
        "ALTER TABLE brex.users RENAME TO users_of_then",
        "CREATE SCHEMA archive; ALTER TABLE brex.expenses SET SCHEMA archive",
        "ALTER TABLE brex.user_limits SET SCHEMA archive",
        "DELETE FROM brex.departments",
        *REMADE,
    ),
    "a schema dropped": ("DROP SCHEMA brex CASCADE",),
    "both schemas dropped": ("DROP SCHEMA brex, brex_history CASCADE",),
}


@pytest.mark.parametrize("damage", LOST)
def test_rows_that_were_lost_are_read_again_from_the_beginning(
    rig: Rig, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    do(rig, *LOST[damage])
    prepare(rig.warehouse, STREAMS.values(), VIEWS.values())
    for name in NAMES:
        assert f"brex.{name}: the table was dropped, emptied or made again" in caplog.text
        found = status(rig.warehouse, STREAMS[name])
        assert (found.synced_at, found.synced_through) == (None, None), "it is called well"
    assert_whole(rig, *NAMES)
    caplog.clear()
    rig.sync(*NAMES)
    assert "beginning" not in caplog.text


def test_a_truncated_table_with_a_row_again_is_no_whole_one(rig: Rig) -> None:
    do(rig, *PARTLY)
    assert_whole(rig, "card_transactions")


def test_rows_deleted_in_part_are_left_to_reconciliations(rig: Rig) -> None:
    do(rig, "DELETE FROM brex.card_transactions WHERE posted_at_date < current_date - 100")
    before = rig.one("SELECT full_at FROM brex_sync.checkpoints WHERE stream = 'card_transactions'")
    rig.sync("card_transactions")
    after = rig.one("SELECT full_at FROM brex_sync.checkpoints WHERE stream = 'card_transactions'")
    assert after == before
    rig.sync("card_transactions", compare=True)
    assert_whole(rig, "card_transactions")


ALTERED = {
    "columns": (
        "ALTER TABLE brex.expenses DROP COLUMN memo CASCADE",
        "ALTER TABLE brex.card_transactions RENAME COLUMN amount TO sum",
        "ALTER TABLE brex.card_transactions DROP COLUMN description CASCADE",
        "ALTER TABLE brex.expense_receipts RENAME COLUMN _raw TO raw",
        "ALTER TABLE brex.vendors RENAME COLUMN id TO vendor",
        "UPDATE brex.departments SET description = '' WHERE description IS NULL",
        "ALTER TABLE brex.departments ALTER COLUMN description SET NOT NULL",
        "ALTER TABLE brex.expenses ALTER COLUMN _first_seen_at DROP DEFAULT",
        "ALTER TABLE brex.users DROP CONSTRAINT users_pkey",
        "DROP INDEX brex.ix_expenses_updated_at",
    ),
    "types": (
        "DROP VIEW brex.transactions, brex.late_changes",
        "ALTER TABLE brex.expenses ALTER COLUMN memo TYPE varchar(3) USING left(memo, 3)",
        "ALTER TABLE brex.card_transactions ALTER COLUMN amount TYPE numeric(12, 0)",
        "ALTER TABLE brex.card_transactions ALTER COLUMN amount_minor TYPE text",
        "ALTER TABLE brex.expenses ALTER COLUMN updated_at TYPE timestamp",
        "ALTER TABLE brex.expenses ALTER COLUMN _changed_at TYPE timestamp",
        "ALTER TABLE brex.expenses ALTER COLUMN _raw TYPE json",
    ),
    "what every row has": (
        "ALTER TABLE brex.expenses DROP COLUMN _raw CASCADE",
        "ALTER TABLE brex.vendors DROP COLUMN _deleted_at CASCADE",
        "ALTER TABLE brex.card_transactions DROP COLUMN _changed_at CASCADE",
    ),
    "views": (
        "DROP VIEW brex.transactions, brex.accounts",
        "CREATE VIEW brex.accounts AS SELECT 1 AS id, 2 AS wrong",
    ),
    "another view": (
        "CREATE OR REPLACE VIEW brex.transactions AS "
        "SELECT * FROM (TABLE brex.transactions LIMIT 0) t",
    ),
    "child tables": (
        "DROP TABLE brex.expense_receipts CASCADE",
        "TRUNCATE brex.expense_line_items",
    ),
    "a child table": ("DELETE FROM brex.expense_receipts",),
    "triggers": (
        "DROP TRIGGER keep_changed ON brex.expenses",
        "ALTER TABLE brex.vendors DISABLE TRIGGER ALL",
        "DROP FUNCTION brex_history.keep_changed_users() CASCADE",
    ),
    "the past": ("DROP SCHEMA brex_history CASCADE",),
    "tables of the past": (
        "DROP TABLE brex_history.vendors CASCADE",
        "TRUNCATE brex_history.users",
        "ALTER TABLE brex_history.expenses DROP COLUMN memo CASCADE",
        "DROP TABLE brex_history.user_limits_daily",
    ),
    "the state": ("DROP SCHEMA brex_sync CASCADE",),
    "tables of the state": (
        "DROP TABLE brex_sync.checkpoints, brex_sync.listed_keys, brex_sync.unfilled, "
        "brex_sync.known_tables, brex_sync.stray_deletions, brex_sync.stream_requests",
    ),
    "columns of the state": (
        "ALTER TABLE brex_sync.checkpoints DROP COLUMN held, DROP COLUMN window_scope",
        "ALTER TABLE brex_sync.checkpoints RENAME COLUMN window_part TO part",
        "ALTER TABLE brex_sync.checkpoints ADD COLUMN mine date",
        "ALTER TABLE brex_sync.checkpoints ALTER COLUMN listed TYPE text",
    ),
}


@pytest.mark.parametrize("damage", ALTERED)
def test_what_was_altered_is_mended(rig: Rig, damage: str) -> None:
    do(rig, *ALTERED[damage])
    expenses = rig.world.collection("expenses")
    expenses.edit(expenses.rows().ids[0], memo=f"edited after {damage}")
    assert_whole(rig, *NAMES)
    shown = "SELECT count(*), sum(amount), count(description) FROM brex.{}"
    view = rig.rows(shown.format("transactions") + " WHERE account_kind = 'card'")
    assert view == rig.rows(shown.format("card_transactions") + " WHERE _deleted_at IS NULL")
    assert rig.rows("SELECT name FROM brex.accounts") is not None


def test_changes_that_no_trigger_saw_are_in_the_past_afterwards(rig: Rig) -> None:
    do(
        rig,
        "DROP TRIGGER keep_changed ON brex.vendors",
        "UPDATE brex.vendors SET _raw = _raw || '{\"x\": 1}', _changed_at = now()",
    )
    prepare(rig.warehouse, STREAMS.values(), VIEWS.values())
    assert_past_is_true(rig, "vendors")
    ended = "SELECT bool_and(_valid_to IS NOT NULL) FROM brex_history.vendors WHERE NOT _raw ? 'x'"
    assert rig.one(ended)


def test_what_had_been_deleted_comes_back_as_deleted(rig: Rig) -> None:
    vendors = rig.world.collection("vendors")
    gone, kept = vendors.rows().ids[:2]
    vendors.delete(gone)
    rig.sync("vendors")
    rig.sync("vendors")
    before = rig.rows("SELECT id, _first_seen_at, _deleted_at FROM brex.vendors ORDER BY 1")
    assert gone in rig.gone("vendors")
    do(rig, "DROP TABLE brex.vendors CASCADE")
    assert rig.sync("vendors").finished
    after = rig.rows("SELECT id, _first_seen_at, _deleted_at FROM brex.vendors ORDER BY 1")
    assert after == before
    assert kept in rig.live("vendors")


THEIRS = (
    "ALTER TABLE brex.expenses ADD COLUMN mine text NOT NULL DEFAULT 'x', ADD COLUMN yours int, "
    "ADD COLUMN twice bigint GENERATED ALWAYS AS (2) STORED",
    "CREATE INDEX mine_too ON brex.expenses (memo)",
    "CREATE TABLE brex.budget_codes (id text)",
    "CREATE VIEW brex.mine AS SELECT t.*, e.mine FROM brex.transactions t "
    "LEFT JOIN brex.expenses e ON e.id = t.expense_id",
    "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql "
    "AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER mine BEFORE INSERT OR UPDATE ON brex.expenses FOR EACH ROW "
    "EXECUTE FUNCTION public.nothing()",
)


def test_what_people_add_stays_and_is_in_nobodys_way(rig: Rig) -> None:
    do(rig, *THEIRS)
    assert rig.sync("expenses", "card_transactions").finished
    do(rig, "COMMENT ON SCHEMA brex IS 'of an older version'")
    for _ in range(2):
        report = rig.sync("expenses", "card_transactions")
        assert report.finished
        assert not sum(s.quarantined for s in report.streams.values())
    assert rig.one("SELECT count(*) FROM brex.expenses WHERE mine = 'x' AND twice = 2")
    assert rig.one("SELECT count(*) FROM brex.mine")
    assert rig.one("SELECT to_regclass('brex.mine') IS NOT NULL")
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgname = 'mine'"
    assert rig.one(triggers) == 1


CURES = {
    "the key's column is dropped": (
        "ALTER TABLE brex.vendors DROP COLUMN id CASCADE",
        r"\"vendors\" has lost id.*drop the table",
    ),
    "the key's type is another": (
        "DROP VIEW brex.transactions, brex.accounts; "
        "ALTER TABLE brex.vendors ALTER COLUMN id TYPE varchar(80)",
        r"\"vendors\"\.id is CHARACTER VARYING\(80\).*drop the table",
    ),
    "rows are there twice": (
        "ALTER TABLE brex.vendors DROP CONSTRAINT vendors_pkey, DISABLE TRIGGER ALL; "
        "INSERT INTO brex.vendors SELECT * FROM brex.vendors",
        r"\"vendors\" is not as this version declares it.*duplicated.*drop the table",
    ),
    "another key": (
        "ALTER TABLE brex.vendors DROP CONSTRAINT vendors_pkey, ADD PRIMARY KEY (id, _changed_at)",
        r"primary key \(id, _changed_at\).*Drop that constraint",
    ),
    "a view took the place of a table": (
        "ALTER TABLE brex.vendors RENAME TO v; CREATE VIEW brex.vendors AS SELECT * FROM brex.v",
        r"\"vendors\" is a view, where brex_sync has a table",
    ),
    "a table took the place of a view": (
        "DROP VIEW brex.accounts; CREATE TABLE brex.accounts (id text)",
        r"\"accounts\" is a table, where brex_sync has a view",
    ),
    "a view of people's needs the type": (
        "DROP VIEW brex.transactions, brex.late_changes; "
        "ALTER TABLE brex.card_transactions ALTER COLUMN amount TYPE text; "
        "CREATE VIEW public.mine AS SELECT amount FROM brex.card_transactions",
        r"Postgres refuses to mend it: .*view (public\.)?mine.*Remove what is in the way",
    ),
    "a view of people's needs the view": (
        "DROP VIEW brex.accounts; CREATE VIEW brex.accounts AS SELECT 1 AS wrong; "
        "CREATE VIEW public.mine AS SELECT * FROM brex.accounts",
        r"view \"brex\"\.\"accounts\" has other columns.*mine.*Drop what depends on it",
    ),
}


@pytest.mark.parametrize("damage", CURES)
def test_what_can_not_be_mended_is_a_sentence_with_the_cure(rig: Rig, damage: str) -> None:
    statement, sentence = CURES[damage]
    do(rig, statement)
    with pytest.raises(TableMismatch, match=sentence) as told:
        rig.sync("vendors")
    assert "\n" not in str(told.value)


def test_code_older_than_the_warehouse_is_refused(rig: Rig, clean_environment: None) -> None:
    do(
        rig,
        "INSERT INTO brex_sync.schema_versions (number, package) VALUES (99, '7.1.0')",
        "DROP TABLE brex.vendors CASCADE",
    )
    for prepared in (
        lambda: prepare(rig.warehouse, STREAMS.values(), VIEWS.values()),
        lambda: prepare_internal(rig.engine),
        lambda: rig.sync("vendors"),
    ):
        with pytest.raises(WarehouseIsNewer, match=r"brex_sync 7\.1\.0.*upgrade"):
            prepared()
    url = SecretStr(rig.engine.url.render_as_string(hide_password=False))
    newer = load_settings().model_copy(update={"database_url": url})
    with (
        pytest.raises(WarehouseIsNewer, match=r"brex_sync 7\.1\.0.*upgrade"),
        open_warehouse(newer, "brex") as opened,
    ):
        status(opened, STREAMS["vendors"])
    assert rig.one("SELECT to_regclass('brex.vendors')") is None
    assert not rig.requests


def test_an_older_warehouse_is_noted_as_of_this_version(rig: Rig) -> None:
    do(rig, "DROP TABLE brex_sync.schema_versions", "COMMENT ON SCHEMA brex_sync IS 'older'")
    prepare_internal(rig.engine)
    assert rig.one("SELECT max(number) FROM brex_sync.schema_versions") == versions.NUMBER
