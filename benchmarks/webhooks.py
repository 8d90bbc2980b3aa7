"""(w) The receiver of webhooks: how soon it answers, how many it takes, how soon rows are here."""

import base64
import hashlib
import hmac
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path

import httpx
import psutil
import psycopg

from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.events import inbox

ONE_BY_ONE, AT_ONCE, SENDERS = 500, 4_000, 8
UPDATES, LOOKS = 30, 15
COMMAND = (sys.executable, "-m", "brex_sync")
_ids = count()


@contextmanager
def service(
    database: str, api: str, home: Path, serve: Sequence[str] = (*COMMAND, "serve")
) -> Iterator[str]:
    """`brex-sync serve` in a process of its own, known to the sandbox; yields its URL."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BREX_")}
    environment |= _settings(database, api, home) | {"BREX_SYNC_SERVICE_PORT": "8799"}
    process = subprocess.Popen(
        serve, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = "http://127.0.0.1:8799"
    try:
        while not _is_up(url):
            assert process.poll() is None, "the service ended"
            time.sleep(0.1)
        register = [*COMMAND, "webhooks", "register", "--url", url]
        subprocess.run(register, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _settings(database: str, api: str, home: Path) -> dict[str, str]:
    return {
        "BREX_SYNC_HOME": str(home),
        "BREX_SYNC_DATABASE_URL": database,
        "BREX_CONFIGURATION": "sandbox",
        "BREX_API_URL": api,
    }


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def dagster(database: str, storage: str, api: str, home: Path) -> Iterator[None]:
    """`dagster dev` without the service, once its sensors look."""
    checkout = Path(__file__).parent.parent
    instance = home / "dagster"
    instance.mkdir(parents=True)
    shutil.copy(checkout / "dagster.yaml", instance)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
    environment |= _settings(database, api, home)
    environment |= {"DAGSTER_HOME": str(instance), "BREX_SYNC_STREAMS": "users"}
    environment["DAGSTER_POSTGRES_URL"] = storage.replace("postgresql://", "postgresql+psycopg2://")
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "--port", "8798"]
    process = subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_done(database, "msg_first", seconds=180)
        yield
    finally:
        _end(process.pid)


def _end(pid: int) -> None:
    """Ends a process and all that it started; Dagster does not always hear the first word."""
    leader = psutil.Process(pid)
    family = [leader, *leader.children(recursive=True)]
    leader.terminate()
    for process in psutil.wait_procs(family, timeout=10)[1]:
        process.kill()


def _until_done(database: str, name: str, seconds: float) -> float:
    """Seconds until an event that is put into the inbox now has been worked off."""
    done = "SELECT done_at - received_at FROM brex_sync.webhook_events WHERE id = %s"
    body = {"event_type": "USER_UPDATED", "user_id": "cuuser_00001"}
    with psycopg.connect(database, autocommit=True) as db:
        engine = open_engine(database)
        inbox.take(
            Warehouse(engine, "brex"), inbox.InboxEvent(name, "USER_UPDATED", json.dumps(body))
        )
        engine.dispose()
        for _ in range(round(seconds / 0.05)):
            [taken] = db.execute(done, [name]).fetchone() or [None]
            if taken is not None:
                return float(taken.total_seconds())
            time.sleep(0.05)
    raise AssertionError("nobody worked it off")


def by_sensor(database: str, storage: str, api: str, home: Path) -> list[float]:
    """Seconds until the sensor has worked off an event that came at any time between two looks."""
    chance = random.Random(7)
    with dagster(database, storage, api, home):
        found = []
        for number in range(LOOKS):
            time.sleep(chance.uniform(0, 8))
            found.append(_until_done(database, f"msg_{number}", seconds=60))
    return sorted(found)


def measure(database: str, storage: str, api: str, home: Path) -> list[str]:
    """The section of docs/benchmarks.md."""
    lines = _measure_service(database, api, home)
    looked = by_sensor(database, storage, api, home)
    return [
        *lines,
        "",
        "Left to the Dagster sensor, which looks every 5 s and works within its tick, an event "
        f"waits {statistics.median(looked):.1f} s (median), {looked[-1]:.1f} s at most, of "
        f"{LOOKS}: it is for what the service leaves.",
    ]


def _measure_service(database: str, api: str, home: Path) -> list[str]:
    token = {"Authorization": "Bearer bxt_sandbox"}
    with (
        service(database, api, home) as url,
        httpx.Client(base_url=api, headers=token) as brex,
    ):
        [first, *_] = brex.get("/v1/webhooks/secrets").json()
        secret = base64.b64decode(first["secret"].removeprefix("whsec_"))
        alone = sorted(send(httpx.Client(base_url=url), secret) for _ in range(ONE_BY_ONE))
        began = time.perf_counter()
        with ThreadPoolExecutor(SENDERS) as pool:
            busy = sorted(
                taken
                for part in pool.map(lambda _: _send_many(url, secret), range(SENDERS))
                for taken in part
            )
        per_second = len(busy) / (time.perf_counter() - began)
        departments = [one["id"] for one in brex.get("/v2/departments").json()["items"]]
        changes = islice(cycle(departments[:2]), UPDATES)
        rows = sorted(_until_row(brex, database, one) for one in changes)
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
        "(wanted: seconds), by the service, while nothing else waits.",
    ]


def send(client: httpx.Client, secret: bytes) -> float:
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
        return [send(client, secret) for _ in range(AT_ONCE // SENDERS)]


def _until_row(brex: httpx.Client, database: str, department: str) -> float:
    """Seconds from a user's change at Brex until their row shows it."""
    query = "SELECT department_id FROM brex.users WHERE id = 'cuuser_00001'"
    with psycopg.connect(database, autocommit=True) as db:
        began = time.perf_counter()
        change = {"department_id": department}
        brex.put("/v2/users/cuuser_00001", json=change).raise_for_status()
        while db.execute(query).fetchone() != (department,):
            assert time.perf_counter() - began < 60, "the row never came"
            time.sleep(0.005)
        return time.perf_counter() - began


def _ms(sorted_seconds: list[float], share: float) -> str:
    return f"{_at(sorted_seconds, share) * 1000:.1f}"


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]
