"""Who may use what is not meant for the internet: programs of this machine that hold its token."""

import hmac
import re
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from brex_sync.settings import Settings
from brex_sync.tokens import kept_token
from brex_sync.web.one_host import named_host

FILE = "service-token"
_FROM_ELSEWHERE = re.compile(
    r"forwarded|via|cdn-loop|x-forwarded(-.+)?|x-original-(for|host|forwarded-for)|x-real-ip"
    r"|(.+-)?client-ip(v6)?|(.+-)?connecting-ip(v6)?|x-(proxyuser|remote)-(ip|addr)|x-remote-user"
    r"|(x-)?(akamai|amz|amzn|appengine|arr|azure|cf|cloudfront|envoy|fastly|fly|ngrok|tailscale"
    r"|vercel)-.+|x-cloud-trace-context"
)
"""Headers that say that the request came through a proxy, a tunnel or a content network."""


def local_token(settings: Settings) -> str:
    """The token programs of this machine show: the one set, or the home's, made if it has none.

    Raises:
        SettingsError: the home's can be neither read nor made.
    """
    if settings.service_token is not None:
        return settings.service_token.get_secret_value()
    return kept_token(settings.home / FILE, "bst_")


class LocalOnly:
    """Lets through what comes from this machine, is addressed to it, and shows the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        host = named_host(scope)
        if host is None or not (_is_loopback(peer) and _is_loopback(host.name.strip("[]"))):
            return _no(403, "only programs of this machine may ask for this")
        if any(map(_FROM_ELSEWHERE.fullmatch, headers.keys())):
            return _no(403, "this may not be reached through a proxy: forward /webhooks alone")
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(shown.strip().encode(), self._token.encode())
        if scheme.lower() != "bearer" or not same:
            return _no(401, f"show the token in {FILE} as Authorization: Bearer …")
        return None


class Direct:
    """Refuses what came through a proxy or a tunnel that put this machine's name in place of the
    one that was asked for: nobody could tell whom it lets in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = named_host(scope) if scope["type"] == "http" else None
        is_ours = host is not None and _is_loopback(host.name.strip("[]"))
        if is_ours and any(map(_FROM_ELSEWHERE.fullmatch, Headers(scope=scope).keys())):
            why = "this may not be reached through a proxy that changes the Host header"
            await _no(403, why)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _no(status: int, why: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"message": why}, status, headers)
