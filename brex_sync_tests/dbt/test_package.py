"""The dbt package declares every table, and dbt accepts and uses it."""

import os
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from brex_sync.errors import ExportError
from brex_sync.marts.catalogue import load
from brex_sync.runtime.dbt_package import Package, write
from brex_sync.runtime.marts import keep_marts
from brex_sync.streams import STREAMS
from brex_sync.warehouse import Warehouse
from brex_sync_tests.conftest import Rig

PACKAGE = Package(
    "brex",
    tuple(STREAMS.values()),
    tuple(load().marts.values()),
    timedelta(hours=2),
    timedelta(hours=3),
)
SPENDERS = """
select u.email, t.amount_currency, sum(t.amount_minor) as minor, count(*) as times
from {{ source('brex', 'card_transactions') }} t
join {{ source('brex', 'cards') }} c on c.id = t.card_id
join {{ source('brex', 'users') }} u on u.id = c.owner_user_id
where t._deleted_at is null
group by 1, 2
"""
MONTHS = """
select month, amount_currency, sum(amount_minor) as minor
from {{ source('brex_marts', 'spend_by_month') }} group by 1, 2
"""
LIMITS = """
{{ config(materialized='table') }}
select id, card_name, _valid_from from {{ source('brex_history', 'cards') }} where _valid_to is null
"""


def tables(package: Package, source: str) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(package.files()[f"models/{source}.yml"])
    return {table["name"]: table for table in content["sources"][0]["tables"]}


def test_every_table_with_every_column_is_a_source(engine: sa.Engine) -> None:
    keep_marts(Warehouse(engine, "brex"), load())
    for schema in ("brex", "brex_history", "brex_marts"):
        declared = {
            name: [column["name"] for column in table["columns"]]
            for name, table in tables(PACKAGE, schema).items()
        }
        here = sa.inspect(engine)
        views = [*here.get_view_names(schema), *here.get_materialized_view_names(schema)]
        names = [*here.get_table_names(schema), *views]
        stored = {n: [c["name"] for c in here.get_columns(n, schema)] for n in names}
        assert declared == stored


def test_a_key_is_tested_whole_and_an_asset_is_named() -> None:
    table = tables(PACKAGE, "brex")["cash_transactions"]
    (test,) = table["data_tests"]
    assert test["unique_key"]["arguments"]["columns"] == ['"cash_account_id"', '"id"']
    assert table["config"]["meta"]["dagster"]["asset_key"] == ["brex", "cash_transactions"]


def test_another_connection_has_its_own_schemas() -> None:
    files = replace(PACKAGE, connection="acme").files()
    assert {"models/acme.yml", "models/acme_history.yml", "models/acme_marts.yml"} <= set(files)
    assert "schema: acme_history" in files["models/acme_history.yml"]
    assert "connection = 'acme'" in files["models/acme.yml"]


def test_a_package_is_written_over_and_nothing_else_is(tmp_path: Path) -> None:
    for _ in range(2):
        write(PACKAGE, tmp_path)
    mine = tmp_path / "models" / "brex.yml"
    mine.write_text("version: 2")
    before = {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ExportError, match="choose another folder"):
        write(PACKAGE, tmp_path)
    assert {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.fixture
def project(company: Rig, database_url: str, tmp_path: Path) -> Path:
    """A project of a person's own that uses the package, on a company that was synced."""
    company.sync()
    keep_marts(company.warehouse, load())
    write(PACKAGE, tmp_path / "brex_sync")
    url = sa.make_url(database_url)
    target = {
        "type": "postgres",
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
        "schema": "analytics",
        "threads": 1,
    }
    files = {
        "dbt_project.yml": {"name": "mine", "version": "1.0", "profile": "mine"},
        "packages.yml": {"packages": [{"local": "../brex_sync"}]},
        "profiles.yml": {"mine": {"target": "dev", "outputs": {"dev": target}}},
    }
    mine = tmp_path / "mine"
    (mine / "models").mkdir(parents=True)
    for name, content in files.items():
        (mine / name).write_text(yaml.safe_dump(content))
    (mine / "models" / "spenders.sql").write_text(SPENDERS)
    (mine / "models" / "limits.sql").write_text(LIMITS)
    (mine / "models" / "months.sql").write_text(MONTHS)
    return mine


def dbt(project: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [os.environ["BREX_SYNC_TEST_DBT"], "--warn-error", *words],
        cwd=project,
        env={"PATH": os.environ["PATH"], "HOME": str(project), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.dbt
def test_dbt_parses_tests_and_builds_on_it(company: Rig, project: Path) -> None:
    assert dbt(project, "deps")[0] == 0
    code, told = dbt(project, "build")
    assert code == 0, told
    with company.engine.connect() as db:
        made = db.execute(sa.text("SELECT sum(minor), sum(times) FROM analytics.spenders")).one()
        counted = db.execute(
            sa.text(
                "SELECT sum(amount_minor), count(*) FROM brex.card_transactions "
                "WHERE _deleted_at IS NULL AND card_id IN (SELECT id FROM brex.cards "
                "WHERE owner_user_id IN (SELECT id FROM brex.users))"
            )
        ).one()
        assert tuple(made) == tuple(counted)
        assert db.scalar(sa.text("SELECT count(*) FROM analytics.limits")) == company.one(
            "SELECT count(*) FROM brex.cards"
        )
        months = "SELECT sum(minor) FROM analytics.months"
        assert db.scalar(sa.text(months)) == company.one(
            "SELECT sum(amount_minor) FROM brex_marts.spend WHERE counts"
        )


@pytest.mark.dbt
def test_dbt_finds_a_row_that_is_there_twice_and_a_stream_that_is_late(
    company: Rig, project: Path
) -> None:
    assert dbt(project, "deps")[0] == 0
    code, told = dbt(project, "source", "freshness", "--select", "source:brex")
    assert code == 0, told
    with company.engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE brex.users DROP CONSTRAINT users_pkey CASCADE")
        db.exec_driver_sql("ALTER TABLE brex.users DISABLE TRIGGER USER")
        db.exec_driver_sql("INSERT INTO brex.users SELECT * FROM brex.users LIMIT 1")
        db.exec_driver_sql(
            "UPDATE brex_sync.run_streams SET finished_at = now() - interval '5 hours' "
            "WHERE stream = 'cards'"
        )
    code, told = dbt(project, "test", "--select", "source:brex.users")
    assert code == 1
    assert "Got 1 result" in told
    code, told = dbt(project, "source", "freshness", "--select", "source:brex")
    assert code == 1
    assert "ERROR STALE freshness of brex.cards" in told
