"""(w) The receiver of webhooks: how soon it answers, how many it takes, how soon rows are here."""

import base64
import hashlib
import hmac
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg

ONE_BY_ONE, AT_ONCE, SENDERS = 500, 4_000, 8
UPDATES = 30
_ids = count()


@contextmanager
def service(database: str, api: str, home: Path) -> Iterator[str]:
    """`brex-sync serve` in a process of its own; yields its URL."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BREX_")}
    environment |= {
        "BREX_SYNC_HOME": str(home),
        "BREX_SYNC_DATABASE_URL": database,
        "BREX_CONFIGURATION": "sandbox",
        "BREX_API_URL": api,
        "BREX_SYNC_SERVICE_PORT": "8799",
    }
    command = [sys.executable, "-m", "brex_sync"]
    process = subprocess.Popen(
        [*command, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = "http://127.0.0.1:8799"
    try:
        while not _is_up(url):
            assert process.poll() is None, "the service ended"
            time.sleep(0.1)
        register = [*command, "webhooks", "register", "--url", url]
        subprocess.run(register, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False


def measure(database: str, api: str, home: Path) -> list[str]:
    """The section of docs/benchmarks.md."""
    with service(database, api, home) as url, httpx.Client(base_url=api) as brex:
        token = {"Authorization": "Bearer bxt_sandbox"}
        [first, *_] = brex.get("/v1/webhooks/secrets", headers=token).json()
        secret = base64.b64decode(first["secret"].removeprefix("whsec_"))
        alone = sorted(_send(httpx.Client(base_url=url), secret) for _ in range(ONE_BY_ONE))
        began = time.perf_counter()
        with ThreadPoolExecutor(SENDERS) as pool:
            busy = sorted(
                taken
                for part in pool.map(lambda _: _send_many(url, secret), range(SENDERS))
                for taken in part
            )
        per_second = len(busy) / (time.perf_counter() - began)
        rows = sorted(_until_row(brex, database, token) for _ in range(UPDATES))
    return [
        "## (w) Webhooks: acknowledged once they are stored, worked off as they come",
        "",
        "| deliveries | events per second | ms until acknowledged: median | 99 of 100 |",
        "|---|---|---|---|",
        f"| one after the other | {1 / statistics.mean(alone):,.0f} | {_ms(alone, 0.5)} "
        f"| {_ms(alone, 0.99)} |",
        f"| from {SENDERS} senders at once | {per_second:,.0f} | {_ms(busy, 0.5)} "
        f"| {_ms(busy, 0.99)} |",
        "",
        "From a change at Brex, through the event, its verification, and the fetch, to the row in "
        f"Postgres: **{_at(rows, 0.5):.2f} s** (median), {rows[-1]:.2f} s at most, of {UPDATES} "
        "(wanted: seconds). Measured while nothing else waits; the Dagster sensor, which looks "
        "every 5 s, is only for what the service leaves.",
    ]


def _send(client: httpx.Client, secret: bytes) -> float:
    """Seconds until an event of an unknown kind, of which nothing is to be fetched, is taken."""
    body = json.dumps({"event_type": "EMBEDDED_CARD_UPDATED", "card_id": "x" * 40}).encode()
    name, now = f"msg_bench_{next(_ids)}", str(int(time.time()))
    digest = hmac.new(secret, f"{name}.{now}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "Webhook-Id": name,
        "Webhook-Timestamp": now,
        "Webhook-Signature": "v1," + base64.b64encode(digest).decode(),
    }
    began = time.perf_counter()
    answer = client.post("/webhooks/brex", content=body, headers=headers)
    taken = time.perf_counter() - began
    assert answer.status_code == 200, answer.text
    return taken


def _send_many(url: str, secret: bytes) -> list[float]:
    with httpx.Client(base_url=url) as client:
        return [_send(client, secret) for _ in range(AT_ONCE // SENDERS)]


def _until_row(brex: httpx.Client, database: str, token: dict[str, str]) -> float:
    """Seconds from a user's change at Brex until their row shows it."""
    department = f"dept_{next(_ids) % 8:04d}"
    with psycopg.connect(database, autocommit=True) as db:
        query = "SELECT department_id FROM brex.users WHERE id = 'cuuser_00001'"
        if db.execute(query).fetchone() == (department,):
            department = f"dept_{next(_ids) % 8:04d}"
        change: dict[str, Any] = {"department_id": department}
        began = time.perf_counter()
        brex.put("/v2/users/cuuser_00001", json=change, headers=token).raise_for_status()
        while db.execute(query).fetchone() != (department,):
            assert time.perf_counter() - began < 60, "the row never came"
            time.sleep(0.005)
        return time.perf_counter() - began


def _ms(sorted_seconds: list[float], share: float) -> str:
    return f"{_at(sorted_seconds, share) * 1000:.1f}"


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]
