"""Where Brex sends this credential's events: seen, set and ended, each as often as one likes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, urlsplit
from uuid import uuid4

import msgspec

from brex_sync.brex.client import BrexClient, Call, Meter
from brex_sync.brex.errors import NotFound, UnusableAnswer
from brex_sync.brex.oauth import is_private
from brex_sync.brex.paging import listing_of, walk
from brex_sync.settings import SettingsError
from brex_sync.streams import STREAMS

PATH = "/v1/webhooks"


class Subscription(msgspec.Struct, frozen=True):
    """An endpoint at Brex, as its Webhooks API has it."""

    id: str
    url: str
    event_types: list[str]
    status: str
    group_id: str | None = None


class Done(Enum):
    """What registering did."""

    CREATED = "registered"
    CHANGED = "changed"
    NOTHING = "registered already"


@dataclass(frozen=True, slots=True)
class Registered:
    """The endpoint as it is now, what was done, and the URL it had before, if that was another."""

    subscription: Subscription
    done: Done
    replaced: str | None = None


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


async def register(client: BrexClient, url: str, events: Sequence[str]) -> Registered:
    """Has Brex send these events to a URL. The endpoint there is is changed: Brex allows one.

    Raises:
        BrexError: Brex refused, or could not be asked.
    """
    found = await listed(client)
    same = [one for one in found if one.url == url]
    one = next(iter(same or found), None)
    wanted: dict[str, object] = {"url": url, "event_types": sorted(events)}
    if one is None:
        return Registered(await _send(client, "POST", PATH, wanted), Done.CREATED)
    if (one.url, sorted(one.event_types), one.status) == (url, wanted["event_types"], "ACTIVE"):
        return Registered(one, Done.NOTHING)
    wanted |= {"status": "ACTIVE"} | ({"group_id": one.group_id} if one.group_id else {})
    changed = await _send(client, "PUT", _path(one.id), wanted)
    return Registered(changed, Done.CHANGED, None if one.url == url else one.url)


async def unregister(client: BrexClient, key: str) -> bool:
    """Ends an endpoint; whether there was one.

    Raises:
        BrexError: Brex refused, or could not be asked.
    """
    try:
        await client.send(Call("DELETE", _path(key)), Meter())
    except NotFound:
        return False
    return True


def _path(key: str) -> str:
    return f"{PATH}/{quote(key, safe='')}"


async def _send(
    client: BrexClient, method: str, path: str, body: dict[str, object]
) -> Subscription:
    call = Call(method, path, body=msgspec.json.encode(body), idempotency_key=str(uuid4()))
    return _read((await client.send(call, Meter())).body)


def _read(body: bytes) -> Subscription:
    try:
        return msgspec.json.decode(body, type=Subscription)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is no webhook subscription: {error}") from None
