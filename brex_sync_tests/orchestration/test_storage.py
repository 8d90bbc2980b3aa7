"""Dagster's own storage, as `dagster dev` from a checkout finds it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._cli import create_dagster_cli

from brex_sync.errors import UnfitDatabase
from brex_sync.warehouse.storage import check_storage

CHECKOUT = Path(__file__).parents[2]


@dg.job
def trivial() -> None:
    @dg.op
    def nothing() -> None:
        pass

    nothing()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_runs_are_kept_in_postgres_by_a_url_with_or_without_a_driver(
    server: Any, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", f"{scheme}://{database_url.partition('://')[2]}")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        result = trivial.execute_in_process(instance=instance)
        assert result.success
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert instance.all_logs(result.run_id)


@pytest.fixture
def poor(server: Any, database_url: str) -> Iterator[str]:
    """The URL of a role that owns nothing and, since PostgreSQL 15, may make nothing."""
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("CREATE ROLE poor LOGIN PASSWORD 'poor'")
    yield re.sub(r"://[^@]*@", "://poor:poor@", database_url)
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("DROP OWNED BY poor")
        db.execute("DROP ROLE poor")


def test_a_role_that_may_make_no_tables_is_told_what_to_grant(
    poor: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnfitDatabase) as refused:
        check_storage(poor)
    grant = re.search(r"GRANT [^,]*, USAGE ON SCHEMA public TO \"poor\"", str(refused.value))
    assert grant
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute(grant[0])  # type: ignore[arg-type]
    check_storage(poor)
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", poor)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert trivial.execute_in_process(instance=instance).success
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("REVOKE CREATE ON SCHEMA public FROM poor")
    check_storage(poor)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("poor:wrong@", "the user and the password"),
        ("nobody:poor@", "the user and the password"),
    ],
)
def test_a_url_that_opens_nothing_is_said_to_be_so(poor: str, wrong: str, words: str) -> None:
    with pytest.raises(UnfitDatabase) as refused:
        check_storage(poor.replace("poor:poor@", wrong))
    assert str(refused.value).startswith("DAGSTER_POSTGRES_URL: ")
    assert f"{words} in DAGSTER_POSTGRES_URL are right" in str(refused.value)


def test_dagsters_commands_say_it_in_one_line(
    poor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", poor)
    with pytest.raises(SystemExit):
        create_dagster_cli().main(["instance", "info"])
    said = capsys.readouterr().err
    assert said.startswith("Error: DAGSTER_POSTGRES_URL: poor may make no tables in the database ")
    assert said.count("\n") == 1
