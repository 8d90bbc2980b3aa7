"""The state of a connection's credential, in words for people. Pure: the time is an argument."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from brex_sync.brex.application import BASE_SCOPES, REFRESH_LIFETIME
from brex_sync.connections.declared import Connection
from brex_sync.settings import Configuration
from brex_sync.warehouse.credentials import Credential, CredentialState

KEY_LIFETIME = timedelta(days=30)
"""A user token unused for so long may be dead: Brex's pages say 30 days, and 90."""
USE_EVERY = timedelta(hours=20)
"""With minutes between two looks, and a run's start, that makes less than 24 hours."""
RETRY_AFTER = timedelta(minutes=15)
"""How long a try that settled nothing (Brex was down) is left alone."""
NOT_CONNECTED = "NOT_CONNECTED"
SKEW = timedelta(minutes=5)
"""How far ahead of ours another host's clock may be."""


class Level(StrEnum):
    """Whether a person has to act."""

    WELL = "well"
    WARNING = "warning"
    ACTION = "action needed"


@dataclass(frozen=True, slots=True)
class Health:
    """A connection's state in words.

    `days_left` and `dies_on`: when the refresh token or key would expire if it were not used from
    now on; None if nothing is known to expire. `tried`: runs use the credential although a person
    should act.
    """

    connection: str
    level: Level
    told: str
    state: str
    days_left: int | None = None
    dies_on: date | None = None
    tried: bool = False

    @property
    def usable(self) -> bool:
        """Whether a sync can succeed with it."""
        return self.tried or self.state not in (CredentialState.RECONNECT_REQUIRED, NOT_CONNECTED)


def digest_of(key: str) -> str:
    """Identifies a key without revealing it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def current(connection: Connection, row: Credential | None) -> Credential | None:
    """The row, unless it belongs to another credential than the connection's present one."""
    if row is None or (row.state is CredentialState.RECONNECT_REQUIRED and not connection.token):
        return row
    if connection.token:
        return row if row.digest == digest_of(connection.token) else None
    return row if row.secrets else None


def is_due(row: Credential, now: datetime) -> bool:
    """Whether the refresh token or key should be used to keep it alive.

    A time in the future was written by a clock that was wrong, and counts as long ago. Of
    credentials that Brex rejected, only a key in the environment is tried again.
    """
    if row.state is CredentialState.RECONNECT_REQUIRED:
        return row.digest is not None and not just_tried(row, now, USE_EVERY)
    if just_failed(row, now):
        return False
    return row.used_at is None or not _within(row.used_at, now, USE_EVERY)


def just_failed(row: Credential, now: datetime, rest: timedelta = RETRY_AFTER) -> bool:
    """Whether the last attempt had no result and was at most `rest` ago."""
    tried = row.failure is not None and row.tried_at is not None
    return tried and _within(row.tried_at or now, now, rest)


def just_tried(row: Credential, now: datetime, span: timedelta = timedelta(minutes=1)) -> bool:
    """Whether the credential was tried within `span`."""
    return row.tried_at is not None and _within(row.tried_at, now, span)


def is_tried(connection: Connection, row: Credential, now: datetime) -> bool:
    """Whether a credential that Brex rejected is used nevertheless.

    Every run tries a key in the environment, so that the connection recovers by itself. An access
    token outlives its refresh token, and is used until it expires.
    """
    if connection.token is not None:
        return True
    return row.secrets is not None and row.access_ends_at is not None and now < row.access_ends_at


def repair(connection: Connection) -> str:
    """What a person does about a credential that Brex rejects."""
    if connection.token is not None:
        return "Every run tries the key again; set another user token where this one is set"
    return f"Run `brex-sync connect {connection.name}`"


def health(
    connection: Connection,
    row: Credential | None,
    now: datetime,
    read_at: datetime | None = None,
) -> Health:
    """The connection's state. `read_at` is when a stream was last read with it."""
    if connection.configuration is Configuration.SANDBOX:
        return Health(connection.name, Level.WELL, "the sandbox needs no credential", "SANDBOX")
    if connection.lacks:
        return Health(connection.name, Level.ACTION, lacking(connection), NOT_CONNECTED)
    row = current(connection, row)
    if row is None:
        return _unknown(connection)
    if row.state is CredentialState.RECONNECT_REQUIRED:
        told = f"since {row.state_since:%Y-%m-%d %H:%M} UTC: {row.reason}"
        return Health(
            *(connection.name, Level.ACTION, f"{told}. {repair(connection)}", str(row.state)),
            tried=is_tried(connection, row, now),
        )
    return _connected(connection, row, now, read_at)


def with_lost(found: Health, streams: Sequence[str]) -> Health:
    """The state of a connection that can no longer read these streams."""
    if not streams or found.level is Level.ACTION:
        return found
    told = (
        f"Brex no longer lets it read {', '.join(streams)} (reasons: brex_sync.unavailable). Run "
        f"`brex-sync connect {found.connection}` as someone whose role allows it, or leave them "
        "out with BREX_SYNC_STREAMS"
    )
    return replace(found, level=Level.ACTION, told=told)


def lacking(connection: Connection) -> str:
    """What has to be set before the connection can be used."""
    what = "to what Brex gave you when your application was registered"
    if connection.application is None:
        what = "to a user token"
    several = " and " in connection.lacks
    lack = "are not set; set them" if several else "is not set; set it"
    return f"connection {connection.name}: {connection.lacks} {lack} {what}"


def _unknown(connection: Connection) -> Health:
    if connection.token is not None:
        told = "the key of the environment has not been tried yet"
        return Health(connection.name, Level.WELL, told, "NOT_TRIED")
    told = f"not connected. Run `brex-sync connect {connection.name}`"
    return Health(connection.name, Level.ACTION, told, NOT_CONNECTED)


def _connected(
    connection: Connection, row: Credential, now: datetime, read_at: datetime | None
) -> Health:
    lifetime, since = KEY_LIFETIME, row.used_at
    what = "the API key"
    if connection.application is not None:
        lifetime, since, what = REFRESH_LIFETIME, row.issued_at, "the refresh token"
    unused = max(now - since, timedelta(0)) if since else timedelta(0)
    dies_on = (now - unused + lifetime).date()
    left = max(math.ceil((lifetime - unused) / timedelta(days=1)), 0)
    level, told = Level.WELL, "connected"
    lost = set(row.granted or ()) - set(row.scopes or ()) - set(BASE_SCOPES)
    if lost:
        level = Level.ACTION
        told = (
            f"Brex took back {', '.join(sorted(lost))}. "
            f"Run `brex-sync connect {connection.name}` as someone whose role allows it"
        )
    elif unused >= lifetime * 2 / 3:
        level = Level.WARNING
        told = f"{what} was not renewed for {unused.days} days, and dies on {dies_on}"
        told += f": {row.failure}" if row.failure else ""
    elif row.failure and not _since(row.tried_at, read_at):
        told = f"connected; the last try to keep it alive failed: {row.failure}"
    return Health(connection.name, level, told, str(row.state), left, dies_on)


def _since(tried_at: datetime | None, read_at: datetime | None) -> bool:
    """Whether Brex was read after a failed attempt to keep the credential alive."""
    return tried_at is not None and read_at is not None and read_at > tried_at


def _within(moment: datetime, now: datetime, span: timedelta) -> bool:
    return -SKEW <= now - moment < span
