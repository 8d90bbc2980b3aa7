"""No client of ours keeps a cookie: what one answer sets goes out with no other request."""

import ast
import asyncio
from pathlib import Path

import httpx
import pytest

import brex_sync
from brex_sync.brex.client import BrexApi, BrexClient, BrexRequest, Meter
from brex_sync.brex.cookies import no_cookies
from brex_sync.brex.rate_limit import RateLimiter

SET = "session=upstream; Path=/; Max-Age=9999"


def test_the_client_sends_none_back() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"id": "1"}, headers={"Set-Cookie": SET})

    async def go() -> None:
        endpoint = BrexApi("https://api.example.com", lambda: "token")
        transport = httpx.MockTransport(answer)
        async with BrexClient(endpoint, RateLimiter(), transport=transport) as client:
            for _ in range(3):
                await client.exchange(BrexRequest("GET", "/v2/users/me"), Meter())

    asyncio.run(go())
    assert len(asked) == 3
    assert not [request for request in asked if "cookie" in request.headers]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost:1/", "https://a.b.example/"]
)
def test_the_jar_takes_none_from_any_host(url: str) -> None:
    with httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, headers={"Set-Cookie": SET})),
        cookies=no_cookies(),
    ) as client:
        client.get(url)
        assert not list(client.cookies.jar)


def test_every_client_has_such_a_jar() -> None:
    made = []
    for path in Path(brex_sync.__file__).parent.rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "httpx.Client",
                "httpx.AsyncClient",
            ):
                made.append(path.name)
                given = {key.arg: ast.unparse(key.value) for key in node.keywords}
                assert given.get("cookies") == "no_cookies()", path
    assert len(made) >= 4
