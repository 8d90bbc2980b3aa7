"""The guard in front of an app for browsers."""

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from brex_sync.web.checks import Refusal, foreign, unsafe
from brex_sync.web.headers import ProtectingHeaders
from brex_sync.web.hosts import Hosts
from brex_sync.web.login import Login

POLICY_VIOLATION = 1008


class Guard:
    """Accepts requests of the app's own pages, and of programs with the token.

    The app must change nothing on GET, except for GraphQL in the address, which the guard refuses.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, login: Login) -> None:
        self._app = app
        self._hosts = hosts
        self._login = login
        self._protected = ProtectingHeaders(self._judge)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await self._protected(scope, receive, send)

    async def _judge(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := foreign(scope, self._hosts):
            await _refuse(refusal, scope, receive, send)
        elif scope["type"] == "websocket":
            admitted = self._login.admits(HTTPConnection(scope))
            await (self._app if admitted else WebSocketClose(POLICY_VIOLATION))(
                scope, receive, send
            )
        elif answer := await self._login.answer(Request(scope, receive)):
            await answer(scope, receive, send)
        elif refusal := unsafe(scope):
            await _refuse(refusal, scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocketClose(POLICY_VIOLATION, refusal.why)(scope, receive, send)
    else:
        await PlainTextResponse(f"{refusal.why}\n", refusal.status)(scope, receive, send)
