"""What the proxy costs: the same request to Brex directly, and through the service."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

LOCAL_TOKEN = "bst_of_the_benchmark"
PATH = "/v2/users/me"
ONE_BY_ONE = 250
TOGETHER = 400
"""All in all fewer than what the proxy may ask in a minute, four fifths of Brex's 1,000."""
SIDE_BY_SIDE = 8


@dataclass
class Way:
    """One way to ask, and the seconds each request took."""

    name: str
    url: str
    token: str

    def one_by_one(self) -> list[float]:
        with self._client() as client:
            return [self._timed(client) for _ in range(ONE_BY_ONE + 10)][10:]

    def per_second(self) -> float:
        with self._client() as client, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            began = time.monotonic()
            list(pool.map(lambda _: self._timed(client), range(TOGETHER)))
            return TOGETHER / (time.monotonic() - began)

    def _client(self) -> httpx.Client:
        return httpx.Client(headers={"Authorization": f"Bearer {self.token}"}, timeout=60)

    def _timed(self, client: httpx.Client) -> float:
        began = time.perf_counter()
        answer = client.get(self.url)
        assert answer.status_code == 200, answer.text
        return time.perf_counter() - began


@contextmanager
def service(api: str, database: str, home: str) -> Iterator[str]:
    """`brex-sync serve` before a sandbox; yields its URL."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
    ours = {
        "BREX_CONFIGURATION": "sandbox",
        "BREX_API_URL": api,
        "BREX_SYNC_DATABASE_URL": database,
        "BREX_SYNC_HOME": home,
        "BREX_SYNC_SERVICE_TOKEN": LOCAL_TOKEN,
    }
    port = urlsplit(api).port
    assert port is not None
    url = f"http://127.0.0.1:{port + 1}"
    command = [sys.executable, "-m", "brex_sync", "serve", "--port", str(port + 1)]
    process = subprocess.Popen(command, env=kept | ours, stdout=subprocess.DEVNULL)
    try:
        _await(f"{url}/health")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def compare(api: str, database: str, home: str) -> list[str]:
    """The section of docs/benchmarks.md."""
    with service(api, database, home) as proxy:
        direct = Way("directly", f"{api}{PATH}", "bxt_sandbox")
        through = Way("through the proxy", f"{proxy}/proxy/brex{PATH}", LOCAL_TOKEN)
        lines = ["| | p50, ms | p99, ms | requests per second |", "|---|---|---|---|"]
        middles = []
        for way in (direct, through):
            taken = sorted(second * 1000 for second in way.one_by_one())
            middles.append(statistics.median(taken))
            p99 = taken[int(len(taken) * 0.99)]
            lines.append(
                f"| {way.name} | {middles[-1]:.1f} | {p99:.1f} | {way.per_second():,.0f} |"
            )
    return [
        f"## (p) `GET {PATH}`, directly and through the proxy",
        "",
        *lines,
        "",
        f"**{middles[1] - middles[0]:+.1f} ms** for the local token, the path's check, the rate "
        f"limit shared with the syncs, and the note in the log; {ONE_BY_ONE} requests one by one, "
        f"then {TOGETHER}, {SIDE_BY_SIDE} side by side.",
    ]


def _await(url: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(url)
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"{url} did not answer")
