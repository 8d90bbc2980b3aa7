"""How long an honest request takes while thousands of clients never finish their heads.

`python -m benchmarks.slow_clients`: with the bounds of `brex_sync.bounds`, and without them.
"""

import resource
import socket
import subprocess
import sys
import time
from contextlib import suppress
from statistics import median

import httpx
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from brex_sync import bounds
from brex_sync.serving import bind, url_of

CLIENTS, ASKED = 3000, 200
HEAD = b"POST /webhooks/brex HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


def serve(kind: str, descriptor: int) -> None:
    """Serves /health in this process until it is killed."""
    http = bounds.bounded() if kind == "with bounds" else HttpToolsProtocol
    app = PlainTextResponse("up")
    listener = socket.socket(fileno=descriptor)
    uvicorn.Server(uvicorn.Config(app, http=http, log_level="critical")).run(sockets=[listener])


def measure(kind: str) -> tuple[float, float, int]:
    """Milliseconds of a request, the median and the worst; and how many were not answered."""
    listener = bind(0)
    command = [sys.executable, "-m", "benchmarks.slow_clients", kind, str(listener.fileno())]
    server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    url, slow = url_of(listener), []
    port = listener.getsockname()[1]
    listener.close()
    try:
        httpx.get(url, timeout=60)
        for _ in range(CLIENTS):
            with suppress(OSError):
                line = socket.create_connection(("127.0.0.1", port), timeout=5)
                line.sendall(HEAD)
                slow.append(line)
        times, failed = [], 0
        for _ in range(ASKED):
            began = time.perf_counter()
            try:
                httpx.get(url, timeout=2, trust_env=False).raise_for_status()
            except httpx.HTTPError:
                failed += 1
            times.append((time.perf_counter() - began) * 1000)
            if failed > 10:
                break
        return median(times), max(times), failed
    finally:
        server.kill()
        server.wait()
        for line in slow:
            line.close()


def main() -> None:
    """Prints both, measured in one run; the server may open 1024 files, as is usual."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CLIENTS + 1000), hard))
    for kind in ("without bounds", "with bounds"):
        middle, worst, failed = measure(kind)
        print(f"{kind}: {middle:.1f} ms, at most {worst:.0f} ms, {failed} of {ASKED} not answered")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, most))
        serve(sys.argv[1], int(sys.argv[2]))
    else:
        main()
