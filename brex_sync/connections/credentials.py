"""The credential of a connection when it is used, refreshed by one process at a time.

The lock on its row in Postgres guarantees that, across threads, processes and hosts. A rotated
refresh token is committed before the access token that came with it is used.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import sqlalchemy as sa
import tenacity

from brex_sync.brex.client import BrexApi, BrexClient, Patience
from brex_sync.brex.company import Company, whose
from brex_sync.brex.oauth import OAuth, Tokens
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import (
    current,
    digest_of,
    is_due,
    is_tried,
    just_failed,
    just_tried,
    lacking,
    repair,
)
from brex_sync.connections.limits import limiter
from brex_sync.connections.vault import Vault
from brex_sync.errors import (
    ActionNeeded,
    BrexError,
    CredentialRefused,
    GrantRefused,
    OAuthError,
    PostgresUnavailable,
    SettingsError,
)
from brex_sync.settings import Configuration
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import Credential, CredentialState

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=5)
"""An access token is renewed so long before its end, and used to its end if that fails. One that
lives for less than 20 minutes is renewed in the last quarter of its life."""
REST = timedelta(minutes=1)
"""Between two tries to renew a token that has not ended yet."""
STORING = 60.0
"""Seconds to go on trying to store tokens that are nowhere else, when Postgres goes away."""
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and its expiry; None if it does not expire, as far as is known."""

    token: str = field(repr=False)
    ends_at: datetime | None = None
    early: timedelta = EARLY

    def is_good(self, now: datetime) -> bool:
        """Whether the token has not expired; one with an unknown expiry counts as expired."""
        return self.ends_at is not None and now < self.ends_at


def now_utc() -> datetime:
    """The current time in UTC, the default clock."""
    return datetime.now(UTC)


