"""Secrets are where they must be and nowhere else: all that is kept or shown is searched."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from brex_sync.sandbox.app import TokenPermissions
from brex_sync_tests.connections.conftest import consent
from brex_sync_tests.connections.test_commands import question
from brex_sync_tests.e2e.account import Account, account, words_with
from brex_sync_tests.e2e.conftest import Up, await_ready, stop
from brex_sync_tests.e2e.test_up import LAUNCH, first_run
from brex_sync_tests.waiting import HANGS

ALLOWED = (
    "encryption.key",
    "pgpass",
    "pgpass-brex_dagster",
    "pgpass-brex_reader",
    "pgpass-brex_writer",
    "ui-token",
)
"""Files that are there to hold a secret."""
NOT_SECRET = "Run `brex-sync connect brex`"
"""Must be found where secrets must not: else the search does not look there."""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Account, Up]]:
    """An account in use: connected twice over, synced, renewed, revoked, and failing."""
    with account(tmp_path_factory.mktemp("account"), card_transactions=100) as mine:
        mine.authority.keys[mine.secrets["API key"]] = TokenPermissions()
        connecting = mine.start("connect", "--configuration", "brex")
        httpx.get(consent(question(connecting)))
        mine.printed.append(connecting.communicate(timeout=HANGS)[0])
        mine.run(
            "connect", "by_key", "--configuration", "brex-api-key",
            typed=mine.secrets["API key"] + "\n",
        )  # fmt: skip
        process = mine.start("up")
        try:
            up = await_ready(process, mine.home)
            assert up.await_run(first_run(up)) == "SUCCESS"
            mine.pass_time(days=2)
            assert up.await_run(launch(up, "brex_sync", "users")) == "SUCCESS"
            mine.authority.revoke_everything()
            assert up.await_run(launch(up, "brex_sync", "users")) == "FAILURE"
            assert up.await_run(launch(up, "by_key_sync", "users")) == "FAILURE"
            up.await_run(launch(up, "brex_keepalive", "connection"))
            knock(mine, up)
            for command in ("connections", "status", "sync"):
                code, _ = mine.run(command)
                assert code == 1
            yield mine, up
        finally:
            mine.printed.append(stop(process))


def knock(mine: Account, up: Up) -> None:
    """Sends secrets to every door of the service and the UI, as somebody does by mistake."""
    told = words_with(mine.secrets)
    token = (mine.home / "service-token").read_text().strip()
    bearer = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=up.service, timeout=HANGS) as service:
        assert service.post("/webhooks/brex", content=told).is_client_error
        asked = service.get("/proxy/by_key/v2/users", params={"note": told}, headers=bearer)
        assert asked.status_code >= 400
        asking = {"inputs": {"user_id": told}, "connection": "by_key"}
        assert service.post("/workflows/lock-card", json=asking, headers=bearer).is_client_error
        assert service.get(f"/{told}", headers={"Authorization": told}).is_client_error
    assert httpx.get(f"{up.url}/login", params={"token": told}, timeout=HANGS).status_code < 500
    query = "query($x: ID!){runOrError(runId: $x){__typename}}"
    up.graphql(query, x=told)


def launch(up: Up, job: str, asset: str) -> str:
    connection = job.removesuffix("_sync").removesuffix("_keepalive")
    params = {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "brex_sync",
            "jobName": job,
            "assetSelection": [{"path": [connection, asset]}],
            "assetCheckSelection": None if asset == "connection" else [],
        },
        "runConfigData": {},
    }
    launched = up.graphql(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def planted(mine: Account) -> dict[str, str]:
    """Every secret there is, by what it is."""
    issued = {
        "access token": mine.authority.access,
        "refresh token": mine.authority.refresh,
        "used refresh token": mine.authority.used,
    }
    found = {f"{what} {n}": t for what, ts in issued.items() for n, t in enumerate(ts)}
    found |= mine.secrets
    found["encryption key"] = (mine.home / "encryption.key").read_text().strip()
    found["UI token"] = (mine.home / "ui-token").read_text().strip()
    assert len(found) >= 8
    return found


def assert_clean(mine: Account, where: str, text: str | bytes) -> None:
    raw = text.encode() if isinstance(text, str) else text
    leaked = [what for what, secret in planted(mine).items() if secret.encode() in raw]
    assert not leaked, f"{leaked} in {where}"


def test_tokens_were_used_renewed_and_refused(used: tuple[Account, Up]) -> None:
    """Else the search below would find nothing for want of anything to find."""
    mine, _ = used
    assert mine.refreshes[0] == ""
    assert mine.refreshes.count("invalid_grant") == 1
    assert len(mine.alerts) == 2
    assert_clean(mine, "the alerts", b"".join(mine.alerts))


def test_no_file_holds_one_except_those_made_for_it(used: tuple[Account, Up]) -> None:
    mine, _ = used
    places = (mine.home, (mine.home / "postgres").resolve())
    found = False
    for path in (path for place in places for path in place.rglob("*")):
        if path.is_file() and path.name not in ALLOWED:
            content = path.read_bytes()
            found |= NOT_SECRET.encode() in content
            assert_clean(mine, str(path), content)
    assert found


def test_no_row_of_any_table_holds_one(used: tuple[Account, Up]) -> None:
    mine, _ = used
    host, port, _, user, password = (mine.home / "pgpass").read_text().split("\n")[0].split(":")
    found = set()
    for database in ("brex", "dagster"):
        with psycopg.connect(
            host=host, port=port, user=user, password=password, dbname=database
        ) as db:
            tables = db.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            for (table,) in tables:
                for (row,) in db.execute(f"SELECT t::text FROM {table} t"):  # type: ignore[arg-type]
                    found |= {database} if NOT_SECRET in row or "Northwind" in row else set()
                    assert_clean(mine, table, row)
    assert found == {"brex", "dagster"}


EVERYTHING = (
    "{runsOrError(limit: 50){... on Runs{results{runId runConfigYaml tags{key value} status "
    "stats{... on PythonError{message stack}} eventConnection{events{__typename "
    "... on MessageEvent{message} "
    "... on ExecutionStepFailureEvent{error{message stack causes{message stack}}}}}}}}}",
    "{instance{info daemonHealth{allDaemonStatuses{daemonType lastHeartbeatErrors{message}}}}}",
    "{assetNodes{assetKey{path} description metadataEntries{label description "
    "... on TextMetadataEntry{text} ... on JsonMetadataEntry{jsonString}} "
    "assetMaterializations{metadataEntries{label description ... on TextMetadataEntry{text} "
    "... on JsonMetadataEntry{jsonString} ... on MarkdownMetadataEntry{mdStr}}}}}",
    "{workspaceOrError{... on Workspace{locationEntries{name displayMetadata{key value}}}}}",
    "{repositoriesOrError{... on RepositoryConnection{nodes{sensors{name sensorState{ticks"
    "{skipReason logKey error{message stack}}}} schedules{name scheduleState{ticks"
    "{skipReason error{message stack}}}}}}}}",
)


@pytest.mark.parametrize("query", EVERYTHING)
def test_no_answer_of_the_ui_holds_one(used: tuple[Account, Up], query: str) -> None:
    mine, up = used
    answer = up.graphql(query)
    assert len(json.dumps(answer)) > 50
    assert_clean(mine, query, json.dumps(answer))


def test_no_process_shows_one(used: tuple[Account, Up]) -> None:
    mine, up = used
    family = [psutil.Process(up.process.pid)]
    family += family[0].children(recursive=True)
    assert len(family) > 4
    for process in family:
        try:
            shown = " ".join(process.cmdline()), json.dumps(process.environ())
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        assert "BREX_SYNC_HOME" in shown[1] or "brex_sync" in shown[0] or "postgres" in shown[0]
        assert_clean(mine, f"process {process.name()}", "\n".join(shown))


def test_no_command_printed_one(used: tuple[Account, Up]) -> None:
    mine, _ = used
    assert NOT_SECRET in "".join(mine.printed)
    assert_clean(mine, "what commands printed", "\n".join(mine.printed))


def test_a_crash_prints_none(used: tuple[Account, Up], tmp_path: Path) -> None:
    """A fault nobody foresaw, in a request that carries a token, with its traceback."""
    mine, _ = used
    mine.authority.keys[mine.secrets["API key"]] = TokenPermissions()
    (tmp_path / "sitecustomize.py").write_text(
        "import httpx\n"
        "def crash(self, request, **_):\n"
        "    raise RuntimeError('nobody foresaw this')\n"
        "httpx.AsyncClient.send = crash\n"
    )
    environment: dict[str, Any] = mine.environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    mine.environment = lambda: environment  # type: ignore[method-assign]
    code, printed = mine.run(
        "connect", "again", "--configuration", "brex-api-key",
        typed=mine.secrets["API key"] + "\n",
    )  # fmt: skip
    assert code != 0
    assert "nobody foresaw this" in printed
    assert_clean(mine, "a traceback", printed)
