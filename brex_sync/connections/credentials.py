"""The credential of a connection at the moment it is used, renewed by one process at a time.

The row's lock in Postgres is what makes it one, over threads, processes and hosts. A rotated
refresh token is committed before the access token that came with it is used.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import sqlalchemy as sa
import tenacity

from brex_sync.brex.client import BrexClient, Endpoint, Patience
from brex_sync.brex.company import Company, whose
from brex_sync.brex.errors import BrexError, CredentialRefused
from brex_sync.brex.oauth import GrantRefused, OAuth, Tokens, Uncertain
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import current, digest_of, is_due, just_failed, lacking
from brex_sync.connections.limits import limiter
from brex_sync.connections.vault import Vault
from brex_sync.settings import Configuration, SettingsError
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import Credential, State

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=5)
"""An access token is renewed so long before its end, and used to its end if that fails."""
REST = timedelta(minutes=1)
"""Between two tries to renew a token that has not ended yet."""
STORING = 60.0
"""Seconds to go on trying to store tokens that are nowhere else, when Postgres goes away."""
GONE = (sa.exc.OperationalError, sa.exc.InterfaceError)
"""Postgres went away, or does not answer."""
Clock = Callable[[], datetime]


class ActionNeeded(BrexError):
    """The connection cannot be used until a person acts; the message says how."""


@dataclass(frozen=True, slots=True)
class Access:
    """A token, and when it ends; None where it has no end that is known."""

    token: str = field(repr=False)
    ends_at: datetime | None = None


def now_utc() -> datetime:
    """The time, for whoever is not given another clock."""
    return datetime.now(UTC)


@dataclass
class Credentials:
    """The credential of one connection. Calls block: for Postgres, and at times for Brex.

    The transports replace the network, for tests.
    """

    connection: Connection
    engine: sa.Engine
    vault: Vault
    clock: Clock = now_utc
    auth_transport: httpx.BaseTransport | None = None
    api_transport: httpx.AsyncBaseTransport | None = None
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        return self.connection.name

    def access(self, refused: str | None = None) -> Access:
        """A token to use now, other than the one Brex `refused`.

        Raises:
            ActionNeeded: only a person can provide one.
            OAuthError: it had to be refreshed, and could not be.
            VaultError: the stored secrets cannot be opened.
        """
        if self.connection.configuration is Configuration.SANDBOX:
            return Access(self.connection.token or "")
        if self.connection.application is not None:
            return self._by_oauth(refused)
        return self._by_key(refused)

    def keep_alive(self) -> None:
        """Uses the refresh token or key, if it was not used for long; notes what came of it.

        Raises:
            ActionNeeded: it is good no more.
            BrexError: it could not be tried.
        """
        if self.connection.configuration is Configuration.SANDBOX:
            return
        row = self._usable(table.read(self.engine, self.name))
        if row is not None and not is_due(row, self.clock()):
            return
        if self.connection.application is not None:
            self._refresh(None, due=True)
        else:
            self.check_key()

    def check_key(self) -> Company:
        """Asks Brex whose account the key opens, and notes that it does.

        Raises:
            ActionNeeded: Brex refuses it.
            BrexError: Brex could not be asked.
        """
        key = self._key(self._usable(table.read(self.engine, self.name)))
        try:
            company = ask_whose(self.connection, key, self.engine, self.api_transport)
        except CredentialRefused as error:
            self._note_key(key, state=State.RECONNECT_REQUIRED, reason=str(error))
            raise self._action(str(error)) from None
        except BrexError as error:
            self._note_key(key, failure=str(error))
            raise
        known = {"company_id": company.id, "company_name": company.legal_name} if company.id else {}
        self._note_key(key, used_at=self.clock(), failure=None, **known)
        return company

    def _by_key(self, refused: str | None) -> Access:
        key = self._key(self._usable(table.read(self.engine, self.name)))
        if refused == key:
            self.check_key()
        return Access(key)

    def _key(self, row: Credential | None) -> str:
        if self.connection.lacks:
            raise SettingsError(lacking(self.connection))
        if self.connection.token is not None:
            return self.connection.token
        return self.vault.open(self._connected(row).secrets or "")["api_key"]

    def _note_key(self, key: str, **values: object) -> None:
        now = self.clock()
        with table.locked(self.engine, self.name) as (db, row):
            if current(self.connection, row) is None:
                table.put(
                    db,
                    self.name,
                    **{
                        "configuration": str(self.connection.configuration),
                        "state": State.CONNECTED,
                        "digest": digest_of(key),
                        "state_since": now,
                        "tried_at": now,
                    }
                    | values,
                )
            else:
                since = {"state_since": now} if "state" in values else {}
                table.change(db, self.name, tried_at=now, **since, **values)

    def _by_oauth(self, refused: str | None) -> Access:
        row = self._connected(self._usable(table.read(self.engine, self.name)))
        access = Access(self.vault.open(row.secrets or "")["access_token"], row.access_ends_at)
        if self._stale(row, access, refused):
            return self._refresh(refused)
        return access

    def _stale(self, row: Credential, access: Access, refused: str | None) -> bool:
        now = self.clock()
        if access.ends_at is None or now >= access.ends_at or access.token == refused:
            return True
        return now > access.ends_at - EARLY and not just_failed(row, now, REST)

    def _refresh(self, refused: str | None, *, due: bool = False) -> Access:
        """New tokens, or those that another process got while this one waited for the lock."""
        if self.connection.lacks:
            raise SettingsError(lacking(self.connection))
        with self._one_at_a_time:
            access, failure = self._refresh_locked(refused, due)
        if failure is None:
            return access
        still_good = access.ends_at is not None and self.clock() < access.ends_at
        if isinstance(failure, ActionNeeded) or due or refused or not still_good:
            raise failure
        log.warning("%s: %s; the access token is good for now", self.name, failure)
        return access

    def _refresh_locked(self, refused: str | None, due: bool) -> tuple[Access, BrexError | None]:
        """What holds after a refresh, and why that is not a new token. All of it is stored."""
        tokens: Tokens | None = None
        try:
            with table.locked(self.engine, self.name) as (db, found):
                row = self._connected(self._usable(found))
                secrets = self.vault.open(row.secrets or "")
                access = Access(secrets["access_token"], row.access_ends_at)
                due = due and is_due(row, self.clock())
                if not due and not self._stale(row, access, refused):
                    return access, None
                cut_off = table.begin_refresh(self.engine, self.name, self.clock())
                try:
                    tokens = self._new_tokens(secrets["refresh_token"])
                except BrexError as error:
                    return access, self._note_failure(db, error, cut_off)
                return self._store(db, secrets["refresh_token"], tokens), None
        except GONE:
            if tokens is None:
                raise
            return self._store_late(row, secrets["refresh_token"], tokens), None

    def _new_tokens(self, refresh_token: str) -> Tokens:
        with open_oauth(self.connection, self.auth_transport) as oauth:
            return oauth.refresh(refresh_token)

    def _store(self, db: sa.Connection, refresh_token: str, tokens: Tokens) -> Access:
        now = self.clock()
        values = stored(self.vault, tokens, refresh_token, now)
        if tokens.refresh is None:
            del values["issued_at"]
        if tokens.scopes is None:
            del values["scopes"]
        table.change(db, self.name, **values)
        table.end_refresh(db, self.name)
        return Access(tokens.access, now + tokens.lifetime)

    def _store_late(self, before: Credential, refresh_token: str, tokens: Tokens) -> Access:
        """Stores tokens once Postgres is back, unless someone got others meanwhile."""
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(GONE),
            stop=tenacity.stop_after_delay(STORING),
            wait=tenacity.wait_fixed(0.5),
            reraise=True,
        ):
            with attempt, table.locked(self.engine, self.name) as (db, row):
                if row is not None and row.secrets == before.secrets:
                    self._store(db, refresh_token, tokens)
        return Access(tokens.access, self.clock() + tokens.lifetime)

    def _note_failure(
        self, db: sa.Connection, error: BrexError, cut_off: datetime | None
    ) -> BrexError:
        """Writes down what a refresh came to; answers with what to raise once that is stored."""
        now = self.clock()
        if not isinstance(error, GrantRefused):
            table.change(db, self.name, tried_at=now, failure=str(error))
            if not isinstance(error, Uncertain) and cut_off is None:
                table.end_refresh(db, self.name)
            return error
        reason = f"Brex takes the refresh token no more, revoked or too old ({error})"
        if cut_off is not None:
            reason += (
                f". A refresh begun {cut_off:%Y-%m-%d %H:%M:%S} UTC was cut off before its answer "
                "was stored, so Brex had probably replaced the refresh token by then"
            )
        table.change(
            db,
            self.name,
            state=State.RECONNECT_REQUIRED,
            reason=reason,
            state_since=now,
            tried_at=now,
            failure=None,
            secrets=None,
            access_ends_at=None,
        )
        table.end_refresh(db, self.name)
        return self._action(reason)

    def _usable(self, row: Credential | None) -> Credential | None:
        """The row, if it speaks of the present credential.

        Raises:
            ActionNeeded: it says that a person must act.
        """
        row = current(self.connection, row)
        if row is not None and row.state is State.RECONNECT_REQUIRED:
            raise self._action(row.reason or "it was refused")
        return row

    def _connected(self, row: Credential | None) -> Credential:
        if row is None or row.secrets is None:
            raise ActionNeeded(f"{self.name} is not connected: run `brex-sync connect {self.name}`")
        return row

    def _action(self, reason: str) -> ActionNeeded:
        return ActionNeeded(
            f"{self.name} must be connected again: {reason}. Run `brex-sync connect {self.name}`"
        )


class Session:
    """A credential for many requests side by side: kept in memory, and fetched by one for all."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._access: Access | None = None
        self._fetching: asyncio.Task[Access] | None = None

    async def token(self) -> str:
        """A token to use now; raises what `Credentials.access` raises."""
        ends_at = self._access.ends_at if self._access else None
        if self._access and (ends_at is None or self._credentials.clock() < ends_at - EARLY):
            return self._access.token
        return (await self._fetch(None)).token

    async def renew(self, refused: str) -> str | None:
        """Another token than the one Brex refused; None where there is no other."""
        if self._fetching is not None and not self._fetching.done():
            await self._fetch(refused)
        if self._access is None or self._access.token == refused:
            await self._fetch(refused)
        token = self._access.token if self._access else refused
        return None if token == refused else token

    async def _fetch(self, refused: str | None) -> Access:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(
                asyncio.to_thread(self._credentials.access, refused)
            )
        self._access = await asyncio.shield(self._fetching)
        return self._access


