"""Receiver and Postgres killed while events come in: nothing acknowledged is lost, and a sync
makes right what was never told."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from brex_sync.embedded import EmbeddedPostgres
from brex_sync.embedded.postmaster import find_postmaster
from brex_sync.http_server import running
from brex_sync.sandbox import World, create_world, emit_purchase
from brex_sync.sandbox.world.outbox import Conduct, DeliveryMode
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.conftest import Rig
from brex_sync_tests.e2e.conftest import free_port
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.sandbox.hearing import subscribe
from brex_sync_tests.waiting import HANGS, wait_until

ASTRAY = Conduct(
    dropped=0.04, doubled=0.03, reordered=0.03, late=1.5, first_wait=0.2, growth=1.15, tries=60
)
TYPES = (
    "USER_UPDATED", "TRANSFER_PROCESSED", "TRANSFER_FAILED", "EXPENSE_PAYMENT_UPDATED",
    "ACCOUNTING_RECORD_READY_FOR_EXPORT",
)  # fmt: skip


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for a Postgres of its own, to be killed."""
    made = Path(tempfile.mkdtemp(prefix="brex-sync-webhooks-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made.joinpath("postgres").resolve(), ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)


@dataclass
class Receiver:
    """`brex-sync serve`, killed and started as often as one likes."""

    home: Path
    database_url: str
    api_url: str
    port: int = field(default_factory=free_port)
    process: Any = None

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BREX_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "brex_sync", "serve", "--port", str(self.port)],
            env=environment
            | {
                "BREX_SYNC_HOME": str(self.home),
                "BREX_SYNC_DATABASE_URL": self.database_url,
                "BREX_CONFIGURATION": "sandbox",
                "BREX_API_URL": self.api_url,
            },
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def wait(self) -> None:
        wait_until(self.is_up)

    def is_up(self) -> bool:
        assert self.process.poll() is None, "the service ended by itself"
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health").is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=HANGS)


class Happenings:
    """Things that happen at Brex, one at a time."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._versions: dict[str, int] = {}

    def one(self) -> None:
        """One that is an event, of one kind or another."""
        self._chance.choice((self._user, self._transfer, self._record, self._purchase))()

    def _pick(self, collection: str) -> tuple[Any, str]:
        rows = self._world.collection(collection)
        return rows, self._chance.choice(rows.rows().ids[:40])

    def _user(self) -> None:
        users, key = self._pick("users")
        departments = self._world.collection("departments").rows().ids
        now = (users.get(key) or {}).get("department_id")
        users.edit(key, department_id=self._chance.choice([d for d in departments if d != now]))

    def _transfer(self) -> None:
        transfers, key = self._pick("transfers")
        transfers.edit(key, status="PROCESSING")
        transfers.edit(key, status=self._chance.choice(["PROCESSED", "FAILED"]))

    def _record(self) -> None:
        records, key = self._pick("accounting_records")
        records.edit(key, review_status="PREPARE")
        records.edit(key, review_status="READY_FOR_EXPORT", updated_at=self._world.moment())

    def _purchase(self) -> None:
        _, key = self._pick("expenses")
        self._versions[key] = self._versions.get(key, 0) + 1
        emit_purchase(self._world, key, self._versions[key])


def kill_postgres(home: Path) -> None:
    found = find_postmaster((home / "postgres").resolve())
    assert found
    os.kill(found.pid, signal.SIGKILL)


def live_through(home: Path, events: int, kills: int, seed: int) -> None:
    """So many events, with so many kills of each among them, and then one sync."""
    world = create_world(card_transactions=300)
    world.events.conduct = ASTRAY
    chance, happenings = random.Random(seed), Happenings(world, seed)
    victims = [v for v in ("receiver", "postgres") for _ in range(kills)]
    chance.shuffle(victims)
    struck = {round(events * (n + 1) / (len(victims) + 1)): v for n, v in enumerate(victims)}
    port = free_port()
    with EmbeddedPostgres(home, port=port) as server:
        url = server.url("brex")
        engine = open_engine(url)
        prepare(Warehouse(engine, "brex"), STREAMS.values(), VIEWS.values())
        rig = Rig(engine, world)
        with running(rig.app) as api:
            receiver = Receiver(home, url, api)
            receiver.start()
            try:
                receiver.wait()
                subscribe(world, f"http://127.0.0.1:{receiver.port}/webhooks/brex", *TYPES)
                for number in range(events):
                    happenings.one()
                    time.sleep(0.02)
                    if struck.get(number) == "receiver":
                        receiver.kill()
                        receiver.start()
                        receiver.wait()
                    elif struck.get(number) == "postgres":
                        kill_postgres(home)
                        with EmbeddedPostgres(home, port=port) as again:
                            assert again.url("brex") == url
                sent = [e for e in world.events.emitted if e.fate is not DeliveryMode.DROPPED]
                wait_until(lambda: acknowledged(world) >= {e.id for e in sent})
                engine.dispose()
                wait_until(lambda: not rig.rows(WAITING))
            finally:
                receiver.kill()
        check(rig, world)
        engine.dispose()


WAITING = "SELECT FROM brex_sync.webhook_events WHERE state = 'waiting'"


def acknowledged(world: World) -> set[str]:
    return {attempt.event_id for attempt in list(world.events.attempts) if attempt.accepted}


def check(rig: Rig, world: World) -> None:
    """Every acknowledged event is done, the newest payment stands, and a sync makes all right."""
    kept = dict(rig.rows("SELECT id, state FROM brex_sync.webhook_events"))
    assert set(kept) == acknowledged(world)
    assert set(kept.values()) == {"done"}
    assert {e.id for e in world.events.emitted if e.fate is DeliveryMode.DROPPED}.isdisjoint(kept)
    told: dict[str, int] = {}
    for body in rig.rows(
        "SELECT body FROM brex_sync.webhook_bodies JOIN brex_sync.webhook_events "
        "USING (connection, id) WHERE type = 'EXPENSE_PAYMENT_UPDATED'"
    ):
        [payment] = [httpx.Response(200, content=body[0]).json()]
        told[payment["expense_id"]] = max(told.get(payment["expense_id"], 0), payment["version"])
    assert dict(rig.rows("SELECT expense_id, version FROM brex.expense_payments")) == told
    tables = ("users", "transfers", "accounting_records", "expenses")
    assert rig.sync(*tables).finished
    assert_equal(rig, *tables)


def test_what_is_acknowledged_survives_a_killed_receiver_and_a_killed_postgres(home: Path) -> None:
    live_through(home, events=120, kills=1, seed=1)


@pytest.mark.crash
@pytest.mark.parametrize("seed", range(3))
def test_five_hundred_events_with_kills_of_both_among_them(home: Path, seed: int) -> None:
    live_through(home, events=500, kills=4, seed=seed)
