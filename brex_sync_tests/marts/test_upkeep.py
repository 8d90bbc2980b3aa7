"""Marts in Postgres: made as declared, left alone where nothing changed, and refreshed where it
did."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.marts.catalogue import load
from brex_sync.marts.upkeep import keep_up
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.schema import roles
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

VERSIONS = (
    "SELECT relname, oid, relfilenode FROM pg_class WHERE relnamespace = 'brex_marts'::regnamespace"
)
MINE = """/*
description: 100 % of the users' names.
grain: One row per user.
key: [id]
sources: [users]
stored: %s
columns: {id: The user., first_name: "%% of it. Personal data."}
ties:
  names_are_known:
    description: Everybody has a name.
    query: SELECT id FROM mine WHERE first_name NOT LIKE '%%'
*/
SELECT id, first_name FROM users WHERE _deleted_at IS NULL
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.sql").write_text(MINE.replace("stored: %s", "stored: true"))
    return tmp_path


def versions(rig: Any) -> set[tuple[Any, ...]]:
    return set(rig.rows(VERSIONS))


def user(rig: Any, key: str, **more: Any) -> None:
    put(rig.engine, "users", id=key, **({"first_name": key} | more))


def touch(rig: Any, table: str) -> None:
    with rig.engine.begin() as db:
        db.exec_driver_sql(f"UPDATE brex.{table} SET _changed_at = now()")


def test_where_nothing_changed_nothing_is_written(fresh: Any) -> None:
    before = versions(fresh), fresh.rows("SELECT xmin::text, ctid::text FROM brex_sync.marts")
    keep(fresh.engine)
    after = versions(fresh), fresh.rows("SELECT xmin::text, ctid::text FROM brex_sync.marts")
    assert after == before


def test_schema_relations_and_columns_say_what_they_are(fresh: Any) -> None:
    marts = load().marts
    schema = fresh.one("SELECT obj_description('brex_marts'::regnamespace, 'pg_namespace')")
    assert schema.startswith("Brex, synced by brex_sync: marts (")
    for mart in marts.values():
        name = f"brex_marts.{mart.name}"
        assert fresh.one(f"SELECT obj_description('{name}'::regclass)") == mart.comment
        found = fresh.rows(
            "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
            f"WHERE attrelid = '{name}'::regclass AND attnum > 0 ORDER BY attnum"
        )
        assert found == list(mart.columns.items())


def test_a_stored_mart_is_refreshed_when_its_tables_changed_and_no_other_is(
    fresh: Any, mine: Path
) -> None:
    user(fresh, "ada")
    keep(fresh.engine, mine)
    before = dict(fresh.rows("SELECT mart, refreshed_at FROM brex_sync.marts"))
    user(fresh, "grace")
    keep(fresh.engine, mine)
    assert fresh.rows("SELECT id FROM brex_marts.mine ORDER BY 1") == [("ada",), ("grace",)]
    after = dict(fresh.rows("SELECT mart, refreshed_at FROM brex_sync.marts"))
    changed = {name for name in after if after[name] != before[name]}
    assert {"mine", "people", "spend"} <= changed
    assert not changed & {"merchant_categories", "calendar"}


def test_a_deletion_refreshes_too(fresh: Any, mine: Path) -> None:
    user(fresh, "ada")
    keep(fresh.engine, mine)
    with fresh.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex.users SET _deleted_at = now(), _changed_at = now()")
    keep(fresh.engine, mine)
    assert fresh.rows("SELECT id FROM brex_marts.mine") == []


def test_what_a_transaction_commits_after_a_refresh_it_began_before_is_not_missed(
    fresh: Any, mine: Path
) -> None:
    keep(fresh.engine, mine)
    with fresh.engine.begin() as slow:
        slow.exec_driver_sql(
            "INSERT INTO brex.users (id, first_name, _raw, _changed_at) "
            "VALUES ('a', 'a', '{}', now())"
        )
        user(fresh, "b")
        keep(fresh.engine, mine)
    keep(fresh.engine, mine)
    assert fresh.rows("SELECT id FROM brex_marts.mine ORDER BY 1") == [("a",), ("b",)]


