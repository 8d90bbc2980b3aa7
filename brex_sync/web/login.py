"""Who is logged in: by the token, by a session, or by the header of a reverse proxy."""

import time
from collections import deque
from urllib.parse import parse_qs, quote, unquote_plus

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from brex_sync.web import pages
from brex_sync.web.auth import Auth, Vouching
from brex_sync.web.checks import is_page_load
from brex_sync.web.sessions import LASTS, Sessions

LOGIN, LOGOUT = "/login", "/logout"
PARAMETER = "token"
FORM = 8192
"""Bytes that what is typed into the form can have, at the most."""
WRONG, WITHIN = 20, 60.0
"""So many wrong tokens are looked at in so many seconds."""


class Login:
    """Admits requests with the token as `Authorization: Bearer …`, and those that `auth` admits."""

    def __init__(
        self, token: str, auth: Auth = Auth.TOKEN, vouching: Vouching | None = None
    ) -> None:
        self._sessions = Sessions(token)
        self._auth = auth
        self._vouching = vouching
        self._wrong: deque[float] = deque(maxlen=WRONG)

    def admits(self, conn: HTTPConnection) -> bool:
        """Whether the request is logged in."""
        if self._auth is Auth.NONE or self._bears_token(conn):
            return True
        if self._auth is Auth.PROXY:
            peer = conn.client.host if conn.client else ""
            return self._vouching is not None and self._vouching.names(peer, conn.headers)
        return self._sessions.knows(conn.cookies.get(self._sessions.cookie, ""))

    async def answer(self, request: Request) -> Response | None:
        """The response to logging in or out, or to a request that is not logged in; None if it
        is.
        """
        if self._auth is Auth.TOKEN:
            if request.scope["path"] == LOGIN:
                return await self._login_page(request)
            if request.scope["path"] == LOGOUT:
                return self._log_out(request)
            if is_page_load(request.scope) and PARAMETER in request.query_params:
                return self._exchange(request)
        if self.admits(request):
            return None
        if self._auth is Auth.TOKEN and is_page_load(request.scope):
            return self._asked(request)
        where = "in the browser" if self._auth is Auth.TOKEN else "at the reverse proxy"
        return PlainTextResponse(
            f"log in first: {where}, or with the token as Authorization: Bearer …\n",
            401,
            {"WWW-Authenticate": "Bearer"},
        )

    def _bears_token(self, conn: HTTPConnection) -> bool:
        scheme, _, shown = conn.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._sessions.is_token(shown.strip())

    async def _login_page(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._log_in(request)
        return pages.logged_in() if self.admits(request) else pages.login("/")

    async def _log_in(self, request: Request) -> Response:
        if "origin" not in request.headers:
            return PlainTextResponse("sent by no page of ours\n", 403)
        typed = await _form(request)
        target = _local(typed.get("next", "/"))
        return self._taken(request, typed.get(PARAMETER, "").strip(), target)

    def _exchange(self, request: Request) -> Response:
        """A session for the token in the address, which is removed from it."""
        return self._taken(request, request.query_params[PARAMETER], _target(request))

    def _taken(self, request: Request, shown: str, target: str) -> Response:
        now = time.monotonic()
        if len(self._wrong) == WRONG and now - self._wrong[0] < WITHIN:
            return pages.login(target, "Too many wrong tokens: wait a minute.", status=429)
        if not self._sessions.is_token(shown):
            self._wrong.append(now)
            return pages.login(target, "That is not the token.")
        answer = RedirectResponse(target, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            self._sessions.cookie,
            self._sessions.new(),
            max_age=LASTS,
            httponly=True,
            samesite="strict",
            secure=_is_encrypted(request),
        )
        return answer

    def _log_out(self, request: Request) -> Response:
        if request.method != "POST" or "origin" not in request.headers:
            return PlainTextResponse("POST, from a page of ours\n", 405, {"Allow": "POST"})
        answer = RedirectResponse(LOGIN, 303)
        answer.delete_cookie(self._sessions.cookie, httponly=True, samesite="strict")
        return answer

    def _asked(self, request: Request) -> Response:
        """The login page. A request from another site first gets a page that reloads the address.

        A browser withholds the cookie when a link on another site is followed, and sends it when
        our own page loads the same address.
        """
        if request.headers.get("sec-fetch-site") == "cross-site":
            return pages.onward(_target(request))
        return pages.login(_target(request))


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; none if it is too long or incomplete."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > FORM:
                return {}
    except ClientDisconnect:
        return {}
    fields = parse_qs(body.decode("latin-1"))
    return {name: values[0] for name, values in fields.items()}


def _is_encrypted(request: Request) -> bool:
    """Whether the browser uses https, as a reverse proxy that terminates TLS says. A false header
    only keeps the sender's own browser from sending the cookie.
    """
    origin = request.headers.get("origin", "")
    return "https" in (origin.partition("://")[0], request.headers.get("x-forwarded-proto"))


def _target(request: Request) -> str:
    """The requested address, without the token."""
    asked = request.scope["query_string"].decode("latin-1").split("&")
    kept = [part for part in asked if part and unquote_plus(part.partition("=")[0]) != PARAMETER]
    return _local(quote(request.scope["path"]) + ("?" + "&".join(kept) if kept else ""))


def _local(target: str) -> str:
    """An address on this server; any other becomes its root."""
    return "/" + target.lstrip("/\\")
