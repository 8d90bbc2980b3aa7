"""What Brex signs with: asked for by our credential, stored sealed, asked for again when needed.

So whoever verifies needs no Brex to be reachable, and a change of secrets needs no person.
"""

import time
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.connections.connect import ready_vault, vault_of
from brex_sync.errors import UnusableAnswer
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.events import webhook_secrets as table

LIVE = ("ACTIVE", "PENDING_REVOKE")
"""States in which a secret signs (Brex's webhook guide: two while they change)."""
NOT_TWICE_WITHIN = timedelta(minutes=1)
"""However many signatures are wrong, Brex is asked once in that time."""
STALE_AFTER = timedelta(hours=1)
"""After which secrets are asked for again, since one may have been revoked."""
PAUSE = 1.0
"""Seconds between two looks at what is stored, however many signatures are wrong."""
KEPT = 30.0
"""Seconds for which they are kept in memory."""


class _Secret(msgspec.Struct):
    secret: str
    status: str


async def fetch(client: BrexClient) -> list[str]:
    """The live secrets, as Brex has them now.

    Raises:
        BrexError: it could not be asked.
    """
    return await client.get("/v1/webhooks/secrets", {}, _read, Meter())


def _read(body: bytes) -> list[str]:
    try:
        found = msgspec.json.decode(body, type=list[_Secret])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is no list of secrets: {type(error).__name__}") from None
    return [one.secret for one in found if one.status in LIVE]


@dataclass
class Secrets:
    """The secrets of one connection's events."""

    settings: Settings
    warehouse: Warehouse
    _known: tuple[str, ...] = field(default=(), repr=False)
    _until: float = 0.0
    _next_look: float = 0.0

    async def known(self) -> tuple[str, ...]:
        """Those stored; none where none ever were.

        Raises:
            VaultError: they cannot be opened.
            PostgresError: they cannot be read.
        """
        if time.monotonic() >= self._until:
            await self.look()
        return self._known

    def worth_a_look(self) -> bool:
        """Whether a wrong signature is a reason to look for others: once a second."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + PAUSE
        return True

    async def look(self) -> tuple[str, ...]:
        """Those stored now, whoever stored them."""
        self._known = await self.warehouse.call(_stored, self.settings)
        self._until = time.monotonic() + KEPT
        return self._known

    async def refresh(self, client: BrexClient) -> tuple[str, ...]:
        """Asks Brex for them, and stores them.

        Raises:
            BrexError: it could not be asked; what is stored stays.
            VaultError: they cannot be sealed.
        """
        found = await fetch(client)
        await self.warehouse.call(_store, self.settings, found)
        return await self.look()

    async def may_ask(self, every: timedelta = NOT_TWICE_WITHIN) -> bool:
        """Whether Brex was not asked for so long, by any process; if so, it is for us to ask."""
        return await self.warehouse.call(table.may_ask, every)

    async def are_stale(self) -> bool:
        """Whether there are some, and Brex gave them long ago."""
        row = await self.warehouse.call(table.read)
        return row is not None and row.age > STALE_AFTER


def _stored(warehouse: Warehouse, settings: Settings) -> tuple[str, ...]:
    row = table.read(warehouse)
    return tuple(vault_of(settings).open(row.secrets).values()) if row else ()


def _store(warehouse: Warehouse, settings: Settings, secrets: list[str]) -> None:
    vault = ready_vault(settings, warehouse.engine, warehouse.schema)
    sealed = vault.seal({str(number): one for number, one in enumerate(secrets)})
    table.store(warehouse, sealed)
