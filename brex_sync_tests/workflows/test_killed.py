"""Offboarding, killed at each of its requests in turn and continued: every write exactly once."""

from pathlib import Path

import pytest

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse.workflows import workflow_runs
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync_tests.conftest import end_leases
from brex_sync_tests.workflows.conftest import Desk
from brex_sync_tests.workflows.killing import When, command

RUN = "b7a1f6d2-3f0b-4d1c-9f64-5b1f5f0f9a77"
WORDS = ("run", "offboard-user", "--user-id", "leaver", "--cards", "terminate", "--yes")
WRITES = [
    ("POST", "/v2/cards/c1/terminate"),
    ("POST", "/v2/cards/c2/terminate"),
    ("POST", "/v2/cards/c3/terminate"),
    ("PUT", "/v2/users/leaver"),
]
REQUESTS = 3 + len(WRITES) + len(WRITES)
"""Looks, writes, and rows fetched again."""


def killed_and_continued(desk: Desk, home: Path, number: int, when: When) -> None:
    killed = command(desk.rig, home, *WORDS, "--run-id", RUN, kill=(number, when))
    assert killed.code == -9, killed.said
    end_leases(desk.rig.engine)
    known = workflow_runs.find(desk.rig.engine, RUN)
    assert known is None or known.state is RunState.INTERRUPTED
    words = ("resume", RUN) if known else (*WORDS, "--run-id", RUN)
    ended = command(desk.rig, home, *words)
    assert ended.code == 0, ended.said
    assert sorted(desk.did()) == WRITES
    assert desk.did()[-1] == WRITES[-1]
    assert desk.rig.one("SELECT state FROM brex_sync.workflow_runs") == "finished"
    assert desk.rig.rows("SELECT status FROM brex.users") == [("DISABLED",)]
    states = desk.rig.rows("SELECT id, status FROM brex.cards ORDER BY id")
    assert states == [("c1", "TERMINATED"), ("c2", "TERMINATED"), ("c3", "TERMINATED")]
    sent = desk.rig.rows("SELECT count(DISTINCT idempotency_key) FROM brex_sync.writes")
    assert sent == [(len(WRITES),)]


@pytest.mark.parametrize(
    ("number", "when"), [(4, When.AFTER), (5, When.BEFORE), (7, When.AFTER), (8, When.BEFORE)]
)
def test_killed_around_a_write_it_goes_on_and_writes_once(
    desk: Desk, leaver: str, tmp_path: Path, number: int, when: When
) -> None:
    killed_and_continued(desk, tmp_path, number, when)


@pytest.mark.crash
@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_killed_at_any_request_it_goes_on_and_writes_once(
    desk: Desk, leaver: str, tmp_path: Path, number: int, when: When
) -> None:
    killed_and_continued(desk, tmp_path, number, when)


def test_an_answer_that_breaks_off_is_asked_for_again(
    desk: Desk, leaver: str, tmp_path: Path
) -> None:
    for path in ("/v2/cards/*/terminate", "/v2/users/leaver"):
        desk.rig.faults.add(Fault(FaultKind.DROPPED, path, "P*"))
    ended = command(desk.rig, tmp_path, *WORDS)
    assert ended.code == 0, ended.said
    assert sorted(desk.did()) == WRITES
    assert desk.rig.rows("SELECT max(attempts) FROM brex_sync.writes") == [(2,)]
