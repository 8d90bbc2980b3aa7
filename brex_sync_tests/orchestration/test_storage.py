"""Dagster's own storage, as `dagster dev` from a checkout finds it."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

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
