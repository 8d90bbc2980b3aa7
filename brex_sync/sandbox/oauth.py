"""The OAuth side of the simulated Brex: consent, tokens that end, rotation, revocation.

A refresh token works once; using it again revokes all that came of the same consent. Time is the
authority's own, and may be moved.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from brex_sync.sandbox.app import TOKEN, TokenPermissions, create_app
from brex_sync.sandbox.faults import FaultKind, Faults
from brex_sync.sandbox.world import World

ISSUER = "/oauth2/default"
CLIENT_ID = "brex_sync_sandbox"
CLIENT_SECRET = "sandbox_secret"
ACCESS_LIFE = timedelta(hours=1)
REFRESH_LIFE = timedelta(days=90)
CODE_LIFE = timedelta(minutes=10)
USER_TOKENS = {
    TOKEN: TokenPermissions(),
    "bxt_employee": TokenPermissions(roles=False),
    "bxt_team": TokenPermissions(frozenset({"users.readonly", "cards.readonly"})),
}
"""API keys: of an admin, of someone whose role hides cash, and with few scopes."""


@dataclass(slots=True)
class Grant:
    """A person's consent, and everything that came of it."""

    scopes: frozenset[str]
    roles: bool
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A code or token: the consent it belongs to, when it ends, and what it was asked with."""

    grant: Grant
    ends_at: datetime
    redirect_uri: str = ""
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A request to the token endpoint as it came: the grant type, and the error or `""`."""

    grant_type: str
    error: str


class OAuthRefusal(Exception):
    """An OAuth error, by its code."""


class UserTokens(Mapping[str, TokenPermissions]):
    """The access tokens in force and the API keys, as the sandbox looks them up."""

    def __init__(self, authority: "Authority") -> None:
        self._authority = authority

    def __getitem__(self, token: str) -> TokenPermissions:
        issued = self._authority.access.get(token)
        if issued is None or issued.grant.revoked:
            return self._authority.keys[token]
        expired = issued.ends_at <= self._authority.now()
        return TokenPermissions(issued.grant.scopes, issued.grant.roles, expired)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._authority.access, *self._authority.keys])

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass
class Authority:
    """Who was granted what. `later` moves its clock; `keys` are the API keys it knows."""

    client_secret: str = CLIENT_SECRET
    faults: Faults = field(default_factory=Faults)
    keys: dict[str, TokenPermissions] = field(default_factory=lambda: dict(USER_TOKENS))
    later: timedelta = timedelta()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    codes: dict[str, Issued] = field(default_factory=dict)
    access: dict[str, Issued] = field(default_factory=dict)
    refresh: dict[str, Issued] = field(default_factory=dict)
    used: dict[str, Grant] = field(default_factory=dict)
    requests: list[TokenRequest] = field(default_factory=list)

    def now(self) -> datetime:
        return self.clock() + self.later

    def consent(
        self, scopes: frozenset[str], redirect_uri: str, challenge: str, *, roles: bool = True
    ) -> str:
        """The code a person's consent is worth."""
        code = f"code_{secrets.token_hex(16)}"
        ends_at = self.now() + CODE_LIFE
        self.codes[code] = Issued(Grant(scopes, roles), ends_at, redirect_uri, challenge)
        return code

    def issue(self, grant: Grant) -> dict[str, str]:
        """A new access token and a new refresh token."""
        access, refresh = f"at_{secrets.token_hex(16)}", f"rt_{secrets.token_hex(16)}"
        self.access[access] = Issued(grant, self.now() + ACCESS_LIFE)
        self.refresh[refresh] = Issued(grant, self.now() + REFRESH_LIFE)
        return {"access_token": access, "refresh_token": refresh, "token_type": "bearer"}

    def revoke_everything(self) -> None:
        """As when the company removes the application in its dashboard."""
        for issued in (*self.access.values(), *self.refresh.values()):
            issued.grant.revoked = True
        self.keys.clear()

    def check_client(self, form: QueryParams) -> None:
        """Raises OAuthRefusal for another than the one application there is."""
        known = {"client_id": CLIENT_ID, "client_secret": self.client_secret}
        if any(form.get(name) != value for name, value in known.items()):
            raise OAuthRefusal("invalid_client")

    def redeem_code(self, form: QueryParams) -> dict[str, Any]:
        """The tokens for a code; as in Brex's example, without `expires_in`."""
        issued = self.codes.pop(form.get("code", ""), None)
        if issued is None or issued.ends_at <= self.now():
            raise OAuthRefusal("invalid_grant")
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if issued.redirect_uri != form.get("redirect_uri", "") or (
            issued.challenge and proved != issued.challenge
        ):
            raise OAuthRefusal("invalid_grant")
        return self.issue(issued.grant)

    def rotate(self, form: QueryParams) -> dict[str, Any]:
        """New tokens for a refresh token, which is worthless from then on."""
        token = form.get("refresh_token", "")
        if token in self.used:
            self.used[token].revoked = True
            raise OAuthRefusal("invalid_grant")
        issued = self.refresh.get(token)
        if issued is None or issued.grant.revoked or issued.ends_at <= self.now():
            raise OAuthRefusal("invalid_grant")
        del self.refresh[token]
        self.used[token] = issued.grant
        seconds = int(ACCESS_LIFE.total_seconds())
        scope = " ".join(sorted(issued.grant.scopes))
        return self.issue(issued.grant) | {"expires_in": seconds, "scope": scope}


