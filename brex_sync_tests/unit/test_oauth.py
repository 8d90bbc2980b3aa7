"""The grant: what is asked for, what answers mean, and where secrets never go."""

import json
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from brex_sync.brex.application import Application
from brex_sync.brex.oauth import OAuth
from brex_sync.errors import (
    ApplicationRefused,
    ConsentRefused,
    GrantRefused,
    OAuthError,
    RefreshUncertain,
    TokenEndpointUnavailable,
)

ISSUER = "https://accounts.brex.test/oauth2/default"
SECRET = "client_very_secret"
APP = Application(ISSUER, "client_1", SECRET, "http://127.0.0.1:8765/callback")
ENDPOINTS = {
    "authorization_endpoint": f"{ISSUER}/v1/authorize",
    "token_endpoint": f"{ISSUER}/v1/token",
    "revocation_endpoint": f"{ISSUER}/v1/revoke",
}
Answer = Callable[[httpx.Request], httpx.Response]


def brex(answer: Answer | httpx.Response, **endpoints: str) -> tuple[OAuth, list[httpx.Request]]:
    """The client of a Brex that answers so, and the requests it got after discovery."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return httpx.Response(200, json=ENDPOINTS | endpoints)
        seen.append(request)
        return answer(request) if callable(answer) else answer

    return OAuth(APP, httpx.MockTransport(handle)), seen


def granted(**changes: object) -> httpx.Response:
    body = {"access_token": "at_1", "refresh_token": "rt_2", "token_type": "bearer"} | changes
    return httpx.Response(200, json={k: v for k, v in body.items() if v is not None})


def form(request: httpx.Request) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(request.content.decode()).items()}


def test_the_question_carries_state_challenge_and_scopes_and_no_secret() -> None:
    client, _ = brex(granted())
    consent = client.ask(["users.readonly", "cards.pan"], login=True)
    url = urlsplit(consent.url)
    asked = {k: v[0] for k, v in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == ENDPOINTS["authorization_endpoint"]
    assert asked["scope"] == "openid offline_access users.readonly"
    assert (asked["response_type"], asked["client_id"]) == ("code", "client_1")
    assert (asked["code_challenge_method"], asked["prompt"]) == ("S256", "login")
    assert asked["redirect_uri"] == APP.redirect_uri
    assert len(asked["state"]) > 8
    assert SECRET not in consent.url
    assert consent.verifier not in consent.url
    assert SECRET not in repr(APP)
    assert consent.verifier not in repr(consent)
    assert "prompt" not in client.ask([]).url
    assert client.ask([]).state != consent.state


def test_a_code_becomes_tokens_with_the_secret_in_the_form() -> None:
    client, seen = brex(granted())
    consent = client.ask(["users.readonly"])
    redirect = f"{APP.redirect_uri}?code=c1&state={consent.state}&scope=users.readonly+openid"
    tokens = client.exchange(consent, redirect)
    assert form(seen[0]) == {
        "grant_type": "authorization_code",
        "code": "c1",
        "redirect_uri": APP.redirect_uri,
        "code_verifier": consent.verifier,
        "client_id": "client_1",
        "client_secret": SECRET,
    }
    assert "Authorization" not in seen[0].headers
    assert tokens.lifetime == timedelta(hours=1)
    assert tokens.scopes == {"users.readonly", "openid"}
    assert "at_1" not in repr(tokens)
    assert "rt_2" not in repr(tokens)


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        ("?code=c1&state=someone-elses", "another question"),
        ("?code=c1", "another question"),
        ("?state={state}", "no code"),
        ("?error=access_denied&error_description=No&state={state}", "without consent: No"),
        ("", "no code"),
        ("nonsense", "no code"),
    ],
)
def test_redirects_that_answer_something_else_are_refused(redirect: str, said: str) -> None:
    client, seen = brex(granted())
    consent = client.ask([])
    with pytest.raises(ConsentRefused, match=said):
        client.exchange(consent, APP.redirect_uri + redirect.format(state=consent.state))
    assert seen == []


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (None, 3600),
        (1800, 1800),
        ("90", 90),
        ("soon", 3600),
        (-1, 3600),
        (0, 3600),
        (240, 240),
        ("3600", 3600),
        (1e9, 3600),
        (True, 3600),
        ([], 3600),
        ("nan", 3600),
        (10**400, 3600),
    ],
)
def test_a_lifetime_that_is_not_said_is_an_hour(expires_in: object, seconds: int) -> None:
    client, _ = brex(granted(expires_in=expires_in))
    assert client.refresh("rt_1").lifetime == timedelta(seconds=seconds)


def test_a_refresh_without_a_new_refresh_token_says_so() -> None:
    client, seen = brex(granted(refresh_token=None, scope="a b"))
    tokens = client.refresh("rt_1")
    assert (tokens.refresh, tokens.scopes) == (None, {"a", "b"})
    assert (form(seen[0])["grant_type"], form(seen[0])["refresh_token"]) == (
        "refresh_token",
        "rt_1",
    )


def error(status: int, **body: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (error(400, error="invalid_grant"), GrantRefused, 1),
        (error(401, error="invalid_grant", error_description="gone"), GrantRefused, 1),
        (
            error(400, error="invalid_grant", error_description=f"rt_very_secret, {SECRET}: spent"),
            GrantRefused,
            1,
        ),
        (error(401, error="invalid_client"), ApplicationRefused, 1),
        (error(400, error="unauthorized_client"), ApplicationRefused, 1),
        (error(400, error="slow_down"), OAuthError, 1),
        (error(429), TokenEndpointUnavailable, 1),
        (error(500), TokenEndpointUnavailable, 1),
        (httpx.Response(503, content=b"<html>"), TokenEndpointUnavailable, 1),
        (
            httpx.Response(302, headers={"Location": "https://evil.test/"}),
            TokenEndpointUnavailable,
            1,
        ),
        (httpx.Response(403, content=b"<html>invalid_grant"), TokenEndpointUnavailable, 1),
        (httpx.Response(400), TokenEndpointUnavailable, 1),
        (error(503, error="invalid_grant"), TokenEndpointUnavailable, 1),
        (httpx.Response(400, json=[{"error": "invalid_grant"}]), TokenEndpointUnavailable, 1),
        (httpx.Response(400, json={"error": ["invalid_grant"]}), TokenEndpointUnavailable, 1),
        (httpx.Response(200, content=b""), RefreshUncertain, 2),
        (httpx.Response(200, content=b"[]"), RefreshUncertain, 2),
        (httpx.Response(200, json={"token_type": "bearer"}), RefreshUncertain, 2),
    ],
)
def test_answers_are_told_apart(
    answer: httpx.Response, kind: type[Exception], requests: int
) -> None:
    client, seen = brex(answer)
    with pytest.raises(OAuthError) as refused:
        client.refresh("rt_very_secret")
    assert type(refused.value) is kind
    assert len(seen) == requests
    assert {request.url.host for request in seen} == {"accounts.brex.test"}
    for secret in (SECRET, "rt_very_secret"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        (httpx.ReadTimeout("read"), RefreshUncertain, 2),
        (httpx.RemoteProtocolError("closed"), RefreshUncertain, 2),
        (httpx.ConnectError("refused"), TokenEndpointUnavailable, 1),
        (httpx.ConnectTimeout("slow"), TokenEndpointUnavailable, 1),
    ],
)
def test_only_what_may_have_arrived_is_uncertain(
    fault: Exception, kind: type[Exception], requests: int
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise fault

    client, seen = brex(fail)
    with pytest.raises(OAuthError) as refused:
        client.refresh("rt_1")
    assert type(refused.value) is kind
    assert len(seen) == requests


def test_an_answer_lost_once_is_asked_for_once_more() -> None:
    answers = iter([httpx.Response(200, content=b""), granted()])
    client, seen = brex(lambda request: next(answers))
    assert client.refresh("rt_1").access == "at_1"
    assert len(seen) == 2


@pytest.mark.parametrize("url", ["http://accounts.brex.test/token", "ftp://x/", ""])
def test_no_secret_goes_to_an_endpoint_without_https(url: str) -> None:
    client, seen = brex(granted(), token_endpoint=url)
    with pytest.raises(OAuthError, match="https"):
        client.refresh("rt_1")
    assert seen == []


def test_an_issuer_without_https_is_not_even_asked() -> None:
    app = Application("http://accounts.brex.test", "c", SECRET, APP.redirect_uri)
    with pytest.raises(OAuthError, match="not https"):
        OAuth(app, httpx.MockTransport(lambda request: granted())).refresh("rt_1")


def test_revoking_is_form_encoded() -> None:
    client, seen = brex(httpx.Response(200))
    client.revoke("rt_1")
    assert seen[0].url == ENDPOINTS["revocation_endpoint"]
    assert form(seen[0]) == {"token": "rt_1", "client_id": "client_1", "client_secret": SECRET}
    client, _ = brex(httpx.Response(400))
    with pytest.raises(OAuthError, match="400"):
        client.revoke("rt_1")
