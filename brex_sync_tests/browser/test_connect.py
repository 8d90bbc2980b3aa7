"""Connecting as a new user does it, in Chromium, and what three months away look like."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brex_sync.http_server import running
from brex_sync.sandbox import create_world
from brex_sync.sandbox.app import TokenPermissions
from brex_sync.sandbox.oauth import ISSUER, Authority, create_brex
from brex_sync_tests.browser.conftest import look
from brex_sync_tests.connections.test_commands import question
from brex_sync_tests.e2e.account import Account, account
from brex_sync_tests.e2e.conftest import Up, await_ready, stop
from brex_sync_tests.e2e.test_secrets import launch
from brex_sync_tests.waiting import HANGS

pytestmark = pytest.mark.browser
TRANSACTIONS = 400


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Account]:
    with account(tmp_path, card_transactions=TRANSACTIONS) as opened:
        yield opened


def approve(page: Any, connecting: subprocess.Popen[str]) -> str:
    """Clicks through Brex's page; what the command says in the end."""
    page.goto(question(connecting))
    page.get_by_text("brex_sync wants to read your account").wait_for()
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("You can close this page").wait_for()
    printed, _ = connecting.communicate(timeout=HANGS)
    assert connecting.returncode == 0, printed
    return printed


def fetched(mine: Account, connection: str) -> int:
    """Card transactions that a sync reads now."""
    code, printed = mine.run("sync", "--connection", connection, "--stream", "card_transactions")
    assert code == 0, printed
    lines = [line for line in printed.splitlines() if line.startswith("card_transactions: ")]
    return int(lines[-1].split()[1].replace(",", ""))


def test_three_ways_to_connect_and_three_months_away(stranger: Any, mine: Account) -> None:
    page = stranger
    staging = Authority(mine.secrets["client secret"])
    world = create_world(card_transactions=TRANSACTIONS)
    with running(create_brex(world, staging, rate_limit=None)) as url:
        printed = approve(page, mine.start("connect", "--configuration", "brex"))
        assert "brex is connected to Northwind Robotics, Inc." in printed
        connecting = mine.start(
            "connect", "staging", "--configuration", "brex-staging",
            BREX_API_URL=url, BREX_AUTH_URL=url + ISSUER,
        )  # fmt: skip
        assert "staging is connected to Northwind" in approve(page, connecting)
        mine.authority.keys[mine.secrets["API key"]] = TokenPermissions()
        key = mine.secrets["API key"] + "\n"
        code, printed = mine.run("connect", "by_key", "--configuration", "brex-api-key", typed=key)
        assert code == 0, printed
        for connection in ("brex", "staging", "by_key"):
            assert fetched(mine, connection) == TRANSACTIONS
        three_months_away(page, mine, staging)


def three_months_away(page: Any, mine: Account, staging: Authority) -> None:
    staging.later = mine.authority.later
    mine.pass_time(days=91)
    staging.later = mine.authority.later
    process = mine.start("up")
    try:
        up = await_ready(process, mine.home)
        assert mine.refreshes == ["invalid_grant"]
        assert len(mine.alerts) == 2
        assert any(b"brex-sync connect staging" in alert for alert in mine.alerts)
        assert up.await_run(launch(up, "brex_keepalive", "connection")) == "SUCCESS"
        page.goto(f"{up.url}/assets/brex/connection?view=checks&token={up.token}")
        page.get_by_text("nobody_needs_to_act").first.wait_for(timeout=60_000)
        page.get_by_text("Failed").first.wait_for(timeout=60_000)
        look(page, "reconnect")
        assert up.await_run(launch(up, "brex_sync", "users")) == "FAILURE"
        assert mine.run("status")[0] == 1
        approve(page, mine.start("connect"))
        approve(page, mine.start("connect", "staging"))
        assert up.await_run(launch(up, "brex_keepalive", "connection")) == "SUCCESS"
        page.goto(f"{up.url}/assets/brex/connection?view=checks")
        page.get_by_text("Passed").first.wait_for(timeout=60_000)
        for connection in ("brex", "staging", "by_key"):
            assert 0 < fetched(mine, connection) < TRANSACTIONS / 2
        assert mine.run("connections")[0] == 0
        assert len(mine.alerts) == 2
        assert mine.refreshes == ["invalid_grant"]
        added_while_running(mine, up)
    finally:
        stop(process)


def added_while_running(mine: Account, up: Up) -> None:
    """A fourth connection is there after a reload, and its first sync starts by itself."""
    key = mine.secrets["API key"] + "\n"
    mine.run("connect", "later", "--configuration", "brex-api-key", typed=key)
    up.graphql(
        'mutation { reloadRepositoryLocation(repositoryLocationName: "brex_sync") {'
        " ... on WorkspaceLocationEntry { loadStatus } } }"
    )
    deadline = time.monotonic() + HANGS
    started: list[Any] = []
    while not started and time.monotonic() < deadline:
        time.sleep(2)
        started = up.graphql(
            '{runsOrError(filter: {pipelineName: "later_sync"}) {... on Runs{results{runId}}}}'
        )["runsOrError"]["results"]
    assert up.await_run(started[0]["runId"]) == "SUCCESS"
    assert up.sql("select count(*) from later.card_transactions") == [(TRANSACTIONS,)]
