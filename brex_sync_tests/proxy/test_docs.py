"""The examples of docs/requests.md do what the page says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from brex_sync.brex.allowed import Rules
from brex_sync.connections.declared import connection_of
from brex_sync.http_server import running
from brex_sync.sandbox import create_world
from brex_sync.sandbox.oauth import create_brex
from brex_sync.service.access import FILE, local_token
from brex_sync.settings import Settings, load_settings
from brex_sync_tests.proxy.conftest import LOCAL_TOKEN, door_to

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "requests.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def machine(database_url: str, engine: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a person with a sandbox and a service that run."""
    home = tmp_path / ".brex-sync"
    token = local_token(Settings(_env_file=None, BREX_SYNC_HOME=home))
    (home / FILE).write_text(LOCAL_TOKEN)
    assert token != LOCAL_TOKEN
    command = tmp_path / "bin" / "brex-sync"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m brex_sync "$@"\n')
    command.chmod(0o755)
    app = create_brex(create_world(card_transactions=250))
    with running(app) as brex, door_to(brex, engine, home, token="bxt_sandbox") as door:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
        yield kept | {
            "HOME": str(tmp_path),
            "PATH": f"{command.parent}:{kept['PATH']}",
            "PYTHONPATH": str(ROOT),
            "BREX_CONFIGURATION": "sandbox",
            "BREX_API_URL": brex,
            "BREX_SYNC_DATABASE_URL": database_url,
            "SERVICE": door.url,
        }


def done(command: list[str], machine: dict[str, str], typed: str) -> str:
    at_home = machine["HOME"]
    ended = subprocess.run(
        command, input=typed, env=machine, cwd=at_home, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{typed}\n{ended.stderr}"
    return ended.stdout


def test_the_commands_run(machine: dict[str, str]) -> None:
    printed = [
        done(["sh", "-e"], machine, text.replace("http://127.0.0.1:8787", machine["SERVICE"]))
        for text in examples("sh")
    ]
    me, every, vendor, users = printed
    assert '"id": "cuuser_' in me
    assert len(every.splitlines()) == 250
    assert "Papierhaus" in vendor
    assert users.startswith('{"items":')


def test_the_programs_run(machine: dict[str, str]) -> None:
    one_line, looped, asynchronous, _ = (
        done([sys.executable, "-"], machine, text) for text in examples("python")
    )
    assert "@" in one_line
    assert "answered 404" in looped
    assert "ncard_" in asynchronous


def test_the_asset_is_made(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in machine.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    *_, text = examples("python")
    names: dict[str, Any] = {"__name__": "example"}
    exec(text, names)  # noqa: S102
    defs = names["defs"]
    assert isinstance(defs, dg.Definitions)
    result = dg.materialize(list(defs.assets or []), resources=defs.resources)
    assert result.output_for_node("open_cards") > 0
    load_settings.cache_clear()


def test_the_declaration_is_one(tmp_path: Path) -> None:
    (text,) = examples("yaml")
    entry = yaml.safe_load(text)["connections"]["brex"]
    connection = connection_of(Settings(_env_file=None, BREX_SYNC_HOME=tmp_path), "brex", entry)
    assert connection.rules == Rules(frozenset({"GET", "POST"}), ("/v2/users", "/v1/expenses"))


def test_the_question_to_the_log_can_be_asked(engine: Any) -> None:
    (text,) = examples("sql")
    with engine.connect() as db:
        assert db.exec_driver_sql(text).all() == []
