"""A sandbox on a port, a warehouse, and the service in front of it."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.applications import Starlette

from brex_sync.connections.connect import ready_vault
from brex_sync.connections.declared import Connection
from brex_sync.http_server import running
from brex_sync.runtime.events import process_events
from brex_sync.sandbox import Conduct, Faults, World, create_world
from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.service.reception import WebhookReceiver
from brex_sync.service.webhooks import routes
from brex_sync.settings import Configuration, Settings
from brex_sync.warehouse.events import inbox, webhook_secrets
from brex_sync.warehouse.events.inbox import Standing
from brex_sync.webhooks.verify import read_event
from brex_sync_tests.conftest import Rig

SECRET = base64.b64encode(bytes(range(24))).decode()
QUICK = Conduct(first_wait=0.05, growth=1.3, tries=30, late=0.3)


def signature(secret: str, webhook_id: str, seconds: str, body: bytes) -> str:
    """One signature, made by hand."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{webhook_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed(
    body: bytes, webhook_id: str = "msg_1", secret: str = SECRET, age: float = 0.0
) -> dict[str, str]:
    """The headers Brex would send with a body, `age` seconds ago."""
    seconds = str(int(time.time() - age))
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": seconds,
        "Webhook-Signature": signature(secret, webhook_id, seconds, body),
    }


def told(event_type: str, **fields: Any) -> bytes:
    """The body of an event."""
    return json.dumps({"event_type": event_type, **fields}).encode()


@dataclass
class Office:
    """A company at a simulated Brex, its warehouse, and the service that takes its webhooks."""

    rig: Rig
    settings: Settings
    connection: Connection
    url: str
    others: tuple[str, ...] = ()
    reception: WebhookReceiver = field(init=False, repr=False)

    @property
    def world(self) -> World:
        return self.rig.world

    def know(self, *secrets: str) -> None:
        """Stores secrets as if Brex had told them."""
        vault = ready_vault(self.settings, self.rig.engine, "brex")
        sealed = vault.seal({str(number): one for number, one in enumerate(secrets)})
        webhook_secrets.store(self.rig.warehouse, sealed)

    def service(self) -> Any:
        """The whole service, with its worker once it runs."""
        return create_service(self.accounts())

    def accounts(self) -> Accounts:
        names = ("brex", *self.others)
        connections = {name: replace(self.connection, name=name) for name in names}
        return Accounts(self.settings, self.rig.engine, connections)

    def post(self, body: bytes, headers: Any, path: str = "/webhooks/brex") -> httpx.Response:
        """Delivers to the receiver alone, without the worker; all it knows is in the warehouse."""

        async def go() -> httpx.Response:
            async with self.accounts() as accounts:
                self.reception = WebhookReceiver(accounts)
                app = Starlette(routes=routes(self.reception))
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                    return await client.post(path, content=body, headers=headers)

        return asyncio.run(go())

    def deliver(self, body: bytes, webhook_id: str = "msg_1") -> None:
        """Delivers a body rightly signed, which is taken."""
        assert self.post(body, signed(body, webhook_id)).status_code == 200

    def deliver_quietly(self, body: bytes, webhook_id: str) -> None:
        """Puts an event straight into the inbox, as the receiver would."""
        inbox.take(self.rig.warehouse, read_event(webhook_id, body))

    def process(self) -> int:
        """Works off what is due."""
        return asyncio.run(process_events(self.settings, self.connection, self.rig.warehouse))

    def standing(self) -> Standing:
        return inbox.standing(self.rig.warehouse)

    def events(self) -> list[tuple[Any, ...]]:
        """Every event's id, state, tries and note, in the order they came."""
        return self.rig.rows(
            "SELECT id, state, tries, note FROM brex_sync.webhook_events ORDER BY number"
        )

    def make_due(self) -> None:
        """Lets the time pass after which events are tried again."""
        with self.rig.engine.begin() as db:
            db.execute(sa.text("UPDATE brex_sync.webhook_events SET next_try_at = now()"))


def open_office(rig: Rig, url: str, home: Path, database_url: str, **extra: Any) -> Office:
    settings = Settings(
        home=home,
        database_url=SecretStr(database_url),
        service_token=SecretStr("bst_" + "t" * 32),
        **extra,
    )
    connection = Connection("brex", Configuration.SANDBOX, url, token="bxt_sandbox")
    return Office(rig, settings, connection, url)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def office(
    engine: sa.Engine,
    database_url: str,
    tmp_path: Path,
    faults: Faults,
    clean_environment: None,
) -> Iterator[Office]:
    """A company of some people, cards and expenses."""
    world = create_world(card_transactions=60)
    world.events.conduct = QUICK
    rig = Rig(engine, world, faults)
    with running(rig.app) as url:
        yield open_office(rig, url, tmp_path / "home", database_url)
