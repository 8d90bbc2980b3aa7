"""Response headers that isolate pages in the browser."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROTECTING = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
"""Holds in addition to a policy that an answer has of its own."""


class ProtectingHeaders:
    """Adds headers that keep responses out of foreign frames, windows, scripts and referrers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(PROTECTING)
                headers.append("Content-Security-Policy", POLICY)
            await send(message)

        await self._app(scope, receive, protected)
