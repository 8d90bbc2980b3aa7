"""The address on this machine to which Brex redirects the browser with the code."""

import hmac
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from brex_sync.brex.addresses import is_private
from brex_sync.errors import NoReceiver, PortTaken
from brex_sync.http_server import bind, running_on

_PAGE = """<!doctype html><meta charset="utf-8"><title>brex_sync</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p>"""
_DONE = ("Thank you", "brex_sync has Brex's answer. You can close this page.")
_NOT_OURS = ("That is not for us", "This page answers another question than the one asked.")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Receiver:
    """An ASGI app that waits for one redirect. Created by `listening`."""

    def __init__(self, path: str, state: str) -> None:
        self.path = path
        self.state = state
        self.came: queue.Queue[str] = queue.Queue()

    def wait(self, seconds: float) -> str:
        """The path and query of the redirect, whose state is verified.

        Raises:
            NoReceiver: no redirect came in time.
        """
        try:
            return self.came.get(timeout=seconds)
        except queue.Empty:
            raise NoReceiver(
                f"nobody came back from Brex within {seconds / 60:.0f} minutes; start again, or "
                "use --no-browser and paste the address you are sent to"
            ) from None

    def expects(self, path: str, query: str) -> bool:
        """Whether a request is the redirect: it has the right path and exactly one state, the right
        one.
        """
        states = parse_qs(query).get("state", [])
        same = [hmac.compare_digest(state.encode(), self.state.encode()) for state in states]
        return path == self.path and same == [True]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Responds to a request. Its query has the code, which is never logged."""
        request = Request(scope)
        query = scope["query_string"].decode("latin-1")
        counts = request.method == "GET" and self.expects(request.url.path, query)
        title, text = _DONE if counts else _NOT_OURS
        page = _PAGE.format(title=title, text=text)
        await HTMLResponse(page, 200 if counts else 400, _HEADERS)(scope, receive, send)
        if counts:
            self.came.put(f"{self.path}?{query}")


@contextmanager
def listening(redirect_uri: str, state: str) -> Iterator[Receiver]:
    """Listens on a loopback address while the block runs.

    Raises:
        NoReceiver: the address is not on this machine, or its port is in use.
    """
    if not is_private(redirect_uri) or not redirect_uri.startswith("http:"):
        raise NoReceiver(f"{redirect_uri} is not on this machine: use --no-browser")
    parts = urlsplit(redirect_uri)
    try:
        listener = bind(parts.port or 80)
    except PortTaken:
        raise NoReceiver(
            f"cannot listen on {redirect_uri}: free the port, set BREX_REDIRECT_URI to another "
            "that is registered with Brex, or use --no-browser"
        ) from None
    receiver = Receiver(parts.path or "/", state)
    with running_on(receiver, listener):
        yield receiver
