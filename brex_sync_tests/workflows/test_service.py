"""Workflows asked for by other programs, over the service's own app."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from brex_sync.connections.declared import Connection
from brex_sync.http_server import running
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.service import worker
from brex_sync.service import workflows as service
from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.service.reception import WebhookReceiver
from brex_sync.settings import Configuration, Settings
from brex_sync.warehouse.workflows import waits, workflow_runs
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync.workflows import load
from brex_sync_tests.conftest import REFUSED
from brex_sync_tests.waiting import HANGS
from brex_sync_tests.workflows.conftest import Desk

TOKEN = "bst_a_token_for_tests"
LOCK = {"inputs": {"card_id": "c1"}}
Talk = Callable[[httpx.AsyncClient], Awaitable[Any]]


def accounts_of(desk: Desk, home: Path, brex: str) -> Accounts:
    """What the service speaks for; `brex` is where it reaches Brex."""
    settings = Settings(
        _env_file=None,
        BREX_SYNC_HOME=home,
        BREX_SYNC_DATABASE_URL=desk.rig.engine.url.render_as_string(hide_password=False),
        BREX_SYNC_SERVICE_TOKEN=TOKEN,
    )
    connection = Connection("brex", Configuration.SANDBOX, brex, token="bxt_sandbox")
    return Accounts(settings, desk.rig.engine, {"brex": connection})


@asynccontextmanager
async def opened(desk: Desk, home: Path, brex: str) -> AsyncIterator[httpx.AsyncClient]:
    """The service, for a program of this machine."""
    accounts = accounts_of(desk, home, brex)
    transport = httpx.ASGITransport(create_service(accounts), client=("127.0.0.1", 1))
    headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "payroll/1"}
    async with (
        accounts,
        httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers, timeout=HANGS
        ) as client,
    ):
        yield client


@pytest.fixture
def talk(desk: Desk, leaver: str, tmp_path: Path) -> Callable[[Talk], Any]:
    """Lets a program of this machine talk with the service."""

    def run(said: Talk) -> Any:
        async def go() -> Any:
            async with opened(desk, tmp_path, brex) as client:
                return await said(client)

        with running(desk.rig.app) as brex:
            return asyncio.run(go())

    return run


def post(name: str, body: Any, **headers: str) -> Talk:
    return lambda client: client.post(f"/workflows/brex/{name}", json=body, headers=headers)


def test_a_workflow_is_performed_and_answered(talk: Any, desk: Desk) -> None:
    answer = talk(post("lock-card", LOCK))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["state"], said["error"], said["stale"]) == ("finished", None, [])
    assert [(step["step"], step["done"]) for step in said["steps"]] == [("lock card", True)]
    assert desk.rig.one("SELECT asked_by FROM brex_sync.writes") == "service: payroll/1"
    assert desk.rig.rows("SELECT id, status FROM brex.cards") == [("c1", "LOCKED")]


def test_past_the_deadline_there_is_a_run_to_poll(talk: Any, desk: Desk) -> None:
    desk.rig.faults.add(Fault(FaultKind.DELAY, "/v2/cards/c1/lock", "POST", seconds=1))

    async def said(client: httpx.AsyncClient) -> Any:
        first = await post("lock-card", LOCK, Prefer="respond-async, wait=0")(client)
        assert first.status_code == 202
        where = first.headers["location"]
        assert (await client.get(where)).json()["state"] == "running"
        for _ in range(100):
            shown = (await client.get(where)).json()
            if shown["state"] != "running":
                return shown
            await asyncio.sleep(0.05)

    shown = talk(said)
    assert (shown["state"], shown["steps"][0]["done"]) == ("finished", True)


def test_asked_twice_with_one_key_it_is_done_once(talk: Any, desk: Desk) -> None:
    async def said(client: httpx.AsyncClient) -> list[httpx.Response]:
        ask = post("lock-card", LOCK, **{"Idempotency-Key": "order 66"})
        first = await asyncio.gather(ask(client), ask(client))
        other = post("lock-card", {"inputs": {"card_id": "c2"}}, **{"Idempotency-Key": "order 66"})
        return [*first, await ask(client), await other(client)]

    one, two, three, other = talk(said)
    assert one.json() == two.json() == three.json()
    assert (other.status_code, other.json()["message"].partition(" was ")[2]) == (
        409,
        "started with other inputs: start another run",
    )
    assert len(desk.rig.world.writes) == 1


def test_what_failed_goes_on_when_it_is_asked_for_again(talk: Any, desk: Desk) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=403, body=REFUSED)
    )

    async def said(client: httpx.AsyncClient) -> list[httpx.Response]:
        body = {"inputs": {"user_id": "leaver"}}
        failed = await post("offboard-user", body)(client)
        again = {"Idempotency-Key": failed.json()["run"]}
        return [failed, await post("offboard-user", body, **again)(client)]

    failed, again = talk(said)
    assert (failed.status_code, failed.json()["state"]) == (422, "failed")
    assert "disable user: PUT /v2/users/leaver answered 403" in failed.json()["error"]
    assert len(failed.json()["steps"]) == 2
    assert again.status_code == 200
    assert len(again.json()["steps"]) == len(desk.did()) == 3


@pytest.mark.parametrize(
    ("name", "body", "status", "told"),
    [
        ("terminate-card", LOCK, 422, 'Card c1 is ended for good. Send "confirm": true'),
        ("lock-card", {"inputs": {}}, 422, "card_id: Field required"),
        ("lock-card", {"inputs": {"card_id": 7}}, 422, "card_id: "),
        ("lock-card", {"inputs": {"card_id": ".."}}, 422, "is no path to ask Brex for"),
        ("lock-card", {"inputs": {"card_id": "PAN"}}, 422, "is no path to ask Brex for"),
        ("lock-card", {"card_id": "c1"}, 422, "inputs: Field required"),
        ("lock-card", [1], 422, "faults"),
        ("lock-card", {"inputs": {"card_id": "x" * 5_000_000}}, 413, "4 MB"),
        ("pay-somebody", LOCK, 404, "no workflow is called pay-somebody"),
        ("set-memos", {"inputs": {"memos": "/etc/passwd"}}, 422, "files of this machine"),
        ("attach-receipts", {"inputs": {"folder": "/etc"}}, 422, "files of this machine"),
        (
            "attach-receipts",
            {"inputs": {"folder": [{"file": {"path": "/etc/passwd", "digest": ""},
                                    "expense_id": "e"}]}},
            422,
            "files of this machine",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_reasons(
    talk: Any, desk: Desk, name: str, body: Any, status: int, told: str
) -> None:
    answer = talk(post(name, body))
    assert answer.status_code == status
    assert told in answer.text.replace('\\"', '"')
    assert not desk.rig.world.writes


def test_with_the_agreement_it_is_done(talk: Any, desk: Desk) -> None:
    assert talk(post("terminate-card", LOCK | {"confirm": True})).status_code == 200
    assert desk.item("cards", "c1")["status"] == "TERMINATED"


def test_a_run_that_waits_is_polled_and_the_service_goes_on_with_it(
    talk: Any, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"first_name": "A", "last_name": "L", "email": "a@x.example", "card_name": "First"}

    async def said(client: httpx.AsyncClient) -> list[Any]:
        first = await post("invite-user", {"inputs": given, "confirm": True})(client)
        shown = (await client.get(first.headers["location"])).json()
        return [first, shown]

    first, shown = talk(said)
    assert (first.status_code, first.json()["state"], shown["state"]) == (202, *["waiting"] * 2)
    assert "waits until status is ACTIVE" in shown["waiting"]
    user = desk.first("users", email="a@x.example")["id"]
    desk.rig.world.collection("users").edit(user, status="ACTIVE")
    waits.make_due(desk.rig.engine, "brex")
    monkeypatch.setattr(worker, "LOOK_EVERY", 0.05)

    async def works(brex: str) -> None:
        accounts = accounts_of(desk, tmp_path, brex)
        async with (
            asyncio.timeout(120),
            accounts,
            worker.working(WebhookReceiver(accounts), load()),
        ):
            while workflow_runs.find(desk.rig.engine, shown["run"]).state is not RunState.FINISHED:
                await asyncio.sleep(0.05)

    with running(desk.rig.app) as brex:
        asyncio.run(works(brex))
    assert desk.did().count(("POST", "/v2/cards")) == 1


def test_a_rehearsal_writes_nothing(talk: Any, desk: Desk) -> None:
    body = {"inputs": {"user_id": "leaver"}, "dry_run": True}
    paths = [call["path"] for call in talk(post("offboard-user", body)).json()["would_be_sent"]]
    assert sorted(paths) == ["/v2/cards/c1/lock", "/v2/cards/c2/lock", "/v2/users/leaver"]
    assert not desk.rig.world.writes


def test_what_there_is_and_how_it_is_asked_for_can_be_seen(talk: Any) -> None:
    async def said(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.get("/workflows"),
            await client.get("/workflows/runs/none"),
            await client.post("/workflows/other/lock-card", json=LOCK),
            await client.post("/workflows/brex/lock-card", content=b"\xff{"),
            await client.get("/workflows", headers={"Authorization": "Bearer other"}),
        ]

    listed, unknown, other, broken, stranger = talk(said)
    schemas = {one["name"]: one["inputs"] for one in listed.json()["workflows"]}
    assert schemas["lock-card"]["required"] == ["card_id"]
    codes = [unknown.status_code, other.status_code, broken.status_code, stranger.status_code]
    assert codes == [404, 404, 400, 401]


def test_the_service_s_end_cuts_a_run_off_and_it_can_go_on(talk: Any, desk: Desk) -> None:
    desk.rig.faults.add(Fault(FaultKind.HANG, "/v2/cards/c1/lock", "POST"))
    body, once = {"inputs": {"user_id": "leaver"}}, {"Idempotency-Key": "leaver"}

    async def left(client: httpx.AsyncClient) -> str:
        said = await post("offboard-user", body, Prefer="wait=0", **once)(client)
        while len(desk.did()) < 2:
            await asyncio.sleep(0.01)
        return said.json()["run"]

    run_id = talk(left)
    assert workflow_runs.find(desk.rig.engine, run_id).state is RunState.INTERRUPTED
    again = talk(post("offboard-user", body, **once))
    assert (again.status_code, again.json()["run"]) == (200, run_id)
    assert len(desk.did()) == 3


WORDS = st.sampled_from(["inputs", "confirm", "card_id", "memos", "brex", "c1", "", "\x00", "é"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "Prefer", "User-Agent", "Content-Length"]),
    st.binary(max_size=12),
)


@given(
    st.sampled_from(["terminate-card", "set-memos", "attach-receipts", "create-vendor"]),
    JSON.map(json.dumps).map(str.encode) | st.binary(max_size=20),
    HEADERS,
    st.text(max_size=8),
)
def test_nothing_that_a_program_sends_breaks_the_service(
    desk: Desk, tmp_path: Path, name: str, body: bytes, headers: dict[str, bytes], run: str
) -> None:
    async def go() -> list[int]:
        async with opened(desk, tmp_path, "http://127.0.0.1:1") as client:
            path = f"/workflows/brex/{name}"
            sent = await client.post(path, content=body, headers=headers)
            shown = await client.get(f"/workflows/runs/{quote(run, safe='')}")
            return [sent.status_code, shown.status_code]

    assert all(400 <= status < 500 for status in asyncio.run(go()))
    assert not desk.rig.requests


def test_who_hangs_up_in_the_middle_of_a_body_leaves_no_traceback() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(service.ApiError, match="did not come to its end"):
        asyncio.run(service._read(request))
