"""Sends webhook events, signed, to whoever subscribed; again until they are taken.

The signature is that of Standard Webhooks: base64 of HMAC-SHA256, keyed with the secret decoded
from base64, over id, timestamp and body with dots between.
"""

import asyncio
import base64
import hashlib
import hmac
import random
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx

from brex_sync.brex.cookies import no_cookies
from brex_sync.sandbox.events.signing_secrets import list_secrets
from brex_sync.sandbox.events.subscriptions import is_loopback
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.outbox import Attempt, DeliveryMode, SandboxEvent

AT_ONCE = 10
PATIENCE = 10.0
LIVE_TICK = 1.0
"""Seconds between two looks at what happened in a live world that nobody asks."""


def sign(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> str:
    """The Webhook-Signature header: one signature per secret."""
    text = f"{event_id}.{timestamp}.".encode() + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    made = [base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode() for key in keys]
    return " ".join(f"v1,{signature}" for signature in made)


class Deliveries:
    """The events of a world on their way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._events = world.events
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block runs; what is under way then is given up."""
        loop = asyncio.get_running_loop()
        wake = partial(_wake, loop, self._woken)
        self._events.wake = wake
        limits = httpx.Limits(max_connections=AT_ONCE)
        timeout = httpx.Timeout(PATIENCE, pool=None)
        async with httpx.AsyncClient(
            limits=limits, timeout=timeout, trust_env=False, cookies=no_cookies()
        ) as client:
            self._start(self._run(client))
            try:
                yield
            finally:
                if self._events.wake is wake:
                    self._events.wake = _nobody
                tasks = list(self._tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, client: httpx.AsyncClient) -> None:
        while True:
            self._world.tick()
            while self._events.waiting:
                self._send_off(client, self._events.waiting.popleft())
            try:
                await asyncio.wait_for(
                    self._woken.wait(), LIVE_TICK if self._world.is_live else None
                )
            except TimeoutError:
                continue
            self._woken.clear()

    def _send_off(self, client: httpx.AsyncClient, event: SandboxEvent) -> None:
        if event.fate is DeliveryMode.DROPPED:
            return
        for subscription in self._world.collection("webhooks").items():
            if subscription["status"] == "ACTIVE" and event.type in subscription["event_types"]:
                for _ in range(2 if event.fate is DeliveryMode.DOUBLED else 1):
                    self._start(self._deliver(client, event, subscription["id"]))

    async def _deliver(self, client: httpx.AsyncClient, event: SandboxEvent, key: str) -> None:
        """Sends one event to one subscription until it is taken, or given up, or not wanted."""
        conduct = self._events.conduct
        await asyncio.sleep(self._lateness(event))
        for number in range(1, conduct.tries + 1):
            subscription = self._world.collection("webhooks").get(key)
            if subscription is None or subscription["status"] != "ACTIVE":
                return
            attempt = await self._attempt(client, event, subscription, number)
            self._events.attempts.append(attempt)
            if attempt.accepted or not is_loopback(subscription["url"]):
                return
            await asyncio.sleep(conduct.first_wait * conduct.growth ** (number - 1))

    def _lateness(self, event: SandboxEvent) -> float:
        late = self._events.conduct.late
        if event.fate is DeliveryMode.DELAYED:
            return late
        if event.fate is DeliveryMode.REORDERED:
            return late * random.Random(event.id).random()
        return 0.0

    async def _attempt(
        self, client: httpx.AsyncClient, event: SandboxEvent, subscription: Item, number: int
    ) -> Attempt:
        """Only receivers on this machine are spoken to: nothing leaves it."""
        told = (event.id, subscription["id"], number)
        if not is_loopback(subscription["url"]):
            return Attempt(*told, None, "the sandbox sends to this machine alone")
        try:
            answer = await client.post(
                subscription["url"], content=event.body, headers=self._headers(event)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Attempt(*told, None, type(error).__name__)
        return Attempt(*told, answer.status_code, "")

    def _headers(self, event: SandboxEvent) -> dict[str, str]:
        states = ("ACTIVE", "PENDING_REVOKE") if self._events.conduct.both else ("ACTIVE",)
        secrets = list_secrets(self._world, *states)
        now = int(time.time())
        return {
            "Content-Type": "application/json",
            "Webhook-Id": event.id,
            "Webhook-Timestamp": str(now),
            "Webhook-Signature": sign(secrets, event.id, now, event.body),
        }


def _nobody() -> None:
    """Nobody sends any more."""


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    """From any thread; a loop that has ended needs none."""
    try:
        loop.call_soon_threadsafe(woken.set)
    except RuntimeError:
        return