def open_oauth(connection: Connection, transport: httpx.BaseTransport | None = None) -> OAuth:
    """The OAuth client of a connection.

    Raises:
        SettingsError: the application's id or secret is not set.
    """
    if connection.application is None:
        raise SettingsError(f"{connection.name} is not connected by OAuth")
    if connection.lacks:
        raise SettingsError(lacking(connection))
    return OAuth(connection.application, transport)


def ask_whose(
    connection: Connection,
    token: str,
    engine: sa.Engine,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Company:
    """Asks Brex whose account a token opens, a few times if need be. Raises as `whose` does."""

    async def ask() -> Company:
        async with BrexClient(
            Endpoint(connection.api_url, lambda: token),
            limiter(connection, engine),
            Patience(deadline=15, attempts=3, total=30),
            transport,
        ) as client:
            return await whose(client)

    return asyncio.run(ask())


def stored(vault: Vault, tokens: Tokens, refresh_token: str, now: datetime) -> dict[str, object]:
    """The columns in which tokens are kept, sealed; `refresh_token` is kept if none is new."""
    sealed = vault.seal(
        {"access_token": tokens.access, "refresh_token": tokens.refresh or refresh_token}
    )
    return {
        "secrets": sealed,
        "access_ends_at": now + tokens.lifetime,
        "scopes": sorted(tokens.scopes) if tokens.scopes is not None else None,
        "issued_at": now,
        "used_at": now,
        "tried_at": now,
        "failure": None,
    }
