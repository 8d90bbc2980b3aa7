"""What `make up` gives a newcomer, seen from outside, and what it gives others: nothing."""

import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from brex_sync_tests.e2e.conftest import Up, free_port, start, stop
from brex_sync_tests.waiting import HANGS

LAUNCH = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
TABLES = [
    "users",
    "cards",
    "card_accounts",
    "cash_accounts",
    "card_transactions",
    "cash_transactions",
    "accounts",
    "transactions",
]


def first_run(up: Up) -> str:
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        found = up.graphql("{runsOrError{... on Runs{results{runId}}}}")["runsOrError"]["results"]
        if found:
            return str(found[-1]["runId"])
        time.sleep(1)
    raise AssertionError("no run was started")


def test_the_first_sync_starts_by_itself_and_fills_every_table(up: Up) -> None:
    assert up.await_run(first_run(up)) == "SUCCESS"
    for table in TABLES:
        assert up.sql(f"select count(*) from brex.{table}")[0][0] > 0, table
    [(named,)] = up.sql(
        "select count(*) from brex.transactions where cardholder is not null "
        "and card_name is not null and account_kind = 'card'"
    )
    assert named > 0


def test_a_run_launched_over_graphql_syncs_the_streams_it_selects(up: Up) -> None:
    up.await_run(first_run(up))
    params = {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "brex_sync",
            "jobName": "brex_sync",
            "assetSelection": [{"path": ["brex", "users"]}, {"path": ["brex", "accounts"]}],
            "assetCheckSelection": [],
        },
        "runConfigData": {},
    }
    launched = up.graphql(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    assert up.await_run(run_id) == "SUCCESS"
    [(streams,)] = up.sql(
        "select array_agg(stream) from brex_sync.run_streams "
        f"where run_id = '{run_id}' and state = 'finished'"
    )
    assert streams == ["users"]


def test_materializations_carry_row_counts_and_the_tables_name(up: Up) -> None:
    up.await_run(first_run(up))
    query = """
    query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
      description kinds groupName
      owners { ... on TeamAssetOwner { team } }
      metadataEntries { label ... on TableSchemaMetadataEntry { schema { columns { name } } } }
      assetMaterializations(limit: 1) { metadataEntries {
        label ... on IntMetadataEntry { intValue } } }
      assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
        status } } } }
    } } }
    """
    node = up.graphql(query, key={"path": ["brex", "card_transactions"]})["assetNodeOrError"]
    assert {"postgres", "brex"} == set(node["kinds"])
    assert node["owners"] == [{"team": "finance-data"}]
    labels = {entry["label"] for entry in node["metadataEntries"]}
    assert {"dagster/column_schema", "dagster/table_name"} <= labels
    made = {
        e["label"]: e.get("intValue") for e in node["assetMaterializations"][0]["metadataEntries"]
    }
    live = up.sql("select count(*) from brex.card_transactions where _deleted_at is null")[0][0]
    assert made["dagster/row_count"] == live
    assert {"fetched", "inserted", "updated", "deleted", "requests", "seconds", "spend"} <= set(
        made
    )
    checks = node["assetChecksOrError"]["checks"]
    assert len(checks) == 4
    statuses = {c["name"]: c["executionForLatestMaterialization"]["status"] for c in checks}
    assert set(statuses.values()) == {"SUCCEEDED"}, statuses


def test_schedules_and_sensors_run_without_a_click(up: Up) -> None:
    query = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
      schedules { name scheduleState { status } } sensors { name sensorState { status } }
    } } } }"""
    [repository] = up.graphql(query)["repositoriesOrError"]["nodes"]
    states = {s["name"]: s["scheduleState"]["status"] for s in repository["schedules"]}
    states |= {s["name"]: s["sensorState"]["status"] for s in repository["sensors"]}
    assert states["brex_schedule"] == "RUNNING"
    assert states["brex_first_sync"] == "RUNNING"
    assert set(states.values()) == {"RUNNING"}


def test_a_second_start_with_the_same_home_says_so_in_one_line(up: Up) -> None:
    second = start(up.home, "--port", str(free_port()))
    output, _ = second.communicate(timeout=HANGS)
    assert second.returncode == 1
    assert "running already" in output
    assert "Traceback" not in output


def test_a_port_in_use_is_told_in_one_line(up: Up, tmp_path: Path) -> None:
    taken = up.url.rpartition(":")[2]
    other = start(tmp_path / "other", "--port", taken)
    output, _ = other.communicate(timeout=HANGS)
    assert other.returncode == 1
    assert f"port {taken} is in use" in output
    assert "Traceback" not in output


def test_others_can_enter_no_folder_of_the_home(up: Up) -> None:
    for folder in (one for one in up.home.iterdir() if one.is_dir()):
        assert stat.S_IMODE(folder.resolve().stat().st_mode) == 0o700, folder
    assert stat.S_IMODE(up.home.stat().st_mode) in (0o700, 0o711)


def test_no_password_is_on_any_command_line(up: Up) -> None:
    password = (up.home / "pgpass").read_text().strip().splitlines()[0].split(":")[4]
    family = psutil.Process(up.process.pid).children(recursive=True)
    assert family
    for process in family:
        try:
            assert password not in " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue


MUTATION = """mutation { launchRun(executionParams: {selector: {
  repositoryName: "__repository__", repositoryLocationName: "brex_sync", jobName: "brex_sync",
  assetSelection: [{path: ["brex", "users"]}], assetCheckSelection: []}, runConfigData: {}
}) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
"""Starts a run, wherever Dagster executes it."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def runs(up: Up) -> int:
    """How many runs there are; those that something else starts are over."""
    up.await_run(first_run(up))
    return len(up.graphql("{runsOrError{... on Runs{results{runId}}}}")["runsOrError"]["results"])


@contextmanager
def logged_in(up: Up) -> Iterator[httpx.Client]:
    """A browser that followed the address that was printed."""
    with httpx.Client(base_url=up.url, timeout=HANGS, follow_redirects=True) as browser:
        page = browser.get("/", params={"token": up.token})
        assert page.status_code == 200
        assert str(page.url) == f"{up.url}/"
        yield browser


def test_a_form_of_another_page_starts_nothing(up: Up) -> None:
    before = runs(up)
    port = up.url.rpartition(":")[2]
    address = f"/graphql?{urlencode({'query': MUTATION})}"
    with logged_in(up) as person, httpx.Client(base_url=up.url, timeout=HANGS) as nobody:
        for browser in (person, nobody):
            for origin in ("http://evil.example", "null", f"http://localhost:{port}", up.url):
                form = browser.post(address, headers={**FORM, "Origin": origin}, content=b"a=b")
                assert form.status_code in (401, 403, 415)
                sent = {"Content-Type": "text/plain; application/json", "Origin": origin}
                body = json.dumps({"query": MUTATION})
                assert browser.post("/graphql", headers=sent, content=body).is_client_error
            assert browser.get(address).is_client_error
            assert browser.post(address, json={"query": "{version}"}).is_client_error
            assert browser.get("/", headers={"Host": f"evil.example:{port}"}).status_code == 403
    assert runs(up) == before


def test_who_is_logged_in_starts_runs_from_the_ui_s_own_page(up: Up) -> None:
    before = runs(up)
    with logged_in(up) as person:
        own = {"Origin": up.url, "Sec-Fetch-Site": "same-origin"}
        answer = person.post("/graphql?op=Launch", json={"query": MUTATION}, headers=own)
    launched = answer.json()["data"]["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    assert up.await_run(launched["run"]["runId"]) == "SUCCESS"
    assert runs(up) == before + 1


def test_events_are_streamed_to_the_ui_s_own_page_alone(up: Up) -> None:
    with logged_in(up) as person:
        [cookie] = person.cookies.jar
    session = {"Cookie": f"{cookie.name}={cookie.value}"}
    with streaming(up, up.url, session) as stream:
        stream.send(json.dumps({"type": "connection_init"}))
        assert json.loads(stream.recv(timeout=HANGS)) == {"type": "connection_ack"}
    elsewhere = [("http://127.0.0.1:9", session), ("null", session), (None, session)]
    for origin, headers in [*elsewhere, (up.url, {}), (None, up.bearer)]:
        with pytest.raises(InvalidStatus, match="403"), streaming(up, origin, headers):
            pass


def streaming(up: Up, origin: str | None, headers: dict[str, str]) -> ClientConnection:
    """A WebSocket as the UI opens it, from a page and with headers."""
    return connect(
        f"ws{up.url.removeprefix('http')}/graphql",
        origin=Origin(origin) if origin else None,
        additional_headers=headers,
        subprotocols=[Subprotocol("graphql-ws")],
        proxy=None,
        open_timeout=HANGS,
    )


def test_a_session_is_not_the_token_and_the_token_is_in_no_log_and_no_command(up: Up) -> None:
    with logged_in(up) as person:
        [cookie] = person.cookies.jar
    assert cookie.value
    assert up.token not in cookie.value
    for log in (up.home / "logs").iterdir():
        assert up.token not in log.read_text(errors="replace")
        assert cookie.value not in log.read_text(errors="replace")
    for process in psutil.Process(up.process.pid).children(recursive=True):
        try:
            assert up.token not in " ".join(process.cmdline()) + str(process.environ())
        except psutil.Error:
            continue


def test_nobody_but_us_reaches_the_code_server(up: Up) -> None:
    started = [process.cmdline() for process in psutil.Process(up.process.pid).children()]
    [command] = [command for command in started if "code-server" in command]
    socket = Path(command[command.index("--socket") + 1])
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert socket.parent.stat().st_mode & 0o077 == 0


def test_the_session_of_the_ui_opens_the_company_s_page_to_its_own_origin_alone(up: Up) -> None:
    assert httpx.get(f"{up.service}/", timeout=HANGS).status_code == 401
    with logged_in(up) as person:
        page = person.get(f"{up.service}/")
        assert page.status_code == 200
        assert f'href="{up.url}/"' in page.text
        assert person.get(f"{up.service}/", headers={"Origin": up.url}).status_code == 403


def test_the_service_opens_to_no_session_and_to_no_page(up: Up) -> None:
    with logged_in(up) as person:
        for path in ("/workflows", "/proxy/brex/v2/users", "/anything"):
            answer = person.get(f"{up.service}{path}", headers={"Origin": up.url})
            assert answer.status_code in (401, 404), path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "access-control-allow-origin" not in answer.headers
        body = {"inputs": {"card_id": "cucard_1"}, "confirm": True}
        ended = person.post(f"{up.service}/workflows/brex/terminate-card", json=body)
        assert ended.status_code == 401


def test_ctrl_c_stops_everything_and_the_data_survives(up: Up) -> None:
    """The last of this file: what the others looked at has ended after it."""
    [(rows,)] = up.sql("select count(*) from brex.users")
    family = psutil.Process(up.process.pid).children(recursive=True)
    output = stop(up.process)
    assert "Traceback" not in output
    assert up.process.returncode == 0
    _, alive = psutil.wait_procs(family, timeout=HANGS)
    assert not alive, [p.cmdline() for p in alive]
    assert not (up.home / "postgres" / "postmaster.pid").exists()
    status = subprocess.run(
        [sys.executable, "-m", "brex_sync", "status"],
        env={"BREX_SYNC_HOME": str(up.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    users = next(line for line in status.stdout.splitlines() if line.startswith("users "))
    assert f" {rows} " in users
