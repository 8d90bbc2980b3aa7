"""The command line starts quickly: what is dear to import is imported where it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

ENGINE = ("dagster", "pandas", "numpy", "brex_sync.sandbox", "starlette", "uvicorn", "apprise")
HEAVY = (*ENGINE, "authlib")


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("brex_sync.cli", (*HEAVY, "sqlalchemy", "psycopg", "httpx")),
        ("brex_sync.databases", HEAVY),
        ("brex_sync.runtime.streams", (*HEAVY, "sqlalchemy", "httpx")),
        ("brex_sync.runtime.simulator", HEAVY),
        ("brex_sync.connections.health", (*HEAVY, "httpx")),
    ],
)
def test_a_module_imports_nothing_dear(module: str, without: tuple[str, ...]) -> None:
    assert _loaded(f"import {module}", without) == []


def test_a_schedule_is_read_without_dagster() -> None:
    asked = "from brex_sync import cron; cron.fault('0 6 * * 1-5'); cron.longest_gap('@daily')"
    assert _loaded(asked, HEAVY) == []


@pytest.mark.usefixtures("clean_environment")
def test_status_loads_neither_dagster_nor_the_engine(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", database_url)
    monkeypatch.setenv("BREX_SYNC_SCHEDULE", "0 6 * * 1-5")
    monkeypatch.setenv("BREX_SYNC_ALERT_URLS", "json://127.0.0.1:9/never")
    asked = "from typer.testing import CliRunner as R; from brex_sync.cli import cli; "
    asked += "print('told', 'never synced' in R().invoke(cli, ['status']).output, end=' ')"
    assert _loaded(asked, ENGINE) == ["told", "True"]


def _loaded(code: str, names: tuple[str, ...]) -> list[str]:
    """What a process prints that runs the code, and which of the modules it has loaded then."""
    look = f"import sys\n{code}\nprint(*sorted(set({names!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    return found.stdout.split()
