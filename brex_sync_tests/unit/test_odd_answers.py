"""Redirects, answers without content, and delays that are none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient, BrexRequest, Meter, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.strict_json import read_item
from brex_sync.errors import (
    BrexError,
    NoContent,
    RateLimited,
    ServerFault,
    Transient,
    UnusableAnswer,
)

PATIENCE = Patience(deadline=5, attempts=4, total=5, first=0.001, longest=0.002)
PARAMS = {"cursor": "c1", "expand[]": ["a", "b"]}
ITEM = httpx.Response(200, content=b'{"id":"x"}')


class Brex(httpx.MockTransport):
    """Gives one answer after the other, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        super().__init__(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    @property
    def urls(self) -> list[str]:
        return [str(request.url) for request in self.asked]


class Limiter(RateLimiter):
    """Notes the pauses that are asked for, and waits for none."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def with_client(
    brex: Brex, how: Callable[[BrexClient], Awaitable[Any]], limiter: RateLimiter | None = None
) -> Any:
    async def go() -> Any:
        endpoint = BrexApi("https://api.brex.test", lambda: "bxt_secret")
        async with BrexClient(endpoint, limiter or RateLimiter(), PATIENCE, brex) as client:
            return await how(client)

    return asyncio.run(go())


def get(brex: Brex, limiter: RateLimiter | None = None) -> Any:
    return with_client(
        brex, lambda client: client.get("/v2/x%2Fy", PARAMS, read_item, Meter()), limiter
    )


def to(location: str, status: int = 308) -> httpx.Response:
    return httpx.Response(status, headers={"Location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "then"),
    [
        ("/v3/x%2Fy?cursor=c2&k=1&k=2", "https://api.brex.test/v3/x%2Fy?cursor=c2&k=1&k=2"),
        ("https://api.brex.test:443/v3/x%2Fy?a=1", "https://api.brex.test/v3/x%2Fy?a=1"),
        ("/v3/x%2Fy", "https://api.brex.test/v3/x%2Fy?cursor=c1&expand%5B%5D=a&expand%5B%5D=b"),
        ("x%2Fy/?a=1", "https://api.brex.test/v2/x%2Fy/?a=1"),
    ],
)
def test_a_redirect_on_brexs_own_host_is_followed(status: int, location: str, then: str) -> None:
    brex = Brex(to(location, status), ITEM)
    assert get(brex).items == (b'{"id":"x"}',)
    assert brex.urls[1:] == [then]
    assert brex.asked[1].headers["authorization"] == "Bearer bxt_secret"


@pytest.mark.parametrize(
    "location",
    [
        "https://login.brex.test/v3/x%2Fy",
        "http://api.brex.test/v3/x%2Fy",
        "https://api.brex.test:8443/v3/x%2Fy",
        "//api.brex.test.evil.test/v3/x%2Fy",
        "https://api.brex.test@evil.test/v3/x%2Fy",
        "https://evil.test\\@api.brex.test/v3/x%2Fy",
        "ftp://api.brex.test/v3/x%2Fy",
        "/v2/users",
        "/v2/y",
        "/",
        "/v2/cards/c1/pan",
        "/v2/cards/c1/%70an",
        "https://[::1",
        "",
    ],
)
def test_a_redirect_to_anywhere_else_is_not(location: str) -> None:
    brex = Brex(to(location))
    with pytest.raises(Transient):
        get(brex)
    assert {request.url.host for request in brex.asked} == {"api.brex.test"}
    assert set(brex.urls) == {brex.urls[0]}, "it was followed"
    assert not any("pan" in request.url.path for request in brex.asked)


def test_redirects_that_do_not_end_are_no_answer() -> None:
    brex = Brex(to("/v2/x%2Fy"))
    with pytest.raises(UnusableAnswer, match="308"):
        get(brex)
    assert len(brex.asked) == 4 * PATIENCE.attempts


@pytest.mark.parametrize(
    ("status", "key", "followed"),
    [(307, "k", True), (308, "k", True), (308, None, False), (302, "k", False), (303, "k", False)],
)
def test_a_write_follows_only_where_it_stays_the_same_and_is_done_once(
    status: int, key: str | None, followed: bool
) -> None:
    brex = Brex(to("/v3/users", status), ITEM)
    call = BrexRequest("POST", "/v2/users", body=b"{}", idempotency_key=key)
    reply = with_client(brex, lambda client: client.exchange(call, Meter()))
    assert (reply.status, len(brex.asked)) == ((200, 2) if followed else (status, 1))
    for request in brex.asked:
        assert (request.method, request.content) == ("POST", b"{}")
        assert request.headers.get("idempotency-key") == key


@pytest.mark.parametrize("status", [204, 205])
def test_an_answer_without_content_is_asked_for_once_more(status: int) -> None:
    brex = Brex(httpx.Response(status))
    with pytest.raises(NoContent, match=str(status)):
        get(brex)
    assert len(brex.asked) == 2
    assert get(Brex(httpx.Response(status), ITEM)).items == (ITEM.content,)


@pytest.mark.parametrize("status", [408, 425])
def test_a_request_that_came_too_late_or_too_early_is_made_again(status: int) -> None:
    assert get(Brex(httpx.Response(status), ITEM)).items == (ITEM.content,)
    brex = Brex(httpx.Response(status))
    with pytest.raises(ServerFault):
        get(brex)
    assert len(brex.asked) == PATIENCE.attempts


@pytest.mark.parametrize(
    ("told", "longest"),
    [
        ("1795834000", 120),
        ("9" * 400, 120),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 120),
        ("121", 120),
        ("-5", 1),
        ("nan", 1),
        ("soon", 1),
        ("Thu, 01 Jan 99999 00:00:00 GMT", 1),
        ("", 1),
    ],
)
def test_a_delay_that_is_none_is_capped_and_noted(
    told: str, longest: float, caplog: pytest.LogCaptureFixture
) -> None:
    limiter, bare = Limiter(), BrexRequest("POST", "/v2/users", body=b"{}")
    brex = Brex(httpx.Response(429, headers={"Retry-After": told}))
    reply = with_client(brex, lambda client: client.exchange(bare, Meter()), limiter)
    assert reply.status == 429
    assert max(limiter.pauses) <= longest
    assert "is no delay up to 120 s" in caplog.text
    assert isinstance(reply.refusal(bare), RateLimited)


def test_nothing_shows_the_token_a_redirect_repeats() -> None:
    brex = Brex(to("https://elsewhere.test/?token=bxt_secret"))
    with pytest.raises(BrexError) as refused:
        get(brex)
    assert "bxt_secret" not in str(refused.value)
