"""The commands, in processes of their own."""

import re
from pathlib import Path
from typing import Any

import pytest

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import REFUSED
from brex_sync_tests.workflows.conftest import Desk
from brex_sync_tests.workflows.killing import Ended, command

EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"


@pytest.fixture
def run(desk: Desk, leaver: str, tmp_path: Path) -> Any:
    """Runs `brex-sync workflow …`."""

    def go(*words: str, **more: Any) -> Ended:
        return command(desk.rig, tmp_path, *words, **more)

    return go


def test_a_rehearsal_prints_the_calls_and_writes_nothing(run: Any, desk: Desk) -> None:
    words = ("run", "offboard-user", "--user-id", "leaver", "--cards", "terminate")
    ended = run(*words, "--dry-run")
    assert ended.code == 0, ended.said
    assert 'disable user: PUT /v2/users/leaver {"status": "DISABLED"}' in ended.said
    assert ended.said.count("POST /v2/cards/") == 3
    assert not desk.rig.world.writes
    assert not desk.rig.rows("SELECT FROM brex_sync.workflow_runs")


def test_all_bad_lines_are_printed_and_nothing_is_written(
    run: Any, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "m.csv").write_text("expense_id,memo\ne1,\n,Taxi\n")
    ended = run("run", "set-memos", "--memos", str(tmp_path / "m.csv"))
    told = "brex-sync: line 2: memo: Field required\nline 3: expense_id: Field required\n"
    assert (ended.code, ended.said) == (1, told)
    assert not desk.rig.requests


def test_what_cannot_be_undone_is_asked_for(run: Any, desk: Desk) -> None:
    words = ("run", "terminate-card", "--card-id", "c1")
    unasked = run(*words)
    told = "brex-sync: Card c1 is ended for good. Confirm with --yes; nothing was done\n"
    assert (unasked.code, unasked.said) == (1, told)
    no = run(*words, keys="n\n")
    assert (no.code, no.said.strip()) == (1, "Card c1 is ended for good. Continue? [y/N]: Aborted.")
    assert not desk.rig.requests
    assert run(*words, keys="y\n").code == 0
    assert desk.item("cards", "c1")["status"] == "TERMINATED"


def test_what_failed_is_said_shown_and_resumed(run: Any, desk: Desk) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=403, body=REFUSED)
    )
    failed = run("run", "offboard-user", "--user-id", "leaver")
    assert failed.code == 1
    assert "Done: lock card c1\n" in failed.said
    (key,) = re.findall(r"Resume the run with: brex-sync workflow resume (\S+)", failed.said)
    assert re.search(r"disable user: PUT /v2/users/leaver answered 403: no scope \(Brex trace id "
                     r"[0-9a-f]{32}\)\n", failed.said)  # fmt: skip
    listed = run("runs").said
    assert key in listed
    assert "failed" in listed
    resumed = run("resume", key)
    assert (resumed.code, resumed.said.count("Done: ")) == (0, 3)
    shown = run("show", key).said
    assert shown.startswith("offboard-user of brex: finished; asked for by ")
    assert "PUT /v2/users/leaver → 403 PUT /v2/users/leaver answered 403" in shown
    assert len(desk.did()) == 3


def test_a_run_that_waits_says_so_and_is_resumed(run: Any, desk: Desk) -> None:
    name = ("--first-name", "Ada", "--last-name", "L", "--email", "ada@x.example")
    waits = run("run", "invite-user", *name, "--card-name", "First", "--yes")
    assert waits.code == 0, waits.said
    assert "waits until status is ACTIVE; status is INVITED (since " in waits.said
    (key,) = re.findall(r"brex-sync workflow resume (\S+)", waits.said)
    assert "waiting" in run("runs").said
    shown = run("show", key).said
    assert "Agreed to by " in shown
    assert "ada@x.example gets money to spend" in shown
    assert "next look at " in shown
    user = desk.first("users", email="ada@x.example")["id"]
    desk.rig.world.collection("users").edit(user, status="ACTIVE")
    resumed = run("resume", key)
    assert (resumed.code, "Done: issue card" in resumed.said) == (0, True)


def test_inputs_may_come_as_json(run: Any, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "vendor.json").write_text('{"company_name": "Acme", "phone": "1"}')
    given = ("run", "create-vendor", "--json", f"@{tmp_path / 'vendor.json'}")
    ended = run(*given, "--company-name", "Acme Ltd")
    assert ended.code == 0, ended.said
    assert desk.writes[0].body == {"company_name": "Acme Ltd", "phone": "1"}
    assert run("run", "create-vendor", "--json", "[]").said.startswith("brex-sync: --json: expect")


def test_the_example_in_the_documentation_works_and_is_short(
    run: Any, desk: Desk, tmp_path: Path
) -> None:
    (example,) = EXAMPLE.findall(PAGE.read_text())
    assert len(example.splitlines()) < 40
    (tmp_path / "ours.py").write_text(example)
    for key in ("r1", "r2"):
        report = desk.item("users", "leaver") | {"id": key, "manager_id": "leaver"}
        desk.rig.world.collection("users").add(report)
    own = {"BREX_SYNC_WORKFLOWS": "ours", "PYTHONPATH": str(tmp_path)}
    assert "limit-team" in run("list", **own).said
    words = ("run", "limit-team", "--manager-id", "leaver", "--monthly-limit", "500")
    ended = run(*words, "--yes", **own)
    assert ended.code == 0, ended.said
    assert sorted(desk.did()) == [("POST", "/v2/users/r1/limit"), ("POST", "/v2/users/r2/limit")]
    shown = desk.rig.rows("SELECT user_id, monthly_limit_minor FROM brex.user_limits ORDER BY 1")
    assert shown == [("r1", 50000), ("r2", 50000)]


def test_a_module_that_is_not_there_is_told(run: Any) -> None:
    ended = run("list", BREX_SYNC_WORKFLOWS="no_such_module")
    told = "brex-sync: BREX_SYNC_WORKFLOWS: no_such_module cannot be imported: No module named "
    assert (ended.code, ended.said.startswith(told)) == (1, True)


def test_a_workflow_that_is_not_there_is_told(run: Any) -> None:
    ended = run("run", "pay-somebody")
    assert ended.code == 2
    assert "No such command 'pay-somebody'" in ended.said
    assert run("resume", "none").said == "brex-sync: no workflow's run is called none\n"
