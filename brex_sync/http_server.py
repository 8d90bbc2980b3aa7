"""Serves an ASGI app on a port: the sandbox, or the service."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from brex_sync.bounds import bounded
from brex_sync.errors import PortTaken
from brex_sync.web.one_host import OneHost

HOST = "127.0.0.1"
GRACE = 1
"""Seconds that requests under way have to end, once the server is to stop, if not said."""


def bind(port: int, host: str = HOST) -> socket.socket:
    """A socket on `port`, or on a free port for 0.

    Raises:
        PortTaken: the port is in use.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise PortTaken(f"port {port} is in use; choose another with --port") from None
    listener.listen()
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL by which clients reach the socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def serve(app: ASGIApp, listener: socket.socket, grace: int = GRACE) -> None:
    """Serves until SIGINT or SIGTERM; requests in progress then have `grace` seconds to finish."""
    _server(app, grace).run(sockets=[listener])


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serves in a thread on a free port while the block runs; yields the URL."""
    with running_on(app, bind(0)) as url:
        yield url


@contextmanager
def running_on(app: ASGIApp, listener: socket.socket) -> Iterator[str]:
    """Serves in a thread on a socket of `bind` while the block runs; yields the URL."""
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _server(app: ASGIApp, grace: int = GRACE) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            OneHost(app),
            http=bounded(),
            log_level="warning",
            access_log=False,
            lifespan="auto",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=grace,
        )
    )