def test_a_mart_of_one_s_own_is_made_changed_and_dropped_with_its_file(
    fresh: Any, mine: Path
) -> None:
    user(fresh, "ada")
    keep(fresh.engine, mine)
    assert fresh.one("SELECT relkind::text FROM pg_class WHERE relname = 'mine'") == "m"
    (mine / "mine.sql").write_text(
        MINE.replace("stored: %s", "stored: false").replace("SELECT id,", "SELECT id || '!' AS id,")
    )
    keep(fresh.engine, mine)
    assert fresh.one("SELECT id FROM brex_marts.mine") == "ada!"
    assert fresh.one("SELECT relkind::text FROM pg_class WHERE relname = 'mine'") == "v"
    keep(fresh.engine)
    assert fresh.one("SELECT to_regclass('brex_marts.mine') IS NULL")
    assert fresh.one("SELECT count(*) FROM brex_sync.marts WHERE mart = 'mine'") == 0


def test_a_changed_mart_is_made_again_with_those_that_read_it_and_no_others(
    fresh: Any, tmp_path: Path
) -> None:
    before = {row[0]: row[1] for row in versions(fresh)}
    people = load().marts["people"]
    text = people.path.read_text().replace("u.status = 'ACTIVE'", "u.status <> 'DELETED'")
    (tmp_path / "people.sql").write_text(text)
    keep(fresh.engine, tmp_path)
    after = {row[0]: row[1] for row in versions(fresh)}
    again = {name for name in after if after[name] != before.get(name) and not name.endswith("x")}
    assert {"people", "spend", "merchants", "spend_by_month"} <= again
    assert not again & {"calendar", "merchant_categories"}


@pytest.mark.parametrize(
    ("select", "told"),
    [
        ("SELECT id, nome FROM users", 'column "nome" does not exist'),
        ("SELEC id", "syntax error"),
        ("SELECT id, first_name, email FROM users", "`columns` does not describe email"),
        ("SELECT id FROM users", "the SELECT has no first_name"),
        ("SELECT first_name, id FROM users", "another order"),
        ("SELECT u.id, u.first_name FROM users u, cards", "the SELECT reads cards"),
        ("SELECT id, first_name FROM users; DROP SCHEMA brex CASCADE", "syntax error"),
        (
            "SELECT id, first_name FROM users UNION ALL SELECT id, first_name FROM users",
            "duplicate",
        ),
        (
            "SELECT (1 / (count(*) - 1))::text AS id, '' AS first_name FROM users",
            "division by zero",
        ),
    ],
)
def test_what_postgres_refuses_is_the_fault_of_that_mart_alone(
    fresh: Any, mine: Path, select: str, told: str
) -> None:
    user(fresh, "ada")
    path = mine / "mine.sql"
    header = path.read_text().partition("*/")[0]
    path.write_text(f"{header}*/\n{select}")
    for _ in range(2):
        standings = keep_up(fresh.warehouse, load(mine))
        assert {name for name, one in standings.items() if one.fault} == {"mine"}
        fault = standings["mine"].fault
        assert fault.startswith(str(path))
        assert told in fault
        assert "\n" not in fault
    assert fresh.one("SELECT count(*) FROM brex_marts.people") == 1
    path.write_text(MINE.replace("stored: %s", "stored: true"))
    keep(fresh.engine, mine)


def test_a_stored_mart_may_not_read_what_does_not_tell_of_changes(fresh: Any, mine: Path) -> None:
    path = mine / "mine.sql"
    path.write_text(path.read_text() + " AND EXISTS (SELECT FROM brex_sync.closes)")
    fault = keep_up(fresh.warehouse, load(mine))["mine"].fault
    assert "nothing tells when brex_sync.closes changed" in str(fault)


def test_a_tie_that_does_not_hold_shows_its_first_rows(fresh: Any, mine: Path) -> None:
    path = mine / "mine.sql"
    path.write_text(path.read_text().replace("NOT LIKE", "LIKE"))
    for number in range(12):
        user(fresh, f"user{number:02d}")
    [tied] = keep(fresh.engine, mine)["mine"].broken.values()
    assert tied.broken == 12
    assert len(tied.rows) == 10
    assert '"id": "user00"' in " ".join(tied.rows)


def test_a_tie_that_postgres_refuses_is_a_fault(fresh: Any, mine: Path) -> None:
    path = mine / "mine.sql"
    path.write_text(path.read_text().replace("SELECT id FROM mine", "SELECT idd FROM mine"))
    fault = keep_up(fresh.warehouse, load(mine))["mine"].fault
    assert 'the tie names_are_known: Postgres: column "idd" does not exist' in str(fault)


