"""Requires that a request names its host unambiguously."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from brex_sync.web.hosts import Host


class OneHost:
    """Refuses a request that does not name its host exactly once and in plain form."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds with 400, or passes the request on; a WebSocket is closed."""
        if scope["type"] == "lifespan" or named_host(scope) is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            message = {"message": "the request must name its host, once, as host or host:port"}
            await JSONResponse(message, 400)(scope, receive, send)


def named_host(scope: Scope) -> Host | None:
    """The host of a request; None if it names none, several, or an invalid one."""
    named = [value for name, value in scope["headers"] if name == b"host"]
    return Host.parse(named[0].decode("latin-1")) if len(named) == 1 else None