def create_brex(world: World, authority: Authority | None = None, **options: Any) -> Starlette:
    """The sandbox with its OAuth side; `options` are those of `create_app`.

    `app.state.authority` is the authority.
    """
    authority = authority or Authority(faults=options.get("faults") or Faults())
    app = create_app(world, **{"faults": authority.faults, **options}, tokens=UserTokens(authority))
    app.state.authority = authority
    doors = (
        ("/.well-known/openid-configuration", "GET", _discovery),
        ("/v1/authorize", "GET", _ask),
        ("/v1/authorize", "POST", _decide),
        ("/v1/token", "POST", _token),
        ("/v1/revoke", "POST", _revoke),
        ("/_sandbox/{what}", "GET", _look),
        ("/_sandbox/{what}", "POST", _steer),
    )
    app.router.routes[:0] = [
        Route(f"{ISSUER}{path}", partial(door, authority), methods=[method])
        for path, method, door in doors
    ]
    return app


async def _discovery(authority: Authority, request: Request) -> Response:
    issuer = str(request.base_url).rstrip("/") + ISSUER
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/v1/authorize",
            "token_endpoint": f"{issuer}/v1/token",
            "revocation_endpoint": f"{issuer}/v1/revoke",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }
    )


async def _ask(authority: Authority, request: Request) -> Response:
    query = request.query_params
    problem = _problem(dict(query))
    if problem:
        return HTMLResponse(f"<h1>Bad request</h1><p>{escape(problem)}</p>", 400)
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(query.get(name, ""))}">'
        for name in ("client_id", "redirect_uri", "state", "code_challenge")
    )
    boxes = "".join(
        f'<label><input type="checkbox" name="scope" value="{escape(scope)}" checked> '
        f"{escape(scope)}</label><br>"
        for scope in query.get("scope", "").split()
    )
    login = "<p>Log in again: any name will do.</p>" if query.get("prompt") == "login" else ""
    return HTMLResponse(
        "<!doctype html><title>Sandbox of Brex</title><h1>brex_sync wants to read your account</h1>"
        f'<p>This is the sandbox, not Brex.</p>{login}<form method="post">{hidden}{boxes}'
        '<label><input type="checkbox" name="employee" value="yes"> as an employee without access '
        'to cash</label><p><button name="answer" value="approve">Approve</button> '
        '<button name="answer" value="deny">Deny</button></p></form>'
    )


