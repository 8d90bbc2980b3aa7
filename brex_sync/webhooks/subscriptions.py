"""Where Brex sends this credential's events: seen, set and ended, each as often as one likes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlsplit
from uuid import uuid4

import msgspec

from brex_sync.brex.addresses import is_private
from brex_sync.brex.client import BrexClient, BrexRequest, Meter
from brex_sync.brex.paging import listing_of, walk
from brex_sync.errors import (
    CredentialRefused,
    NotAllowed,
    NotFound,
    Refused,
    SettingsError,
    UnusableAnswer,
)
from brex_sync.streams import STREAMS

PATH = "/v1/webhooks"


class Subscription(msgspec.Struct, frozen=True):
    """An endpoint at Brex, as its Webhooks API has it."""

    id: str
    url: str
    event_types: list[str]
    status: str
    group_id: str | None = None

    def __str__(self) -> str:
        group = f", of group {self.group_id}" if self.group_id else ""
        return f"{self.id}: {self.url}{group}"


class Done(Enum):
    """What registering did."""

    CREATED = "registered"
    CHANGED = "changed"
    NOTHING = "registered already"


@dataclass(frozen=True, slots=True)
class Registered:
    """The endpoint as it is now, what was done, and what it was before, if its URL was another."""

    subscription: Subscription
    done: Done
    replaced: Subscription | None = None


def address(url: str, connection: str) -> str:
    """Where events are to go: what a person gave, with our path where it has none.

    Raises:
        SettingsError: Brex would refuse it, or should not send there.
    """
    if not is_private(url):
        raise SettingsError(f"{url} is not https: Brex sends events nowhere else")
    if urlsplit(url).path in ("", "/"):
        return f"{url.rstrip('/')}/webhooks/{connection}"
    return url


async def listed(client: BrexClient) -> list[Subscription]:
    """The endpoints there are.

    Raises:
        BrexError: Brex could not be asked.
    """
    stream = STREAMS["webhook_subscriptions"]
    listing = listing_of(stream, None, {}, stream.paging.limit)
    pages = [page async for page in walk(client, listing, Meter())]
    return [_read(item) for page in pages for item in page.items]


def is_ours(one: Subscription, *urls: str | None) -> bool:
    """Whether an endpoint is at one of these URLs, and no group's: those get others' events."""
    return one.group_id is None and _place(one.url) in {_place(url) for url in urls if url}


def replaceable(
    found: Sequence[Subscription], url: str, before: str | None, take_over: bool
) -> Subscription | None:
    """The endpoint that is to be at `url` from now on; None: another is to be made.

    That is ours: the one at `url`, or at `before`, where events went until now. With `take_over` it
    may be somebody else's, if there is but one.

    Raises:
        SettingsError: there are several to take over.
    """
    ours = [one for where in (url, before) for one in found if is_ours(one, where)]
    if ours or not take_over or not found:
        return next(iter(ours), None)
    if len(found) > 1:
        raise SettingsError(
            f"--take-over takes one endpoint's place, and Brex has {_listed(found)}: end what is "
            "not needed with `brex-sync webhooks unregister ID`"
        )
    return found[0]


async def register(
    client: BrexClient,
    url: str,
    events: Sequence[str],
    before: str | None = None,
    *,
    take_over: bool = False,
) -> Registered:
    """Has Brex send these events to a URL, by the endpoint that `replaceable` names or a new one.

    Raises:
        SettingsError: Brex refused another endpoint beside somebody else's.
        BrexError: Brex refused, or could not be asked.
    """
    found = await listed(client)
    one = replaceable(found, url, before, take_over)
    wanted: dict[str, object] = {"url": url, "event_types": sorted(events)}
    if one is None:
        return Registered(await _create(client, wanted, found), Done.CREATED)
    if (one.url, sorted(one.event_types), one.status) == (url, wanted["event_types"], "ACTIVE"):
        return Registered(one, Done.NOTHING)
    wanted |= {"status": "ACTIVE"} | ({"group_id": one.group_id} if one.group_id else {})
    changed = await _send(client, "PUT", _path(one.id), wanted)
    return Registered(changed, Done.CHANGED, None if _place(one.url) == _place(url) else one)


async def _create(
    client: BrexClient, wanted: dict[str, object], others: Sequence[Subscription]
) -> Subscription:
    try:
        return await _send(client, "POST", PATH, wanted)
    except (CredentialRefused, NotAllowed):
        raise
    except Refused as error:
        if not others:
            raise
        raise SettingsError(
            f"{error}. Brex may allow one endpoint, and it has {_listed(others)}, which "
            "`webhooks register` did not make here. If that may go, `--take-over` puts this URL in "
            "its place, and `brex-sync webhooks unregister ID` ends it; else leave it"
        ) from None


def _listed(found: Sequence[Subscription]) -> str:
    return "; ".join(map(str, found))


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """What two URLs have in common that lead to the same place."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")


async def unregister(client: BrexClient, key: str) -> bool:
    """Ends an endpoint; whether there was one.

    Raises:
        BrexError: Brex refused, or could not be asked.
    """
    try:
        await client.send(BrexRequest("DELETE", _path(key)), Meter())
    except NotFound:
        return False
    return True


def _path(key: str) -> str:
    return f"{PATH}/{quote(key, safe='')}"


async def _send(
    client: BrexClient, method: str, path: str, body: dict[str, object]
) -> Subscription:
    call = BrexRequest(method, path, body=msgspec.json.encode(body), idempotency_key=str(uuid4()))
    return _read((await client.send(call, Meter())).body)


def _read(body: bytes) -> Subscription:
    try:
        return msgspec.json.decode(body, type=Subscription)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is no webhook subscription: {error}") from None
