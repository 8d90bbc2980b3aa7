"""Marts as assets: declared without a database, made after the tables, checked by their ties."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from brex_sync.marts.catalogue import load
from brex_sync.marts.ties import KEY
from brex_sync.orchestration.marts import UP_TO_DATE
from brex_sync_tests.conftest import Rig
from brex_sync_tests.orchestration.conftest import Build

BAD = """/*
description: Bad.
grain: One row.
key: [one]
sources: [users]
stored: false
columns: {one: One.}
*/
SELECT onne AS one FROM users
"""
READ = ("users", "departments", "expenses", "card_transactions")


def key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["brex_marts", name])


@pytest.fixture
def run(build: Build, asked: dict[str, Any], database_url: str) -> Any:
    """Runs tables and marts of `brex`, with these environment variables."""

    def go(*marts: str, tables: tuple[str, ...] = READ, **environment: str) -> Any:
        definitions = build(BREX_SYNC_DATABASE_URL=database_url, **environment)
        selection = [*(dg.AssetKey(["brex", t]) for t in tables), *map(key, marts)]
        return (
            definitions.get_repository_def()
            .get_job("brex_sync")
            .execute_in_process(asset_selection=selection, raise_on_error=False)
        )

    return go


def shown(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.path[-1]: {k: v.value for k, v in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[0] == "brex_marts"
    }


def checked(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    return {
        (c.asset_key.path[-1], c.check_name): c
        for c in result.get_asset_check_evaluations()
        if c.asset_key.path[0] == "brex_marts"
    }


def test_every_mart_is_an_asset_with_lineage_columns_and_checks(build: Build) -> None:
    definitions = build()
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    graph = definitions.resolve_asset_graph()
    checks = {(c.asset_key, c.name) for c in graph.asset_check_keys}
    for mart in load().marts.values():
        spec = specs[key(mart.name)]
        assert spec.group_name == "marts"
        assert spec.kinds == {"postgres", "table" if mart.stored else "view"}
        assert mart.grain in str(spec.description)
        assert {dep.asset_key.path[-1] for dep in spec.deps} == set(mart.sources)
        columns = spec.metadata["dagster/column_schema"].columns
        assert {column.name for column in columns} == set(mart.columns)
        assert {(spec.key, n) for n in (UP_TO_DATE, KEY, *mart.ties)} <= checks


def test_a_connection_with_few_streams_has_the_marts_that_read_them(build: Build) -> None:
    specs = build(BREX_SYNC_STREAMS="users").resolve_all_asset_specs()
    marts = {spec.key.path[-1]: spec for spec in specs if spec.key.path[0] == "brex_marts"}
    assert "people" in marts
    assert "calendar" not in marts
    assert {dep.asset_key.path[-1] for dep in marts["people"].deps} == {"users"}


def test_a_run_makes_marts_after_the_tables_and_their_ties_hold(run: Any, company: Rig) -> None:
    result = run("spend", "people")
    assert result.success
    made = shown(result)
    assert set(made) == {"spend", "people"}
    assert made["people"]["dagster/row_count"] == company.one("SELECT count(*) FROM brex.users")
    types = {c.name: c.type for c in made["spend"]["dagster/column_schema"].columns}
    assert types["amount"] == "numeric"
    assert types["amount_minor"] == "bigint"
    assert types["spend_date"] == "date"
    found = checked(result)
    assert {mart for mart, _ in found} == {"spend", "people"}
    assert all(check.passed for check in found.values()), found
    again = run("spend", tables=())
    assert shown(again)["spend"]["as_of"] == made["spend"]["as_of"]
    assert all(check.passed for check in checked(again).values())


def test_a_run_of_tables_alone_makes_no_mart(run: Any, company: Rig) -> None:
    assert run(tables=("users",)).success
    assert company.one("SELECT to_regnamespace('brex_marts') IS NULL")


def test_a_bad_file_fails_its_mart_alone(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "marts"
    folder.mkdir()
    path = folder / "mine.sql"
    for text, told in ((BAD, 'column "onne" does not exist'), ("SELECT 1", "a header")):
        path.write_text(text)
        result = run("mine", "people", tables=("users",), BREX_SYNC_MARTS=str(folder))
        assert result.success
        assert set(shown(result)) == {"people"}
        check = checked(result)["mine", UP_TO_DATE]
        assert not check.passed
        assert check.severity is dg.AssetCheckSeverity.ERROR
        assert told in str(check.description)
        assert path.name in str(check.description)
        assert checked(result)["people", UP_TO_DATE].passed


def test_a_broken_tie_is_red_with_the_rows_that_break_it(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "marts"
    folder.mkdir()
    text = load().marts["people"].path.read_text()
    (folder / "people.sql").write_text(
        text.replace(
            "WHERE u._deleted_at IS NULL", "WHERE u._deleted_at IS NULL AND u.id < 'cuuser_00001'"
        )
    )
    result = run("people", tables=("users",), BREX_SYNC_MARTS=str(folder))
    assert result.success
    check = checked(result)["people", "every_user_is_here"]
    assert not check.passed
    broken = check.metadata["rows_that_break_it"].value
    assert f"{broken} rows break it" in str(check.description)
    assert len(check.metadata["first_rows"].value) == min(10, broken)
    assert checked(result)["people", KEY].passed
