"""Words for what an answer shows only when asked: expansions, and other ways to show an item."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, decode, encode

EXPAND = "expand[]"
LINK_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Detail:
    """What `parameter`=`value` adds to an item: with `change` the item itself, with `attached`
    the field `name`, from the collection that keeps it under the item's id. With neither, the
    parameter is accepted and adds nothing."""

    parameter: str
    value: str
    change: Callable[[World, Item], None] | None = None
    name: str = ""
    attached: str | None = None


def accepted(name: str) -> Detail:
    """An expansion that Brex takes and that shows nothing."""
    return Detail(EXPAND, name)


def attached(name: str, collection: str, parameter: str = EXPAND, value: str = "") -> Detail:
    """A field kept apart, under the item's id, as JSON of any kind."""
    return Detail(parameter, value or name, name=name, attached=collection)


def joined(name: str, collection: str, fields: Mapping[str, str]) -> Detail:
    """The item that the field `name`_id names, as `fields` (shown name: name there) show it."""

    def change(world: World, item: Item) -> None:
        other = world.collection(collection).get(str(item.get(f"{name}_id")))
        item[name] = other and {shown: other.get(there) for shown, there in fields.items()}

    return Detail(EXPAND, name, change)


def links(name: str, within: str) -> Detail:
    """Links to the files of each of the item's `within`, good for 15 minutes."""

    def change(world: World, item: Item) -> None:
        for part in item.get(within) or ():
            part[name] = [_link(world, part["id"])]

    return Detail(EXPAND, f"{within}.{name}", change)


def without(parameter: str, within: str, field: str, value: str) -> Detail:
    """With `parameter`=true, no `within` whose `field` is `value`."""

    def change(world: World, item: Item) -> None:
        item[within] = [part for part in item.get(within) or () if part[field] != value]

    return Detail(parameter, "true", change)


def dress(
    world: World,
    details: Sequence[Detail],
    keys: Sequence[str],
    bodies: Sequence[bytes],
    nested: str | None = None,
) -> Sequence[bytes]:
    """The items as the details show them, and the items nested in them likewise."""
    changes = [d.change for d in details if d.change]
    if changes:
        bodies = [_changed(world, changes, body, nested) for body in bodies]
    for detail in details:
        if detail.attached:
            kept = world.collection(detail.attached).body
            head = b',"%s":' % detail.name.encode()
            pairs = zip(bodies, map(kept, keys), strict=True)
            bodies = [body[:-1] + head + more + b"}" if more else body for body, more in pairs]
    return bodies


def _changed(
    world: World,
    changes: Sequence[Callable[[World, Item], None]],
    body: bytes,
    nested: str | None,
) -> bytes:
    item: Item = decode(body)
    parts: list[Any] = (item.get(nested) or []) if nested else []
    for one in (item, *parts):
        for change in changes:
            change(world, one)
    return encode(item)


def _link(world: World, key: str) -> str:
    made = f"{world.now():%Y%m%dT%H%M%SZ}"
    signature = hashlib.sha256(f"{key} {made}".encode()).hexdigest()
    return (
        f"https://receipts.brex.example/{key}.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Date={made}&X-Amz-Expires={LINK_SECONDS}&X-Amz-Signature={signature}"
    )
