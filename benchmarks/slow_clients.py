"""How long the service takes to answer while thousands of clients never finish their heads.

`python -m benchmarks.slow_clients`: `/health` and a webhook's acknowledgement, with the bounds of
`brex_sync.bounds` and without them, one after the other in one run.
"""

import base64
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import httpx
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks import __main__ as common
from benchmarks import webhooks
from brex_sync import http_server
from brex_sync.embedded import EmbeddedPostgres

CLIENTS, ASKED, PATIENCE = 3000, 200, 2.0
FILES = 1024
"""What the service may open, as is usual."""
HEAD = b"POST /webhooks/brex HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


def serve(kind: str) -> None:
    """`brex-sync serve` in this process, with or without bounds."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, most))
    if kind == "without":
        http_server.__dict__["bounded"] = lambda: HttpToolsProtocol
    sys.argv = ["brex-sync", "serve"]
    from brex_sync.cli import main

    main()


@contextmanager
def slow_clients(url: str) -> Iterator[None]:
    """So many clients that have sent half a head."""
    lines = []
    try:
        for _ in range(CLIENTS):
            with suppress(OSError):
                line = socket.create_connection(("127.0.0.1", urlsplit(url).port), timeout=5)
                lines.append(line)
                line.sendall(HEAD)
        yield
    finally:
        for line in lines:
            line.close()


def times(ask: Callable[[], object]) -> tuple[list[float], int]:
    """Milliseconds of each request; and how many were not answered, at which it soon gives up."""
    taken, failed = [], 0
    for _ in range(ASKED):
        began = time.perf_counter()
        try:
            ask()
        except (httpx.HTTPError, AssertionError):
            failed += 1
        taken.append((time.perf_counter() - began) * 1000)
        if failed > 10:
            break
    return taken, failed


def measure(kind: str, database: str, api: str, home: Path) -> None:
    """Prints what both kinds of requests take without slow clients, and beside them."""
    command = [sys.executable, "-m", "benchmarks.slow_clients", kind]
    with webhooks.service(database, api, home, command) as url:
        token = {"Authorization": "Bearer bxt_sandbox"}
        [first, *_] = httpx.get(f"{api}/v1/webhooks/secrets", headers=token).json()
        secret = base64.b64decode(first["secret"].removeprefix("whsec_"))

        def health() -> object:
            return httpx.get(f"{url}/health", timeout=PATIENCE).raise_for_status()

        def webhook() -> object:
            with httpx.Client(base_url=url, timeout=PATIENCE) as client:
                return webhooks.send(client, secret)

        _tell(f"{kind} bounds, no slow clients", health, webhook)
        with slow_clients(url):
            _tell(f"{kind} bounds, {CLIENTS} slow clients", health, webhook)


def _tell(when: str, *asked: Callable[[], object]) -> None:
    for ask in asked:
        taken, failed = times(ask)
        print(
            f"{when}: {ask.__name__} {median(taken):.1f} ms, at most {max(taken):.0f} ms, "
            f"{failed} of {len(taken)} not answered",
            flush=True,
        )


def main() -> None:
    """Measures both on a database, a sandbox and a service of their own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, CLIENTS + 1000), most))
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
        common.sandbox(100, months=2) as api,
    ):
        for kind in ("without", "with"):
            database = common.fresh(server, f"bench_{kind}")
            measure(kind, database, api, Path(folder) / kind)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    else:
        main()
