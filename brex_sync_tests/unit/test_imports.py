"""The command line starts quickly: what is dear to import is imported where it is used."""

import subprocess
import sys

import pytest

HEAVY = ("dagster", "pandas", "numpy", "brex_sync.sandbox", "starlette", "uvicorn", "authlib")


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
    look = f"import sys, {module}; print(*sorted(set({without!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
