"""The running UI and service, and what others than their people may do with them."""

import json
import stat
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

from brex_sync_tests.e2e.conftest import Up
from brex_sync_tests.e2e.test_up import first_run
from brex_sync_tests.waiting import HANGS

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


def test_the_service_opens_to_no_session_and_to_no_page(up: Up) -> None:
    with logged_in(up) as person:
        for path in ("/workflows", "/proxy/brex/v2/users", "/", "/anything"):
            answer = person.get(f"{up.service}{path}", headers={"Origin": up.url})
            assert answer.status_code in (401, 404), path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "access-control-allow-origin" not in answer.headers
        body = {"inputs": {"card_id": "cucard_1"}, "confirm": True}
        ended = person.post(f"{up.service}/workflows/brex/terminate-card", json=body)
        assert ended.status_code == 401
