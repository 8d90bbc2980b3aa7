"""Brex's OAuth endpoints: consent, and the exchange of codes and refresh tokens for tokens.

By Brex's partner authentication guide: client id and secret are sent in the form, a refresh returns
a new refresh token, which is valid for 90 days, and an access token is valid for an hour.
"""

import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.errors import (
    MismatchingStateException,
    MissingCodeException,
)
from authlib.oauth2.rfc6749.parameters import parse_authorization_code_response, prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from brex_sync.brex.addresses import is_private
from brex_sync.brex.application import BASE_SCOPES, NEVER, Application
from brex_sync.brex.cookies import no_cookies
from brex_sync.errors import (
    ApplicationRefused,
    ConsentRefused,
    GrantRefused,
    OAuthError,
    RefreshUncertain,
    TokenEndpointUnavailable,
)

log = logging.getLogger(__name__)

LIFETIME = timedelta(hours=1)
"""Of an access token whose answer does not say."""
PATIENCE = 15.0
"""Seconds for each step of a request: connecting, sending, waiting for the answer."""
_REFUSED_US = {"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope"}


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent page to open, and what proves that a redirect belongs to it."""

    url: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that Brex granted. `refresh` None: the old one stays valid; `scopes` None: unknown."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    lifetime: timedelta
    scopes: frozenset[str] | None


class OAuth:
    """The OAuth grant of one application. Use as a context manager; `transport` replaces the
    network.
    """

    def __init__(self, app: Application, transport: httpx.BaseTransport | None = None) -> None:
        self._app = app
        self._endpoints: Mapping[str, str] | None = None
        self._http = httpx.Client(
            transport=transport,
            timeout=PATIENCE,
            follow_redirects=False,
            cookies=no_cookies(),
            headers={"Accept": "application/json", "User-Agent": "brex-sync"},
        )

    def __enter__(self) -> "OAuth":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, scopes: Iterable[str], *, login: bool = False) -> Consent:
        """The page where a person grants `scopes`; `login` makes them log in again.

        Raises:
            OAuthError: Brex's discovery document could not be read.
        """
        wanted = dict.fromkeys((*BASE_SCOPES, *scopes))
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(64)
        url = prepare_grant_uri(
            self._endpoint("authorization_endpoint"),
            client_id=self._app.client_id,
            response_type="code",
            redirect_uri=self._app.redirect_uri,
            scope=" ".join(scope for scope in wanted if scope not in NEVER),
            state=state,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            prompt="login" if login else None,
        )
        return Consent(url, state, verifier)

    def exchange(self, consent: Consent, redirect: str) -> Tokens:
        """The tokens for the URL to which Brex redirected the person.

        Raises:
            ConsentRefused: the URL has no code, or belongs to another consent page.
            OAuthError: Brex returned no tokens.
        """
        sent_back = _parameters(redirect)
        if error := sent_back.get("error"):
            told = sent_back.get("error_description") or error
            raise ConsentRefused(f"Brex sent you back without consent: {told}")
        try:
            code = parse_authorization_code_response(redirect, consent.state)["code"]
        except MismatchingStateException:
            raise ConsentRefused(
                "that redirect answers another question than this one; start again"
            ) from None
        except MissingCodeException:
            raise ConsentRefused("that URL carries no code; paste the whole address") from None
        tokens = self._grant(
            "authorization_code",
            code=code,
            redirect_uri=self._app.redirect_uri,
            code_verifier=consent.verifier,
        )
        if tokens.scopes is None and sent_back.get("scope"):
            granted = frozenset(sent_back["scope"].split())
            return Tokens(tokens.access, tokens.refresh, tokens.lifetime, granted)
        return tokens

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for a refresh token: one request, and a second one if the first response was
        lost.

        Raises:
            GrantRefused: the refresh token is no longer valid; `lost` if that was the second
                request, because the first may have replaced the token.
            RefreshUncertain: the second response was lost too.
            OAuthError: Brex could not be reached, failed, or rejected the request.
        """
        try:
            return self._grant("refresh_token", refresh_token=refresh_token)
        except RefreshUncertain as lost:
            log.warning("%s; asking once more", lost)
            try:
                return self._grant("refresh_token", refresh_token=refresh_token)
            except GrantRefused as refused:
                raise GrantRefused(str(refused), lost=True) from None

    def revoke(self, token: str) -> None:
        """Revokes a refresh token and everything granted with it.

        Raises:
            OAuthError: Brex did not confirm it.
        """
        answer = self._post("revocation_endpoint", {"token": token})
        if answer.status_code != 200:
            raise OAuthError(f"revoking answered {answer.status_code}")

    def _grant(self, kind: str, **parameters: str) -> Tokens:
        answer = self._post("token_endpoint", {"grant_type": kind} | parameters)
        content = _object(answer)
        if answer.status_code == 200:
            return _tokens(content)
        error = _text(content.get("error"))
        told = _text(content.get("error_description")) or error or "without a message"
        sent = {*parameters.values(), self._app.client_secret} - {self._app.redirect_uri, ""}
        for secret in sorted(sent, key=len, reverse=True):
            told = told.replace(secret, "[secret]")
        where = f"Brex's token endpoint answered {answer.status_code}"
        later = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        if later or not error:
            raise TokenEndpointUnavailable(f"{where}: {told}", lost=answer.status_code != 429)
        if error == "invalid_grant":
            raise GrantRefused(f"{where}: {told}")
        if error in _REFUSED_US:
            raise ApplicationRefused(
                f"{where}: {told}. Check BREX_CLIENT_ID, BREX_CLIENT_SECRET and BREX_REDIRECT_URI"
            )
        raise OAuthError(f"{where}: {told}")

    def _post(self, endpoint: str, parameters: Mapping[str, str]) -> httpx.Response:
        url = self._endpoint(endpoint)
        identity = {"client_id": self._app.client_id, "client_secret": self._app.client_secret}
        try:
            return self._http.post(url, data={**parameters, **identity})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TokenEndpointUnavailable(f"{url} cannot be reached: {_named(error)}") from None
        except httpx.HTTPError as error:
            raise RefreshUncertain(f"{url} did not answer: {_named(error)}") from None

    def _endpoint(self, name: str) -> str:
        if self._endpoints is None:
            self._endpoints = self._discover()
        url = self._endpoints.get(name)
        if not isinstance(url, str) or not is_private(url):
            raise OAuthError(
                f"the discovery document of {self._app.issuer} names no {name} with https"
            )
        return url

    def _discover(self) -> Mapping[str, str]:
        url = f"{self._app.issuer.rstrip('/')}/.well-known/openid-configuration"
        if not is_private(url):
            raise OAuthError(f"{url} is not https, so no secret goes there")
        try:
            answer = self._http.get(url)
        except httpx.HTTPError as error:
            raise TokenEndpointUnavailable(f"{url} cannot be read: {_named(error)}") from None
        if answer.status_code != 200 or not (found := _object(answer)):
            raise TokenEndpointUnavailable(
                f"{url} answered {answer.status_code} and no discovery document"
            )
        return found


def _tokens(content: Mapping[str, Any]) -> Tokens:
    access, refresh = content.get("access_token"), content.get("refresh_token")
    if not isinstance(access, str) or not access:
        raise RefreshUncertain("Brex's token endpoint answered 200 without an access token")
    seconds, scope = content.get("expires_in"), content.get("scope")
    return Tokens(
        access,
        refresh if isinstance(refresh, str) and refresh else None,
        _lifetime(seconds),
        frozenset(scope.split()) if isinstance(scope, str) else None,
    )


def _lifetime(seconds: Any) -> timedelta:
    """`expires_in` as a number or text; the usual lifetime if it cannot be one."""
    if isinstance(seconds, bool):
        return LIFETIME
    try:
        given = float(seconds)
    except (TypeError, ValueError, OverflowError):
        return LIFETIME
    return timedelta(seconds=given) if 0 < given < 1e8 else LIFETIME


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _parameters(url: str) -> dict[str, str]:
    return dict(httpx.QueryParams(urlsplit(url).query))


def _named(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
