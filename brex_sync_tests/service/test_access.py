"""What is not meant for the internet is for this machine's programs that hold its token."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.responses import PlainTextResponse

from brex_sync.service.access import FILE, LocalOnly, local_token
from brex_sync.settings import Settings

TOKEN = "bst_right"
GOOD = {"Authorization": f"Bearer {TOKEN}"}


def ask(headers: Any, peer: str = "127.0.0.1", host: str = "127.0.0.1:8787") -> httpx.Response:
    async def go() -> httpx.Response:
        app = LocalOnly(PlainTextResponse("in"), TOKEN)
        transport = httpx.ASGITransport(app, client=(peer, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            request = client.build_request("GET", "/proxy/brex/v2/users", headers=headers)
            request.headers["host"] = host
            return await client.send(request)

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("peer", "host"),
    [("127.0.0.1", "localhost:8787"), ("::1", "[::1]:8787"), ("127.0.0.9", "127.0.0.1")],
)
def test_a_program_here_that_shows_the_token_is_let_in(peer: str, host: str) -> None:
    assert ask(GOOD, peer, host).text == "in"
    assert ask({"Authorization": f"bearer {TOKEN}"}, peer, host).text == "in"


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer bst_wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_without_the_token_nothing_is_done(shown: str) -> None:
    answer = ask({"Authorization": shown})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN not in answer.text


@pytest.mark.parametrize("peer", ["10.0.0.7", "2001:db8::1", "", "testclient"])
def test_another_machine_is_refused_even_with_the_token(peer: str) -> None:
    assert ask(GOOD, peer).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "", "127.0.0.1.evil.example"]
)
def test_a_name_that_a_stranger_points_here_is_refused(host: str) -> None:
    assert ask(GOOD, host=host).status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
        *("X-Real-IP", "CF-Connecting-IP", "CF-Ray", "CF-Visitor", "CDN-Loop", "True-Client-IP"),
        *("X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "Fly-Client-IP", "Client-IP"),
        *("X-Envoy-External-Address", "Tailscale-User-Login", "Ngrok-Auth-User-Id", "X-ARR-LOG-ID"),
        *("X-Original-Host", "X-AppEngine-User-IP", "X-Amzn-Trace-Id", "Cf-Access-Jwt-Assertion"),
    ],
)
def test_what_came_through_a_tunnel_is_refused(header: str) -> None:
    assert ask({**GOOD, header: "203.0.113.5"}).status_code == 403


@pytest.mark.parametrize("header", ["Accept", "Cookie", "Traceparent", "X-Request-ID", "Prefer"])
def test_what_programs_send_is_taken(header: str) -> None:
    assert ask({**GOOD, header: "0"}).text == "in"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_no_header_gets_in_or_breaks_it(authorization: bytes, host: bytes) -> None:
    answers = []

    async def send(message: Any) -> None:
        answers.append(message.get("status"))

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": "GET",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", host), (b"authorization", authorization)],
    }
    app = LocalOnly(PlainTextResponse("in"), TOKEN)
    asyncio.run(app(scope, receive, send))
    assert answers[0] in (401, 403)


def test_the_token_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, BREX_SYNC_HOME=tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: local_token(settings), range(40)))
    (token,) = tokens
    assert token.startswith("bst_")
    assert len(token) > 40
    file = tmp_path / "new" / FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [FILE]


def test_a_token_that_is_set_takes_the_file_s_place(tmp_path: Path) -> None:
    mine = "a-token-of-my-own"
    settings = Settings(_env_file=None, BREX_SYNC_HOME=tmp_path, BREX_SYNC_SERVICE_TOKEN=mine)
    assert local_token(settings) == mine
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", ["", "short"])
def test_a_token_that_could_be_guessed_is_not_taken(tmp_path: Path, token: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, BREX_SYNC_HOME=tmp_path, BREX_SYNC_SERVICE_TOKEN=token)
