"""Warehouses that earlier code left are upgraded, lose nothing, and are synced on."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg
import pytest

from brex_sync.connections.vault import key_file, open_vault
from brex_sync.http_server import running
from brex_sync.sandbox import Faults
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.schema import versions
from brex_sync_tests.conftest import Rig, end_leases
from brex_sync_tests.connections.conftest import Desk as Connecting
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.fixtures import warehouses
from brex_sync_tests.fixtures.warehouses import NAMES
from brex_sync_tests.webhooks.conftest import open_office
from brex_sync_tests.workflows.killing import command

CARDS = "/v2/transactions/card/primary"
READ = ("users", "cards", "departments", "vendors", "expenses")
RECORDED_REQUESTS = ("6963b21", "112cc9c")
"""Left by code that recorded what it had asked for; a window of any other begins again."""
STATE = ("runs", "run_streams", "credentials", "workflow_inputs", "workflow_runs", "workflow_steps",
         "writes", "webhook_events", "webhook_bodies", "missing_rows", "quarantine")  # fmt: skip
_numbers = count()


@pytest.fixture(scope="module", params=NAMES)
def restored(request: pytest.FixtureRequest, server: Any) -> str:
    """The name of a dump, restored into a database of its name."""
    name = str(request.param)
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f'CREATE DATABASE "as_{name}"')  # type: ignore[arg-type]
    warehouses.restore(name, server.url(f"as_{name}"))
    return name


@pytest.fixture
def rig(restored: str, server: Any) -> Iterator[Rig]:
    """A copy of the dump, three hours later."""
    copy = f"earlier{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f'CREATE DATABASE {copy} TEMPLATE "as_{restored}"')  # type: ignore[arg-type]
    engine = open_engine(server.url(copy))
    end_leases(engine)
    yield Rig(engine, warehouses.world(restored), later=timedelta(hours=3))
    engine.dispose()
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"DROP DATABASE {copy} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def home(restored: str, tmp_path: Path) -> Path:
    """A home with the key of the dump."""
    key_file(tmp_path).write_text(warehouses.key(restored))
    key_file(tmp_path).chmod(0o600)
    return tmp_path


def upgrade(rig: Rig) -> None:
    prepare(rig.warehouse, STREAMS.values(), VIEWS.values())


def contents(rig: Rig, schema: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table of a schema."""
    names = (
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(:s) AND relkind = 'r'"
    )
    return {
        table: [row for (row,) in rig.rows(f'SELECT to_jsonb(t) FROM {schema}."{table}" t')]
        for (table,) in rig.rows(names, s=schema)
    }


def assert_kept(before: dict[str, Any], after: dict[str, Any], *tables: str) -> None:
    """Every row is there with the values it had, and no other is."""
    for table in tables or before:
        columns = before[table][0].keys() if before[table] else ()
        kept = [{name: row[name] for name in columns} for row in after[table]]
        assert as_sets(kept) == as_sets(before[table]), table


def as_sets(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


def test_an_upgrade_loses_no_row_of_anything(rig: Rig) -> None:
    schemas = ("brex", "brex_history", "brex_sync")
    before = {schema: contents(rig, schema) for schema in schemas}
    upgrade(rig)
    after = {schema: contents(rig, schema) for schema in schemas}
    assert_kept(before["brex"], after["brex"])
    assert_kept(before["brex_history"], after["brex_history"])
    assert_kept(before["brex_sync"], after["brex_sync"], *STATE)
    assert rig.one("SELECT version_num FROM brex_sync.alembic_version") == versions.REVISION
    assert rig.one("SELECT max(number) FROM brex_sync.schema_versions") == versions.NUMBER


def test_an_upgraded_warehouse_is_synced_on(rig: Rig, restored: str) -> None:
    past = "SELECT id, _valid_from, _raw FROM brex_history.{} WHERE _valid_to IS NOT NULL"
    tables = ("vendors", "expenses")
    ended = {table: rig.rows(past.format(table)) for table in tables}
    deleted = "SELECT id, _deleted_at FROM brex.vendors WHERE _deleted_at IS NOT NULL"
    gone = rig.rows(deleted)
    cursor = "SELECT window_cursor FROM brex_sync.checkpoints WHERE stream = 'card_transactions'"
    left_at = rig.one(cursor)
    assert all(ended.values())
    assert len(gone) == 1
    assert left_at is not None
    report = rig.sync(*READ, "card_transactions", pages=5)
    assert report.finished, {name: s.error for name, s in report.streams.items()}
    assert_equal(rig, *READ, "card_transactions")
    for table in tables:
        assert not {*map(str, ended[table])} - {*map(str, rig.rows(past.format(table)))}
    assert (
        rig.rows("SELECT id, _deleted_at FROM brex.vendors WHERE _deleted_at IS NOT NULL") == gone
    )
    assert not rig.one("SELECT count(*) FROM brex_sync.checkpoints WHERE window_open")
    if restored in RECORDED_REQUESTS:
        assert parse_qs(rig.asked(CARDS)[0].query)["cursor"] == [left_at]
    assert not rig.one("SELECT count(*) FROM brex_sync.quarantine")


def test_a_workflow_left_half_done_is_resumed(rig: Rig, home: Path) -> None:
    sent = "SELECT path, idempotency_key, sent_at FROM brex_sync.writes ORDER BY id"
    before = rig.rows(sent)
    ended = command(rig, home, "resume", rig.one("SELECT run_id FROM brex_sync.workflow_runs"))
    assert ended.code == 0, ended.said
    done = [entry.path for entry in rig.world.writes if entry.done]
    assert done == ["/v2/cards/c1/terminate", "/v2/users/leaver"]
    after = rig.rows(sent)
    assert after[: len(before)] == before
    assert len({key for _, key, _ in after}) == len(done) + 2
    assert rig.one("SELECT state FROM brex_sync.workflow_runs") == "finished"


def test_a_sealed_credential_opens(rig: Rig, home: Path) -> None:
    upgrade(rig)
    desk = Connecting("http://brex.test", None, rig.engine, home, open_vault(home, None), Faults())
    assert desk.secrets() == {"api_key": "bxt_sandbox"}


def test_an_event_left_waiting_is_processed(rig: Rig, home: Path, clean_environment: None) -> None:
    upgrade(rig)
    user = rig.world.collection("users").rows().ids[0]
    rig.world.collection("users").edit(user, first_name="Told")
    with running(rig.app) as brex:
        url = rig.engine.url.render_as_string(hide_password=False)
        assert open_office(rig, brex, home, url).process() == 1
    told = rig.one("SELECT body::jsonb ->> 'user_id' FROM brex_sync.webhook_bodies")
    assert rig.rows("SELECT state FROM brex_sync.webhook_events") == [("done",)]
    name = rig.world.collection("users").get(told)["first_name"]
    assert rig.one("SELECT first_name FROM brex.users WHERE id = :id", id=told) == name
