"""The address on this machine to which Brex sends a person's browser back with the code."""

import hmac
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from brex_sync.brex.oauth import is_private

_PAGE = """<!doctype html><meta charset="utf-8"><title>brex_sync</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p>"""
_DONE = ("Thank you", "brex_sync has Brex's answer. You can close this page.")
_NOT_OURS = ("That is not for us", "This page answers another question than the one asked.")


class NoReceiver(Exception):
    """The redirect address cannot be listened on, or nobody came; the message says what to do."""


class Receiver:
    """Waits for one redirect. Made by `listening`."""

    def __init__(self, path: str, state: str) -> None:
        self.path = path
        self.state = state
        self.came: queue.Queue[str] = queue.Queue()

    def wait(self, seconds: float) -> str:
        """The path and query the browser was sent back with, its state proved.

        Raises:
            NoReceiver: nobody came in time.
        """
        try:
            return self.came.get(timeout=seconds)
        except queue.Empty:
            raise NoReceiver(
                f"nobody came back from Brex within {seconds / 60:.0f} minutes; start again, or "
                "use --no-browser and paste the address you are sent to"
            ) from None

    def expects(self, target: str) -> bool:
        """Whether a request counts: only with the right path and state."""
        parts = urlsplit(target)
        state = parse_qs(parts.query).get("state", [""])[0]
        return parts.path == self.path and hmac.compare_digest(state, self.state)


@contextmanager
def listening(redirect_uri: str, state: str) -> Iterator[Receiver]:
    """Listens on this machine's own interface for as long as the block runs.

    Raises:
        NoReceiver: the address is not on this machine, or its port is in use.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme != "http" or not is_private(redirect_uri):
        raise NoReceiver(f"{redirect_uri} is not on this machine: use --no-browser")
    receiver = Receiver(parts.path or "/", state)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            counts = receiver.expects(self.path)
            title, text = _DONE if counts else _NOT_OURS
            body = _PAGE.format(title=title, text=text).encode()
            self.send_response(200 if counts else 400)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(body)
            if counts:
                receiver.came.put(self.path)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: the request holds the code."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", parts.port or 80), Handler)
    except OSError as error:
        raise NoReceiver(
            f"cannot listen on {redirect_uri} ({error.strerror}): free the port, set "
            "BREX_REDIRECT_URI to another that is registered with Brex, or use --no-browser"
        ) from None
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