@dataclass
class Credentials:
    """The credential of one connection. Its methods block: on Postgres, and sometimes on Brex.

    The transports replace the network in tests.
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

    def access(self, refused: str | None = None) -> AccessToken:
        """A valid token, other than the one that Brex `refused`.

        Raises:
            ActionNeeded: only a person can provide one.
            OAuthError: it had to be refreshed, and could not be.
            VaultError: the stored secrets cannot be decrypted.
        """
        if self.connection.configuration is Configuration.SANDBOX:
            return AccessToken(self.connection.token or "")
        if self.connection.application is not None:
            return self._by_oauth(refused)
        return self._by_key(refused)

    def keep_alive(self) -> None:
        """Uses the refresh token or key if it was not used for long, and stores the result.

        A key in the environment that Brex rejected is tried again.

        Raises:
            ActionNeeded: Brex rejects it, and there is no valid access token.
            BrexError: it could not be tried.
        """
        if self.connection.configuration is Configuration.SANDBOX:
            return
        row = self._usable(table.read(self.engine, self.name))
        again = row is not None and self._is_refused_key(row)
        if row is not None and not again and not is_due(row, self.clock()):
            return
        if self.connection.application is not None:
            self._refresh(None, due=True)
        else:
            self.check_key()

    def check_key(self) -> Company:
        """Requests the company of the key, and stores that the key is valid.

        Raises:
            ActionNeeded: Brex rejects it.
            BrexError: there was no usable response.
        """
        key = self._key(self._usable(table.read(self.engine, self.name)))
        try:
            company = ask_whose(self.connection, key, self.engine, self.api_transport)
        except CredentialRefused as error:
            self._note_key(
                key, state=CredentialState.RECONNECT_REQUIRED, reason=str(error), failure=None
            )
            raise self._action(str(error)) from None
        except BrexError as error:
            self._note_key(key, failure=str(error))
            raise
        known = {"company_id": company.id, "company_name": company.legal_name} if company.id else {}
        good = {"state": CredentialState.CONNECTED, "reason": None, "failure": None}
        self._note_key(key, used_at=self.clock(), **good, **known)
        return company

    def _by_key(self, refused: str | None) -> AccessToken:
        row = self._usable(table.read(self.engine, self.name))
        key = self._key(row)
        if refused == key:
            if row is not None and self._is_refused_key(row) and just_tried(row, self.clock()):
                raise self._action(row.reason or "it was refused")
            self.check_key()
        return AccessToken(key)

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
                        "state": CredentialState.CONNECTED,
                        "digest": digest_of(key),
                        "state_since": now,
                        "tried_at": now,
                    }
                    | values,
                )
            else:
                changed = row is not None and values.get("state", row.state) != row.state
                since = {"state_since": now} if changed else {}
                table.change(db, self.name, tried_at=now, **since, **values)

    def _by_oauth(self, refused: str | None) -> AccessToken:
        row = self._connected(self._usable(table.read(self.engine, self.name)))
        access = _access(self.vault.open(row.secrets or ""), row)
        if row.state is CredentialState.RECONNECT_REQUIRED:
            return self._use_up(row, access, refused)
        if self._stale(row, access, refused):
            return self._refresh(refused)
        return access

    def _use_up(self, row: Credential, access: AccessToken, refused: str | None) -> AccessToken:
        """The access token of a rejected grant, until it expires or Brex rejects it too."""
        if access.token != refused:
            return access
        with table.locked(self.engine, self.name) as (db, found):
            if found is not None and found.secrets == row.secrets:
                table.change(db, self.name, secrets=None, access_ends_at=None)
        raise self._action(row.reason or "it was refused")

    def _stale(self, row: Credential, access: AccessToken, refused: str | None) -> bool:
        now = self.clock()
        if access.ends_at is None or now >= access.ends_at or access.token == refused:
            return True
        return now > access.ends_at - access.early and not just_failed(row, now, REST)

    def _refresh(self, refused: str | None, *, due: bool = False) -> AccessToken:
        """New tokens, or those that another process stored while this one waited for the lock."""
        if self.connection.lacks:
            raise SettingsError(lacking(self.connection))
        with self._one_at_a_time:
            access, failure = self._refresh_locked(refused, due)
        if failure is None:
            return access
        told = due and not isinstance(failure, ActionNeeded)
        if told or refused or not access.is_good(self.clock()):
            raise failure
        log.warning("%s: %s; the access token is good for now", self.name, failure)
        return access

    def _refresh_locked(
        self, refused: str | None, due: bool
    ) -> tuple[AccessToken, BrexError | None]:
        """The state after a refresh, and the error if it returned no token. All of it is stored."""
        tokens: Tokens | None = None
        try:
            with table.locked(self.engine, self.name) as (db, found):
                row = self._connected(self._usable(found))
                secrets = self.vault.open(row.secrets or "")
                access = _access(secrets, row)
                if row.state is CredentialState.RECONNECT_REQUIRED:
                    return access, self._action(row.reason or "it was refused")
                due = due and is_due(row, self.clock())
                if not due and not self._stale(row, access, refused):
                    return access, None
                cut_off = table.begin_refresh(self.engine, self.name, self.clock())
                try:
                    tokens = self._new_tokens(secrets["refresh_token"])
                except BrexError as error:
                    left = access.is_good(self.clock()) and access.token != refused
                    return access, self._note_failure(db, error, cut_off, left=left)
                return self._store(db, secrets["refresh_token"], tokens), None
        except PostgresUnavailable:
            if tokens is None:
                raise
            return self._store_late(row, secrets["refresh_token"], tokens), None

    def _new_tokens(self, refresh_token: str) -> Tokens:
        with open_oauth(self.connection, self.auth_transport) as oauth:
            return oauth.refresh(refresh_token)

    def _store(self, db: sa.Connection, refresh_token: str, tokens: Tokens) -> AccessToken:
        now = self.clock()
        values = stored(self.vault, tokens, refresh_token, now)
        if tokens.refresh is None:
            del values["issued_at"]
        if tokens.scopes is None:
            del values["scopes"]
        table.change(db, self.name, **values)
        table.end_refresh(db, self.name)
        return AccessToken(tokens.access, now + tokens.lifetime, _early(tokens.lifetime))

    def _store_late(self, before: Credential, refresh_token: str, tokens: Tokens) -> AccessToken:
        """Stores tokens once Postgres is available again, unless another process stored others
        meanwhile.
        """
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PostgresUnavailable),
            stop=tenacity.stop_after_delay(STORING),
            wait=tenacity.wait_fixed(0.5),
            reraise=True,
        ):
            with attempt, table.locked(self.engine, self.name) as (db, row):
                if row is not None and row.secrets == before.secrets:
                    self._store(db, refresh_token, tokens)
        return AccessToken(tokens.access, self.clock() + tokens.lifetime, _early(tokens.lifetime))

    def _note_failure(
        self, db: sa.Connection, error: BrexError, cut_off: datetime | None, *, left: bool
    ) -> BrexError:
        """Stores the result of a failed refresh, and returns the exception to raise once that is
        committed.

        `cut_off` is the start of an earlier refresh with an unknown result; `left` says that the
        access token can still be used.
        """
        now, lost = self.clock(), isinstance(error, OAuthError) and error.lost
        if not isinstance(error, GrantRefused):
            table.change(db, self.name, tried_at=now, failure=str(error))
            if not lost and cut_off is None:
                table.end_refresh(db, self.name)
            return error
        reason = _why_refused(error, cut_off or (now if lost else None))
        spent: dict[str, object] = {} if left else {"secrets": None, "access_ends_at": None}
        table.change(
            db,
            self.name,
            state=CredentialState.RECONNECT_REQUIRED,
            reason=reason,
            state_since=now,
            tried_at=now,
            failure=None,
            **spent,
        )
        table.end_refresh(db, self.name)
        return self._action(reason)

    def _usable(self, row: Credential | None) -> Credential | None:
        """The row, if it belongs to the present credential.

        Raises:
            ActionNeeded: it says that a person must act, and nothing is left to be tried.
        """
        row = current(self.connection, row)
        if row is None or row.state is CredentialState.CONNECTED:
            return row
        if not is_tried(self.connection, row, self.clock()):
            raise self._action(row.reason or "it was refused")
        return row

    def _is_refused_key(self, row: Credential) -> bool:
        """Whether the row describes a key in the environment that Brex rejected."""
        return row.state is CredentialState.RECONNECT_REQUIRED and self.connection.token is not None

    def _connected(self, row: Credential | None) -> Credential:
        if row is None or row.secrets is None:
            raise ActionNeeded(f"{self.name} is not connected: run `brex-sync connect {self.name}`")
        return row

    def _action(self, reason: str) -> ActionNeeded:
        return ActionNeeded(
            f"{self.name} must be connected again: {reason}. {repair(self.connection)}"
        )


class Session:
    """A credential for many concurrent requests: cached in memory, and fetched once for all of
    them.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._access: AccessToken | None = None
        self._fetching: asyncio.Task[AccessToken] | None = None

    async def token(self) -> str:
        """A valid token. Raises as `Credentials.access` does."""
        ends_at = self._access.ends_at if self._access else None
        if self._access and (
            ends_at is None or self._credentials.clock() < ends_at - self._access.early
        ):
            return self._access.token
        return (await self._fetch(None)).token

    async def renew(self, refused: str) -> str | None:
        """Another token than the one that Brex rejected; None if there is no other."""
        if self._fetching is not None and not self._fetching.done():
            await self._fetch(refused)
        if self._access is None or self._access.token == refused:
            await self._fetch(refused)
        token = self._access.token if self._access else refused
        return None if token == refused else token

    async def _fetch(self, refused: str | None) -> AccessToken:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(
                asyncio.to_thread(self._credentials.access, refused)
            )
        self._access = await asyncio.shield(self._fetching)
        return self._access


