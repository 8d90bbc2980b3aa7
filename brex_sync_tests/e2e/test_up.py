"""What a newcomer gets from `make up`, seen from outside."""

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil

from brex_sync_tests.e2e.conftest import Up, free_port, start
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


def test_ctrl_c_stops_everything_and_the_data_survives(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "brex_sync"]
    environment = {"BREX_SYNC_HOME": str(home), "PATH": "/usr/bin:/bin"}
    environment["BREX_SYNC_SANDBOX_PORT"] = str(free_port())
    subprocess.run([*command, "sync", "--stream", "users"], env=environment, check=True)
    process = start(home, "--port", str(free_port()))
    assert process.stdout is not None
    while "Ctrl-C stops everything" not in (line := process.stdout.readline()):
        assert line, "it ended before it was ready"
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=HANGS)
    assert "Traceback" not in output
    assert process.returncode == 0
    _, alive = psutil.wait_procs(family, timeout=HANGS)
    assert not alive, [p.cmdline() for p in alive]
    assert not (home / "postgres" / "postmaster.pid").exists()
    status = subprocess.run(
        [*command, "status"], env=environment, capture_output=True, text=True, timeout=HANGS
    )
    users = next(line for line in status.stdout.splitlines() if line.startswith("users "))
    assert " 64 " in users
