"""Writes: repeated only where that does nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from brex_sync.brex.client import BrexApi, BrexClient, BrexRequest, Meter, Patience, Reply
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.errors import Refused, ServerFault, Unreachable, UnusableAnswer

PATIENCE = Patience(deadline=1, attempts=3, total=5, first=0.001, longest=0.002)
KEYED = BrexRequest("POST", "/v2/users", body=b'{"first_name":"Zo\xc3\xab"}', idempotency_key="k1")
BARE = BrexRequest("POST", "/v2/users", body=b"{}")


SAID = {"type": "SOME_KIND", "message": "so it is"}


class Brex:
    """Answers one status after the other, the last one for ever, and keeps what it was asked."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        self.asked.append((request.method, dict(request.headers), await request.body()))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            await asyncio.sleep(30)
        return JSONResponse(SAID, status, headers={"X-Brex-Trace-Id": "t1"})


def ask(brex: Brex, how: Callable[[BrexClient], Awaitable[Reply]], **more: Any) -> Reply:
    async def go() -> Reply:
        async with BrexClient(
            BrexApi("http://brex.test", lambda: "bxt_1", **more),
            RateLimiter(),
            PATIENCE,
            httpx.ASGITransport(brex.app),
        ) as client:
            return await how(client)

    return asyncio.run(go())


def send(brex: Brex, call: BrexRequest) -> Reply:
    return ask(brex, lambda client: client.send(call, Meter()))


def test_a_write_carries_its_key_its_body_and_the_credential() -> None:
    brex = Brex(201)
    reply = send(brex, KEYED)
    assert (reply.status, reply.body, reply.trace_id) == (201, JSONResponse(SAID).body, "t1")
    ((method, headers, body),) = brex.asked
    assert (method, body) == ("POST", KEYED.body)
    assert headers["idempotency-key"] == "k1"
    assert headers["authorization"] == "Bearer bxt_1"
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_write_with_a_key_is_repeated_with_the_same_key(status: int) -> None:
    brex = Brex(status, status, 200)
    assert send(brex, KEYED).ok
    assert [headers["idempotency-key"] for _, headers, _ in brex.asked] == ["k1"] * 3


def test_a_write_without_a_key_is_repeated_only_where_brex_did_not_look_at_it() -> None:
    brex = Brex(429, 500)
    with pytest.raises(ServerFault, match=r"POST /v2/users answered 500: so it is .*trace id t1"):
        send(brex, BARE)
    assert len(brex.asked) == 2
    hung = Brex(0)
    with pytest.raises(Unreachable, match="no complete answer within 1 s"):
        send(hung, BARE)
    assert len(hung.asked) == 1


def test_a_refusal_is_not_repeated() -> None:
    brex = Brex(400)
    with pytest.raises(Refused, match="so it is"):
        send(brex, KEYED)
    assert len(brex.asked) == 1


@pytest.mark.parametrize("status", [200, 302, 400, 404, 429, 503])
def test_an_exchange_gives_brex_s_answer_as_it_is(status: int) -> None:
    brex = Brex(status)
    reply = ask(brex, lambda client: client.exchange(BARE, Meter()))
    assert (reply.status, reply.ok, len(brex.asked)) == (status, status == 200, 1)


def test_a_refused_token_is_renewed_once() -> None:
    async def other(refused: str) -> str | None:
        return "bxt_2" if refused == "bxt_1" else None

    brex = Brex(401, 200)
    brex.app = Starlette(routes=[Route("/{path:path}", _by_token, methods=["POST"])])
    assert ask(brex, lambda client: client.exchange(BARE, Meter()), renew=other).status == 200
    assert ask(brex, lambda client: client.exchange(BARE, Meter())).status == 401


async def _by_token(request: Request) -> Response:
    good = request.headers["authorization"] == "Bearer bxt_2"
    dead = {"type": "FORBIDDEN", "message": "Expired token"}
    return Response() if good else JSONResponse(dead, 401)


def test_a_write_whose_answer_does_not_show_what_it_should_is_asked_for_again() -> None:
    brex, looked = Brex(200), []

    def check(reply: Reply) -> None:
        looked.append(reply.status)
        if len(looked) < 3:
            raise UnusableAnswer("it has no id")

    assert ask(brex, lambda client: client.send(KEYED, Meter(), check)).ok
    assert [headers["idempotency-key"] for _, headers, _ in brex.asked] == ["k1"] * 3


def test_an_error_knows_the_answer_it_came_with() -> None:
    with pytest.raises(Refused) as refused:
        send(Brex(400), KEYED)
    assert refused.value.fault is not None
    assert (refused.value.fault.status, refused.value.fault.trace_id) == (400, "t1")
    with pytest.raises(Unreachable) as unreachable:
        send(Brex(0), KEYED)
    assert unreachable.value.fault is None
