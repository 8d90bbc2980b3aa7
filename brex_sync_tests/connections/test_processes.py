"""Processes that share a connection, and processes that are killed while they renew it."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from brex_sync.errors import ActionNeeded
from brex_sync.warehouse.credentials import CredentialState
from brex_sync_tests.connections.conftest import Desk
from brex_sync_tests.waiting import HANGS


def start(desk: Desk, where: str = "") -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "DATABASE": desk.engine.url.render_as_string(hide_password=False),
        "HOME_OF_KEY": str(desk.home),
        "BREX": desk.url,
        "WHERE": where,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "brex_sync_tests.connections.worker"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def end_access(desk: Desk) -> None:
    """Ends the access token by the row, since a desk's clock does not reach other processes."""
    with desk.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.credentials SET access_ends_at = '2020-01-01'")
    for token, issued in list(desk.authority.access.items()):
        desk.authority.access[token] = type(issued)(
            issued.grant, desk.authority.now() - timedelta(hours=1)
        )


def killed(desk: Desk, where: str) -> None:
    process = start(desk, where)
    process.communicate("go\n", timeout=HANGS)
    assert process.returncode == -9


def test_eight_processes_that_find_the_same_ended_token_cause_one_refresh(desk: Desk) -> None:
    desk.oauth()
    end_access(desk)
    processes = [start(desk) for _ in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = {process.communicate(timeout=HANGS)[0] for process in processes}
    assert len(printed) == 1
    assert printed == {desk.secrets()["access_token"] + "\n"}
    assert desk.refreshes == [""]


def test_killed_before_the_request_nothing_is_lost(desk: Desk) -> None:
    credentials = desk.oauth()
    end_access(desk)
    killed(desk, "before")
    assert desk.refreshes == []
    credentials.access()
    assert desk.refreshes == [""]


def test_killed_once_stored_nothing_is_lost_or_asked_again(desk: Desk) -> None:
    credentials = desk.oauth()
    end_access(desk)
    killed(desk, "stored")
    credentials.access()
    assert desk.refreshes == [""]


def test_killed_between_brexs_answer_and_the_commit_is_recognised_and_said(desk: Desk) -> None:
    credentials = desk.oauth()
    end_access(desk)
    killed(desk, "after")
    assert desk.row().state is CredentialState.CONNECTED
    with pytest.raises(ActionNeeded, match="cut off before it was stored"):
        credentials.access()
    assert desk.refreshes == ["", "invalid_grant"]
    assert "cut off" in (desk.row().reason or "")
    with pytest.raises(ActionNeeded):
        credentials.access()
    assert len(desk.refreshes) == 2