def _early(lifetime: timedelta) -> timedelta:
    """How long before its expiry a token with that lifetime is refreshed."""
    return min(EARLY, max(lifetime, timedelta()) / 4)


def _access(secrets: Mapping[str, str], row: Credential) -> AccessToken:
    """The stored access token. It is valid from its issue, which is when it was last used."""
    if row.access_ends_at is None or row.used_at is None:
        return AccessToken(secrets["access_token"], row.access_ends_at)
    lifetime = row.access_ends_at - row.used_at
    return AccessToken(secrets["access_token"], row.access_ends_at, _early(lifetime))


def _why_refused(error: GrantRefused, lost_at: datetime | None) -> str:
    """Why a refresh token is rejected. `lost_at` is the start of a refresh whose response was not
    stored.
    """
    if lost_at is None:
        return f"Brex refuses the refresh token as revoked or too old ({error})"
    return (
        f"Brex refuses the refresh token ({error}). The answer to a refresh begun "
        f"{lost_at:%Y-%m-%d %H:%M:%S} UTC was lost or cut off before it was stored, so Brex had "
        "probably replaced the refresh token by then: that does not mean that it was revoked"
    )


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
    """Requests the company of a token, with a few retries. Raises as `whose` does."""

    async def ask() -> Company:
        async with BrexClient(
            BrexApi(connection.api_url, lambda: token),
            limiter(connection, engine),
            Patience(deadline=15, attempts=3, total=30),
            transport,
        ) as client:
            return await whose(client)

    return asyncio.run(ask())


def stored(vault: Vault, tokens: Tokens, refresh_token: str, now: datetime) -> dict[str, object]:
    """The encrypted columns for tokens; `refresh_token` is kept if there is no new one."""
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
