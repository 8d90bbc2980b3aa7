"""Webhook deliveries taken in: verified, stored for good, and only then acknowledged."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from brex_sync.errors import BrexError, DeliveryRejected, SettingsError, WrongSignature
from brex_sync.service.accounts import Accounts
from brex_sync.warehouse import credentials
from brex_sync.warehouse.events import inbox
from brex_sync.webhooks.events import company_of, storable
from brex_sync.webhooks.notify import forwarded
from brex_sync.webhooks.secrets import KEPT, Secrets
from brex_sync.webhooks.verify import read_event, verify

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
"""How long a delivery waits for Brex to tell its secrets; after that the sender tries again."""


@dataclass
class WebhookReceiver:
    """Takes deliveries for all connections.

    `arrived` is set, by connection, when there is something to work off; `refused` counts what was
    not taken, by connection and reason, until somebody notes it.
    """

    accounts: Accounts
    arrived: dict[str, asyncio.Event] = field(default_factory=dict)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    secrets: dict[str, Secrets] = field(default_factory=dict)
    _companies: dict[str, str | None] = field(default_factory=dict)
    _companies_until: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        for name in self.accounts.connections:
            self.arrived[name] = asyncio.Event()
            self.secrets[name] = Secrets(self.accounts.settings, self.accounts.warehouse(name))

    async def take(self, connection: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Stores a delivery for good; whether it tells of something new.

        Raises:
            DeliveryRejected: it is not Brex's, or not of the form Brex promises.
            PostgresError, VaultError: it is not stored; the sender should repeat.
        """
        event = read_event(await self._verified(connection, headers, body), body)
        event = replace(event, body=storable(event.body))
        owner = await self._owner(connection, company_of(event.body))
        notices = forwarded(self.accounts.settings, owner, event)
        new = await self.accounts.warehouse(owner).call(inbox.take, event, notices)
        if new:
            self.arrived[owner].set()
        return new

    def refuse(self, connection: str, refused: DeliveryRejected) -> None:
        """Counts a delivery that was not taken."""
        self.refused[connection, refused.reason] += 1

    async def _verified(self, name: str, headers: Mapping[str, str], body: bytes) -> str:
        """The id of a delivery that a live secret signed, if need be one Brex is asked for now."""
        secrets = self.secrets[name]
        known = await secrets.known()
        try:
            return verify(headers, body, known)
        except WrongSignature:
            async with self._asking:
                fresh = await self._fresh(name, known)
            if fresh == known:
                raise
            return verify(headers, body, fresh)

    async def _owner(self, name: str, company: str | None) -> str:
        """Whose event it is: a partner's one endpoint gets those of all its companies."""
        if time.monotonic() >= self._companies_until:
            rows = await asyncio.to_thread(credentials.read_all, self.accounts.engine)
            self._companies = {row.connection: row.company_id for row in rows}
            self._companies_until = time.monotonic() + KEPT
        others = self._companies
        if company is None or others.get(name) == company:
            return name
        known = (one for one in self.accounts.connections if others.get(one) == company)
        return next(known, name)

    async def _fresh(self, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """The secrets as others stored them meanwhile, or else as Brex tells them now."""
        secrets = self.secrets[name]
        if not secrets.worth_a_look():
            return known
        stored = await secrets.look()
        if stored != known or not await secrets.may_ask():
            return stored
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                return await secrets.refresh(await self.accounts.client(name))
        except (BrexError, SettingsError, TimeoutError) as error:
            log.warning("%s: webhook secrets were not refreshed: %s", name, error)
            return stored