def test_a_view_of_somebody_s_on_a_mart_is_never_dropped(fresh: Any, mine: Path) -> None:
    user(fresh, "ada")
    keep(fresh.engine, mine)
    with fresh.engine.begin() as db:
        db.exec_driver_sql("CREATE VIEW public.theirs AS SELECT * FROM brex_marts.mine")
    path = mine / "mine.sql"
    path.write_text(path.read_text().replace("SELECT id,", "SELECT id || '!' AS id,"))
    fault = keep_up(fresh.warehouse, load(mine))["mine"].fault
    assert "view public.theirs depends on" in str(fault)
    assert fresh.rows("SELECT id FROM public.theirs") == [("ada",)]
    with fresh.engine.begin() as db:
        db.exec_driver_sql("DROP VIEW public.theirs")
    keep(fresh.engine, mine)
    assert fresh.rows("SELECT id FROM brex_marts.mine") == [("ada!",)]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP VIEW brex_marts.people CASCADE",
        "DROP SCHEMA brex_marts CASCADE",
        "ALTER MATERIALIZED VIEW brex_marts.spend RENAME TO old_spend",
        "ALTER VIEW brex_marts.calendar RENAME COLUMN day TO days",
    ],
)
def test_what_somebody_did_to_the_marts_is_mended(fresh: Any, damage: str) -> None:
    with fresh.engine.begin() as db:
        db.exec_driver_sql(damage)
    keep(fresh.engine)
    assert fresh.one("SELECT count(day) FROM brex_marts.calendar") > 0
    assert fresh.one("SELECT count(*) FROM brex_marts.spend") == 0


def test_marts_do_not_stand_in_the_way_of_mending_the_tables(fresh: Any) -> None:
    with fresh.engine.begin() as db:
        db.exec_driver_sql("DROP SCHEMA brex_marts CASCADE")
        db.exec_driver_sql("DROP VIEW brex.transactions, brex.late_changes")
        db.exec_driver_sql("ALTER TABLE brex.card_transactions ALTER posted_at_date TYPE timestamp")
        db.exec_driver_sql("UPDATE brex_sync.marts SET declared = NULL")
    prepare(fresh.warehouse, STREAMS.values(), VIEWS.values())
    keep(fresh.engine)
    with fresh.engine.begin() as db:
        db.exec_driver_sql("DROP VIEW brex.accounts")
        db.exec_driver_sql("CREATE VIEW brex.accounts AS SELECT 1 AS one")
    prepare(fresh.warehouse, STREAMS.values(), VIEWS.values())
    keep(fresh.engine)
    assert fresh.one("SELECT count(*) FROM brex.accounts") == 0


def test_the_reader_may_read_marts_and_how_they_stand(server: Any) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE with_roles TEMPLATE prepared STRATEGY file_copy")
    url = str(server.url("with_roles"))
    engine = open_engine(url)
    try:
        roles.set_up(url)
        keep(engine)
        with engine.begin() as db:
            db.exec_driver_sql("SET LOCAL ROLE brex_reader")
            assert db.scalar(sa.text("SELECT count(*) FROM brex_marts.spend")) == 0
            assert db.scalar(sa.text("SELECT count(*) FROM brex_sync.marts")) == len(load().marts)
    finally:
        engine.dispose()


def test_several_connections_have_marts_of_their_own(fresh: Any) -> None:
    acme = Warehouse(fresh.engine, "acme")
    prepare(acme, STREAMS.values(), VIEWS.values())
    user(fresh, "ada")
    standings = keep_up(acme, load())
    assert not any(one.fault for one in standings.values())
    assert fresh.one("SELECT count(*) FROM acme_marts.people") == 0
    keep(fresh.engine)
    assert fresh.rows("SELECT connection FROM brex_marts.people") == [("brex",)]


def test_an_amount_of_another_currency_never_counts_as_dollars(fresh: Any) -> None:
    put(
        fresh.engine, "expenses", id="e", expense_type="CARD", payment_status="PROCESSING",
        **money("billing_amount", 500, "EUR"),
    )  # fmt: skip
    keep(fresh.engine)
    assert fresh.rows("SELECT amount_minor, amount_currency, amount_usd FROM brex_marts.spend") == [
        (500, "EUR", None)
    ]
