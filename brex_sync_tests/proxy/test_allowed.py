"""What may be asked: plain paths of Brex's API, and card numbers never."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brex_sync.brex.allowed import METHODS, Rules, refusal
from brex_sync.brex.client import BrexApi, BrexClient, BrexRequest, Meter, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.connections.declared import connection_of
from brex_sync.errors import NeverAsked, SettingsError
from brex_sync.settings import Settings

GOOD = [
    "/v2/users",
    "/v2/users/me",
    "/v2/users/cuuser_abc-123/limit",
    "/v1/fields/VXNlcjpjdXVzZXJfMTIzNA==/values",
    "/v3/accounting/records/export-results",
    "/v2/cards/ncard_panama/lock",
    "/v1/vendors/spanish",
]
NOT_PLAIN = [
    "",
    "/",
    "v2/users",
    "/v2",
    "/v2/",
    "/v2/users/",
    "/health",
    "/V2/users",
    "/v0/users",
    "/v²/users",
    "//evil.example/v2/users",
    "/\\evil.example/v2/users",
    "https://evil.example/v2/users",
    "/https://evil.example/v2/users",
    "/v2//users",
    "/v2/./users",
    "/v2/../v1/users",
    "/v2/users/..",
    "/v2/users/.../x",
    "/v2/users/%2e%2e/cards",
    "/v2/users%2Fme",
    "/v2/users%252Fme",
    "/v2/users\\me",
    "/v2/users;x=1",
    "/v2/users?limit=1",
    "/v2/users#me",
    "/v2/users@evil.example",
    "@evil.example/v2/users",
    "/v2/users/me ",
    "/v2/users/me\n",
    "/v2/users\r\nHost: evil.example",
    "/v2/users\x00",
    "/v2/users\t",
    "/v2\u2215users",
    "/v2/us\u0435rs",
    "/v2/cards/x/\uff50\uff41\uff4e",
    "/v2/users/\ud800",
    "/v2/" + "x" * 1100,
]
CARD_NUMBER = [
    "/v2/cards/ncard_1/pan",
    "/v2/cards/ncard_1/PAN",
    "/v2/cards/ncard_1/pAn",
    "/v2/cards/pan/x",
    "/v2/cards/ncard_1/pan.json",
    "/v2/cards/ncard_1/pan,",
    "/v2/cards/ncard_1/.pan",
    "/v2/cards/ncard_1/pan=",
    "/v2/cards/ncard_1/pan:x",
    "/v2/cards/ncard_1/pan~",
]
ENCODED = [
    "/v2/cards/ncard_1/%70%61%6e",
    "/v2/cards/ncard_1/%2570an",
    "/v2/cards/ncard_1%2Fpan",
    "/v2/cards/ncard_1/pan%2F",
    "/v2/cards/ncard_1/pan%00",
    "/v2/cards/ncard_1/pan;x",
    "/v2/cards/ncard_1/%25252570an",
]


@pytest.mark.parametrize("path", GOOD)
def test_plain_paths_are_asked_for(path: str) -> None:
    assert refusal("GET", path) is None
    assert Rules().refusal("GET", path) is None


@pytest.mark.parametrize("path", NOT_PLAIN + ENCODED)
def test_what_could_be_read_in_two_ways_is_refused(path: str) -> None:
    assert refusal("GET", path) is not None


@pytest.mark.parametrize("path", CARD_NUMBER + ENCODED)
def test_card_numbers_are_never_asked_for_not_even_by_our_own_code(path: str) -> None:
    assert refusal("GET", path) is not None
    with pytest.raises(NeverAsked, match="card numbers"):
        BrexRequest("GET", path)


@pytest.mark.parametrize(
    "path", ["//evil.example/v2", "/\\evil.example", "https://evil.example/", "", "x", "/v2/ü"]
)
def test_not_even_our_own_code_asks_another_host(path: str) -> None:
    with pytest.raises(NeverAsked, match="another host"):
        BrexRequest("GET", path)


@pytest.mark.parametrize("method", ["", "get", "HEAD", "TRACE", "CONNECT", "OPTIONS", "GET "])
def test_other_methods_are_refused(method: str) -> None:
    assert refusal(method, "/v2/users") is not None


def test_a_proxy_only_reads_unless_told_otherwise() -> None:
    assert [m for m in METHODS if Rules().refusal(m, "/v2/users") is None] == ["GET"]
    writing = Rules.of(["get", "post"], [])
    assert writing.refusal("POST", "/v2/users") is None
    assert "GET, POST" in str(writing.refusal("DELETE", "/v2/users"))


def test_a_proxy_passes_on_what_lies_under_the_paths_allowed() -> None:
    rules = Rules.of([], ["/v2/users/", "/v1/expenses"])
    assert rules.refusal("GET", "/v2/users") is None
    assert rules.refusal("GET", "/v2/users/me") is None
    assert rules.refusal("GET", "/v1/expenses/card/e1") is None
    for path in ("/v2/usersx", "/v2/cards", "/v1/users"):
        assert "not under" in str(rules.refusal("GET", path))


@pytest.mark.parametrize(
    "path", ["/v1/webhooks/secrets", "/v1/webhooks/secrets/x", "/v1/Webhooks/Secrets"]
)
def test_a_proxy_gives_nobody_the_means_to_sign_events(path: str) -> None:
    assert "sign events" in str(Rules().refusal("GET", path))
    assert refusal("GET", path) is None, "the connection's owner may look"


@pytest.mark.parametrize(
    ("methods", "paths"),
    [(["STEAL"], []), ([], ["users"]), ([], ["/v2/../x"]), ([], ["//evil"]), ([], [""])],
)
def test_rules_that_cannot_be_meant_are_refused(methods: list[str], paths: list[str]) -> None:
    with pytest.raises(ValueError, match=r"methods|path"):
        Rules.of(methods, paths)


PIECES = st.sampled_from(
    ["/", "//", "\\", ".", "..", "%2e", "%2F", "%252f", "%70", "pan", "PAN", "v1", "v2", "users",
     "cards", ";", "?", "#", "@", "evil.example", ":", "http:", "\x00", "\r\n", " ", "\uff0f",
     "\u2024", "%", "%%", "~", "=", "-", "_", "x" * 300]
)  # fmt: skip
PATHS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)).flatmap(
    lambda tail: st.sampled_from(["", "/", "/v2/", "/v1/cards/"]).map(lambda head: head + tail)
)


@given(st.sampled_from(METHODS), PATHS)
@example("GET", "/v2/users/me")
def test_whatever_is_let_through_arrives_as_it_was_written(method: str, path: str) -> None:
    if refusal(method, path) is not None:
        return
    url = httpx.URL("https://api.brex.test").join(path)
    assert url.host == "api.brex.test"
    assert url.raw_path.decode() == unquote(path) == path
    segments = path.lower().split("/")
    assert not {"pan", "", ".", ".."} & set(segments[1:])
    assert asked(BrexRequest(method, path)) == f"https://api.brex.test{path}"


@given(PATHS)
def test_a_call_made_anyhow_stays_on_the_host(path: str) -> None:
    for written in (path, "/v2/users/" + quote(path, safe="")):
        try:
            call = BrexRequest("GET", written)
        except NeverAsked:
            continue
        try:
            url = httpx.URL(asked(call))
        except httpx.InvalidURL:
            continue
        assert (url.scheme, url.host, url.port) == ("https", "api.brex.test", None)
        assert "/pan/" not in f"{unquote(unquote(url.path))}/".lower()


def asked(call: BrexRequest) -> str:
    """The URL that a call leads to."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200)

    async def main() -> None:
        async with BrexClient(
            BrexApi("https://api.brex.test", lambda: "bxt_secret"),
            RateLimiter(),
            Patience(attempts=1),
            httpx.MockTransport(answer),
        ) as client:
            await client.exchange(call, Meter())

    asyncio.run(main())
    return seen[0]