async def _decide(authority: Authority, request: Request) -> Response:
    form = await _form(request)
    fields = {name: form.get(name, "") for name in ("client_id", "redirect_uri", "state")}
    problem = _problem(fields | {"response_type": "code"})
    if problem:
        return HTMLResponse(f"<h1>Bad request</h1><p>{escape(problem)}</p>", 400)
    answer = {"state": fields["state"]}
    if form.get("answer", "") != "approve":
        answer |= {"error": "access_denied", "error_description": "The person said no"}
    else:
        scopes = frozenset(form.getlist("scope"))
        code = authority.consent(
            scopes,
            fields["redirect_uri"],
            form.get("code_challenge", ""),
            roles=not form.get("employee", ""),
        )
        answer |= {"code": code, "scope": " ".join(sorted(scopes))}
    return RedirectResponse(f"{fields['redirect_uri']}?{urlencode(answer)}", 303)


async def _token(authority: Authority, request: Request) -> Response:
    form = await _form(request)
    kind = form.get("grant_type", "")
    fault = authority.faults.strike(request.url.path, cursor=None, limit=None, method="POST")
    if fault is not None and fault.kind is FaultKind.STATUS:
        authority.requests.append(TokenRequest(kind, f"HTTP {fault.status}"))
        return Response(fault.body, fault.status, fault.headers)
    grants = {"authorization_code": authority.redeem_code, "refresh_token": authority.rotate}
    try:
        authority.check_client(form)
        if kind not in grants:
            raise OAuthRefusal("unsupported_grant_type")
        content = grants[kind](form)
    except OAuthRefusal as refusal:
        authority.requests.append(TokenRequest(kind, str(refusal)))
        status = 401 if str(refusal) == "invalid_client" else 400
        return JSONResponse({"error": str(refusal)}, status)
    authority.requests.append(TokenRequest(kind, ""))
    if fault is not None and fault.kind in (FaultKind.DELAY, FaultKind.HANG):
        await asyncio.sleep(fault.seconds or 3600)
    if fault is not None and fault.kind is FaultKind.DONE_STATUS:
        return Response(fault.body, fault.status, fault.headers)
    if fault is not None and fault.kind is not FaultKind.DELAY:
        return Response("", 200)
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


async def _revoke(authority: Authority, request: Request) -> Response:
    form = await _form(request)
    try:
        authority.check_client(form)
    except OAuthRefusal as refusal:
        return JSONResponse({"error": str(refusal)}, 401)
    token = form.get("token", "")
    issued = authority.refresh.get(token) or authority.access.get(token)
    if issued is not None:
        issued.grant.revoked = True
    return Response("", 200)


async def _look(authority: Authority, request: Request) -> Response:
    return JSONResponse([asdict(entry) for entry in authority.requests])


async def _steer(authority: Authority, request: Request) -> Response:
    """Lets another process move the clock, or take everything back."""
    if request.path_params["what"] == "clock":
        authority.later += timedelta(seconds=float((await request.json())["seconds"]))
    elif request.path_params["what"] == "revoke":
        authority.revoke_everything()
    else:
        return JSONResponse({"message": "clock or revoke"}, 404)
    return JSONResponse({"now": authority.now().isoformat()})


def _problem(query: Mapping[str, str]) -> str:
    """What is wrong with a question put to a person; nothing if it is well."""
    if query.get("client_id") != CLIENT_ID:
        return "unknown client_id"
    if len(query.get("state", "")) <= 8:
        return "state must be longer than 8 characters"
    if query.get("response_type") != "code":
        return "response_type must be code"
    if urlsplit(query.get("redirect_uri", "")).hostname not in ("127.0.0.1", "localhost"):
        return "redirect_uri is not registered"
    return ""


async def _form(request: Request) -> QueryParams:
    return QueryParams((await request.body()).decode())
