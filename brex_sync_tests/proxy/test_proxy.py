"""Other programs ask Brex through the service, without ever holding its token."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from starlette.responses import Response

from brex_sync.brex import client as client_module
from brex_sync.brex.allowed import Rules
from brex_sync.http_server import running
from brex_sync.sandbox import create_world
from brex_sync.sandbox.oauth import create_brex
from brex_sync.service import proxy as proxy_module
from brex_sync.warehouse.state.request_loans import RequestLedger
from brex_sync.web.headers import PROTECTING
from brex_sync_tests.proxy import conftest as hostile
from brex_sync_tests.proxy.conftest import BREX_TOKEN, LOCAL_TOKEN, Door, Hostile
from brex_sync_tests.waiting import wait_until


def answering(status: int, body: bytes = b"{}", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda brex, request: Response(body, status, named, media_type="application/json")


def test_a_read_reaches_brex_with_its_token_and_nothing_of_the_caller_s(door: Door) -> None:
    headers = {
        "Cookie": "c=1",
        "X-Http-Method-Override": "DELETE",
        "Accept-Language": "de",
        "X-Original-Url": "/v2/cards/x/pan",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "Proxy-Authorization": "Basic x",
    }
    query = "limit=2&user_id%5B%5D=a&user_id%5B%5D=b&x=%26%2F%00&empty="
    answer = door.ask("GET", f"/v2/users?{query}", headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"method": "GET"})
    ((method, target, sent, body),) = door.brex.asked
    assert (method, body) == ("GET", b"")
    path, _, asked = target.partition("?")
    assert path == "/v2/users"
    assert httpx.QueryParams(asked).multi_items() == httpx.QueryParams(query).multi_items()
    assert sent["authorization"] == f"Bearer {BREX_TOKEN}"
    assert set(sent) <= {
        "host", "accept", "accept-encoding", "connection", "user-agent", "authorization"
    }  # fmt: skip
    assert sent["host"] in door.accounts.connections["brex"].api_url


def test_a_write_is_passed_on_once_with_the_caller_s_key_or_a_new_one(door: Door) -> None:
    door.brex.how = answering(500, b'{"message":"try later"}')
    body = b'{"first_name": "Zo\xc3\xab", "n": 1.10}'
    for key in ("mine-1", None):
        sent = {"Content-Type": "application/json; charset=utf-8"}
        headers = sent | ({"Idempotency-Key": key} if key else {})
        answer = door.ask("POST", "/v2/users", content=body, headers=headers)
        assert (answer.status_code, answer.json()["message"]) == (500, "try later")
    (first, second) = door.brex.asked
    assert first[3] == second[3] == body
    assert first[2]["idempotency-key"] == "mine-1"
    assert len(second[2]["idempotency-key"]) == 36


def test_brex_s_answer_comes_back_as_it_was(door: Door) -> None:
    body = b'{"id":"x","amount":123456789012345678901234567890.10}'
    door.brex.how = answering(404, body, X_Brex_Trace_Id="trace-1", Retry_After="7", Server="b")
    answer = door.ask("GET", "/v2/users/x")
    assert (answer.status_code, answer.content) == (404, body)
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["x-brex-trace-id"], answer.headers["retry-after"]) == ("trace-1", "7")
    assert "server" not in answer.headers


def test_an_answer_without_a_body_has_none(door: Door) -> None:
    door.brex.how = answering(204, b"")
    answer = door.ask("DELETE", "/v1/vendors/x")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_neither_followed_nor_passed_on(door: Door, status: int) -> None:
    door.brex.how = hostile.redirect(status)
    answer = door.ask("GET", "/v2/users")
    assert answer.status_code == 502
    assert answer.json()["message"] == f"Brex answered {status}, which is not followed"
    assert "location" not in answer.headers
    assert not door.foreign.asked


@pytest.mark.parametrize("how", [hostile.giant, hostile.bomb])
def test_an_answer_without_measure_is_given_up(
    door: Door, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LARGEST", 2**20)
    door.brex.how = how
    answer = door.ask("GET", "/v2/users")
    assert answer.status_code == 502
    assert answer.json()["message"] == "GET /v2/users: the answer is larger than 1 MB"


def test_an_answer_that_does_not_end_is_given_up(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "PATIENCE", 0.5)
    door.brex.how = hostile.endless
    answer = door.ask("GET", "/v2/users")
    assert answer.status_code == 502
    assert answer.json()["message"] == "GET /v2/users: no answer within 0.5 s"


def test_brex_s_token_is_in_no_answer_no_log_and_no_row(
    new_door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    new_door.brex.how = hostile.echo
    answer = new_door.ask("GET", "/v2/users")
    assert answer.status_code == 400
    assert answer.json()["message"] == "Bearer [token]"
    assert BREX_TOKEN not in str(answer.headers)
    assert answer.headers["x-brex-trace-id"] == "Bearer [token]"
    assert not {"x-token", "set-cookie"} & set(answer.headers)
    (row,) = waited_for(new_door.logged)
    assert BREX_TOKEN not in str(row)
    assert BREX_TOKEN not in caplog.text
    assert LOCAL_TOKEN not in str(row)
    assert LOCAL_TOKEN not in caplog.text


def test_headers_that_mean_something_elsewhere_do_not_come_back(door: Door) -> None:
    door.brex.how = hostile.strange_headers
    answer = door.ask("GET", "/v2/users")
    assert (answer.status_code, answer.content) == (200, b"\xff\xfe")
    assert set(answer.headers) == {
        "content-type", "content-length", "date", "cache-control", "x-content-type-options",
        "retry-after", "content-security-policy", *map(str.lower, PROTECTING),
    }  # fmt: skip
    assert answer.headers["retry-after"] == "120"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_only_reads_pass_unless_the_rules_say_more(door: Door) -> None:
    door.rules(Rules())
    assert door.ask("POST", "/v2/users", json={}).status_code == 403
    assert door.ask("HEAD", "/v2/users").status_code == 403
    door.rules(Rules.of(["GET", "PUT"], ["/v2/users"]))
    assert door.ask("PUT", "/v2/users/x", json={}).status_code == 200
    answer = door.ask("GET", "/v2/cards")
    assert (answer.status_code, answer.headers["x-brex-sync"]) == (403, "refused")
    assert "not under one of those allowed: /v2/users" in answer.json()["message"]
    assert [asked[0] for asked in door.brex.asked] == ["PUT"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        (
            {
                "content": b"{}",
                "headers": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            },
            415,
        ),
        ({"json": {}, "headers": {"Idempotency-Key": "x" * 256}}, 400),
        ({"json": {}, "headers": {"Idempotency-Key": "a b"}}, 400),
        ({"json": "x" * 11 * 2**20}, 413),
        ({"content": iter([b"x" * 2**20] * 11)}, 413),
        ({"params": {"x": "y" * 9000}}, 414),
    ],
)
def test_what_is_no_proper_request_is_refused(door: Door, more: Any, status: int) -> None:
    assert door.ask("POST", "/v2/users", **more).status_code == status
    assert not door.brex.asked


def test_a_read_with_a_body_is_refused(door: Door) -> None:
    assert door.ask("GET", "/v2/users", json={}).status_code == 400


def test_an_unknown_connection_is_none(door: Door) -> None:
    headers = {"Authorization": f"Bearer {LOCAL_TOKEN}"}
    answer = httpx.get(f"{door.url}/proxy/other/v2/users", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (404, "no connection is called so")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": f"Bearer {BREX_TOKEN}"},
        {"Authorization": f"Bearer {LOCAL_TOKEN}x"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"X-Forwarded-For": "203.0.113.7"},
        {"CF-Connecting-IP": "203.0.113.7"},
    ],
)
def test_who_is_not_a_program_here_with_the_token_gets_nothing(
    door: Door, headers: dict[str, str]
) -> None:
    assert door.ask("GET", "/v2/users", headers=headers).status_code in (401, 403)
    assert not door.brex.asked


def test_where_brex_is_away_one_sentence_says_so(nowhere: Door) -> None:
    answer = nowhere.ask("GET", "/v2/users")
    assert answer.status_code == 502
    message = answer.json()["message"]
    assert message.startswith("GET /v2/users: ")
    assert "\n" not in message
    (row,) = waited_for(nowhere.logged)
    assert (row["status"], row["refused"]) == (502, message)


def test_each_request_is_noted_without_its_values_and_bodies(new_door: Door) -> None:
    new_door.brex.how = answering(201, b'{"secret":1}', X_Brex_Trace_Id="trace-9")
    headers: Any = {"User-Agent": b"payroll/1.0 \xff"}
    new_door.ask("POST", "/v2/users?email=a@b.c&limit=1", json={"name": "Zoe"}, headers=headers)
    new_door.ask("GET", "/v2/cards/x/PAN")
    new_door.ask("GET", "/v2/%00%ff")
    written, refused, odd = waited_for(new_door.logged, 3)
    assert written.pop("ms") > 0
    assert written.pop("at") is not None
    del written["id"]
    assert written == {
        "connection": "brex",
        "method": "POST",
        "path": "/v2/users",
        "parameters": ["email", "limit"],
        "status": 201,
        "refused": None,
        "bytes_in": len(json.dumps({"name": "Zoe"}, separators=(",", ":"))),
        "bytes_out": len(b'{"secret":1}'),
        "trace_id": "trace-9",
        "caller": "payroll/1.0 \\xff",
    }
    assert (refused["status"], refused["refused"]) == (403, "card numbers are never asked for")
    assert (odd["status"], odd["path"]) == (403, "/v2/%00%ff")


def test_what_is_noted_last_is_written_before_the_service_ends(
    engine: sa.Engine, tmp_path: Path
) -> None:
    brex = Hostile()
    with running(brex) as url, hostile.door_to(url, engine, tmp_path) as door:
        assert door.ask("GET", "/v2/users").status_code == 200
    assert len(door.logged()) == 1


def test_answers_do_not_wait_for_a_warehouse_that_cannot_take_notes(
    new_door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with new_door.engine.begin() as db:
        no_room = "ALTER TABLE brex_sync.proxied_requests ADD CHECK (false) NOT VALID"
        db.execute(sa.text(no_room))
    assert new_door.ask("GET", "/v2/users").status_code == 200
    waited_for(lambda: [r for r in caplog.records if "were not noted" in r.getMessage()])
    assert new_door.ask("GET", "/v2/users").status_code == 200


def test_no_more_are_let_in_than_can_be_asked_side_by_side(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_module, "AT_ONCE", 3)
    monkeypatch.setattr(proxy_module, "PATIENCE", 1.0)
    door.brex.how = hostile.endless
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.ask("GET", "/v2/users"), range(8)))
    assert sorted(a.status_code for a in answers) == [429] * 5 + [502] * 3
    assert {a.headers["retry-after"] for a in answers if a.status_code == 429} == {"1"}
    door.brex.how = None
    assert door.ask("GET", "/v2/users").status_code == 200


def test_the_sandbox_is_read_page_by_page_through_it(engine: sa.Engine, tmp_path: Path) -> None:
    world = create_world(card_transactions=250)
    app = create_brex(world)
    with (
        running(app) as url,
        hostile.door_to(url, engine, tmp_path, token="bxt_sandbox") as door,
    ):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            params = {"limit": "100", **cursor}
            page = door.ask("GET", "/v2/transactions/card/primary", params=params).json()
            seen += [item["id"] for item in page["items"]]
            if not page.get("next_cursor"):
                break
            cursor = {"cursor": page["next_cursor"]}
        lost = door.ask("GET", "/v2/users/none")
    assert len(seen) == len(set(seen)) == 250
    assert (lost.status_code, "x-brex-trace-id" in lost.headers) == (404, True)


def waited_for(found: Callable[[], list[Any]], many: int = 1) -> list[Any]:
    """What is found once there is so much of it."""
    wait_until(lambda: len(found()) >= many)
    return found()


def test_what_it_asks_comes_after_the_syncs(new_door: Door) -> None:
    assert new_door.ask("GET", "/v2/users").status_code == 200
    with new_door.engine.connect() as db:
        lent = db.execute(sa.text("SELECT DISTINCT sync FROM brex_sync.request_loans"))
        assert list(lent.scalars()) == [False]


def test_a_rate_limit_met_here_holds_the_syncs_back_too(new_door: Door) -> None:
    new_door.brex.how = answering(429, Retry_After="30")
    answer = new_door.ask("GET", "/v2/users")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    ledger = RequestLedger(new_door.engine, "brex", 1000, 60, 120)
    wait = ledger.borrow()
    assert isinstance(wait, float)
    assert 25 < wait <= 30
