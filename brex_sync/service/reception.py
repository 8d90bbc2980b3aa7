"""Webhook deliveries taken in: verified, stored for good, and only then acknowledged."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from brex_sync.brex.errors import BrexError
from brex_sync.connections.vault import VaultError
from brex_sync.service.accounts import Accounts
from brex_sync.settings import SettingsError
from brex_sync.warehouse import inbox
from brex_sync.webhooks.notify import forwarded
from brex_sync.webhooks.secrets import Secrets
from brex_sync.webhooks.verify import Refused, WrongSignature, read_event, verify

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0
"""How long a delivery waits for Brex to tell its secrets; after that the sender tries again."""


@dataclass
class Reception:
    """Takes deliveries for all connections.

    `arrived` is set, by connection, when there is something to work off; `refused` counts what was
    not taken, by connection and reason, until somebody notes it.
    """

    accounts: Accounts
    arrived: dict[str, asyncio.Event] = field(default_factory=dict)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    secrets: dict[str, Secrets] = field(default_factory=dict)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        settings, engine = self.accounts.settings, self.accounts.engine
        for name in self.accounts.connections:
            self.arrived[name] = asyncio.Event()
            self.secrets[name] = Secrets(settings, engine, name)

    async def take(self, connection: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Stores a delivery for good; whether it tells of something new.

        Raises:
            Refused: it is not Brex's, or not of the form Brex promises.
            sqlalchemy.exc.SQLAlchemyError, VaultError: it is not stored; the sender should repeat.
        """
        event = read_event(await self._verified(connection, headers, body), body)
        notices = forwarded(self.accounts.settings, connection, event)
        new = await asyncio.to_thread(inbox.take, self.accounts.engine, connection, event, notices)
        if new:
            self.arrived[connection].set()
        return new

    def refuse(self, connection: str, refused: Refused) -> None:
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

    async def _fresh(self, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """The secrets as others stored them meanwhile, or else as Brex tells them now."""
        secrets = self.secrets[name]
        stored = await secrets.look()
        if stored != known or not await secrets.may_ask():
            return stored
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                return await secrets.refresh(await self.accounts.client(name))
        except (BrexError, SettingsError, VaultError, TimeoutError) as error:
            log.warning("%s: webhook secrets were not refreshed: %s", name, error)
            return stored
