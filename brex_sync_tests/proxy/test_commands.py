"""`brex-sync request`: any call, with the stored credential, printed as JSON."""

import asyncio
import json
from pathlib import Path

import pytest
from starlette.responses import Response

from brex_sync.brex.client import BrexApi, BrexClient, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.cli.requests import _sent
from brex_sync.client.calls import call_of
from brex_sync.client.filtering import Filter
from brex_sync.errors import FilterError, ServerFault
from brex_sync.http_server import running
from brex_sync.sandbox import create_world
from brex_sync_tests.connections.conftest import Commands, Desk, commands, consent, desk, new_desk
from brex_sync_tests.proxy.conftest import Hostile
from brex_sync_tests.waiting import HANGS

__all__ = ["commands", "desk", "new_desk"]
KEY = "bxt_sandbox"


@pytest.fixture
def desk(new_desk: object) -> Desk:  # noqa: F811
    """A company with a little of everything."""
    made: Desk = new_desk(create_world(card_transactions=30))  # type: ignore[operator]
    return made


def test_an_answer_is_printed_as_json_and_filtered_by_jq(commands: Commands) -> None:
    ask = {"BREX_API_KEY": KEY}
    me = json.loads(commands.run("request", "get", "/v2/users/me", **ask))
    assert me["id"].startswith("cuuser_")
    page = commands.run(
        "request", "GET", "/v2/users", "-q", "limit=2", "--jq", ".items[].id", **ask
    )
    assert len(page.splitlines()) == 2
    every = commands.run(
        "request", "GET", "/v2/transactions/card/primary", "-q", "limit=7", "--paginate", **ask
    )
    assert len({json.loads(line)["id"] for line in every.splitlines()}) == 30
    ids = commands.run("request", "GET", "/v2/accounts/card", "--paginate", "--jq", ".id", **ask)
    assert all(json.loads(line).startswith("cuacc_") for line in ids.splitlines())


def test_oauth_and_a_stored_key_are_as_good(desk: Desk, commands: Commands) -> None:
    commands.run("connect", "--configuration", "brex-api-key", typed=f"{KEY}\n")
    assert "cuuser_" in commands.run("request", "GET", "/v2/users/me", "--jq", ".id")
    process = commands.start("connect", "uk", "--configuration", "brex", "--no-browser")
    url = next(line.strip() for line in process.stdout or () if line.startswith("http"))
    process.communicate(consent(url) + "\n", timeout=HANGS)
    asked = ("request", "GET", "/v2/users/me", "--jq", ".id", "--connection", "uk")
    assert "cuuser_" in commands.run(*asked)
    assert "bxt_" not in commands.run(*asked)


def test_faults_are_one_line_and_end_with_one(commands: Commands) -> None:
    ask = {"BREX_API_KEY": KEY}
    lost = commands.run("request", "GET", "/v2/users/none", code=1, **ask)
    assert lost.startswith("brex-sync: GET /v2/users/none answered 404: ")
    assert "(Brex trace id " in lost
    assert len(lost.strip().splitlines()) == 1
    for path, told in (
        ("/v2/cards/x/pan", "card numbers are never asked for"),
        ("//evil.example/v2/users", "not a plain one"),
        ("/v2/users?limit=1", "parameters go into the query"),
    ):
        assert told in commands.run("request", "GET", path, code=1, **ask)
    told = commands.run("request", "POST", "/v2/users", "-d", "{", code=1, **ask)
    assert told.startswith("brex-sync: -d is not JSON: ")
    told = commands.run("request", "GET", "/v2/users", "-q", "limit", code=1, **ask)
    assert "expected name=value" in told
    told = commands.run("request", "GET", "/v2/users", "--jq", ".[", code=1, **ask)
    assert told.startswith("brex-sync: --jq: ")
    told = commands.run("request", "GET", "/v2/users/me", code=1, BREX_API_KEY="bxt_wrong")
    assert "brex must be connected again" in told


def test_a_write_asks_first_and_has_a_key(commands: Commands, tmp_path: Path) -> None:
    brex = Hostile()
    brex.how = lambda *_: Response(b'{"amount":12345678901234567890.10}', 201)
    body = tmp_path / "body.json"
    body.write_text('{"name": "Zoë", "amount": 1.10}')
    with running(brex) as url:
        here = {"BREX_API_URL": url, "BREX_CONFIGURATION": "sandbox"}
        write = ("request", "POST", "/v1/vendors", "-d", f"@{body}")
        told = commands.run(*write, code=1, **here)
        assert told.startswith(
            "brex-sync: POST /v1/vendors may change something at Brex: say --yes"
        )
        assert not brex.asked
        assert "12345678901234567890.10" in commands.run(*write, "--yes", **here)
        commands.run(
            "request", "POST", "/v1/vendors", "-d", "@-", "--yes", "--idempotency-key", "mine",
            typed=body.read_text(), **here,
        )  # fmt: skip
        commands.run("request", "DELETE", "/v1/vendors/x", "--yes", **here)
    (first, second, third) = brex.asked
    assert first[3] == second[3] == body.read_bytes()
    assert len(first[2]["idempotency-key"]) == 36
    assert second[2]["idempotency-key"] == "mine"
    assert (third[0], third[3]) == ("DELETE", b"")


def test_where_it_is_not_known_whether_a_write_was_done_its_key_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    brex = Hostile()
    brex.how = lambda *_: Response(b'{"message":"not now"}', 500)

    async def main(url: str) -> None:
        endpoint = BrexApi(url, lambda: KEY)
        async with BrexClient(endpoint, RateLimiter(), Patience(attempts=1)) as client:
            await _sent(client, call_of("POST", "/v1/vendors", idempotency_key="k-1"))

    with running(brex) as url, pytest.raises(ServerFault):
        asyncio.run(main(url))
    assert "ask for it again with --idempotency-key k-1\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ['{"a":1.10,"b":9007199254740991,"c":-5e-3}', "[]", '"x"', '{"a":"\\u2028\\n"}']
)
def test_jq_sees_the_answer(text: str) -> None:
    (made,) = Filter(".").results(text.encode())
    assert json.loads(made) == json.loads(text)


@pytest.mark.parametrize("number", ["9007199254740993", "0.12345678901234567890", "1e400"])
def test_jq_is_not_given_a_number_it_would_round(number: str) -> None:
    with pytest.raises(FilterError, match="would round"):
        list(Filter(".a").results(f'{{"a":{number}}}'.encode()))


def test_a_jq_program_that_fails_says_why_in_a_line() -> None:
    with pytest.raises(FilterError, match="Cannot index number"):
        list(Filter(".a.b").results(b'{"a":1}'))
    with pytest.raises(FilterError, match=r"^--jq: .*syntax error[^\n]*$"):
        Filter(".[")