def settings_of(tmp_path: Path, **more: Any) -> Settings:
    return Settings(_env_file=None, BREX_SYNC_HOME=tmp_path, **more)


def test_rules_come_from_the_connection_else_from_the_settings(tmp_path: Path) -> None:
    plain = settings_of(tmp_path)
    assert connection_of(plain, "brex", {}).rules == Rules()
    wide = settings_of(
        tmp_path, BREX_SYNC_PROXY_METHODS="GET, post", BREX_SYNC_PROXY_PATHS="/v2/users,/v1"
    )
    expected = Rules(frozenset({"GET", "POST"}), ("/v2/users", "/v1"))
    assert connection_of(wide, "brex", {}).rules == expected
    entry = {"proxy": {"paths": ["/v2/cards"]}}
    mixed = connection_of(wide, "brex", entry).rules
    assert mixed == Rules(frozenset({"GET", "POST"}), ("/v2/cards",))


@pytest.mark.parametrize(
    "proxy", [[], {"hosts": ["x"]}, {"methods": "GET"}, {"methods": ["EAT"]}, {"paths": ["v2"]}]
)
def test_a_wrong_declaration_says_which_connection_it_is(tmp_path: Path, proxy: Any) -> None:
    with pytest.raises(SettingsError, match=r"connection brex_uk: proxy"):
        connection_of(settings_of(tmp_path), "brex_uk", {"proxy": proxy})
