"""Writes about people, and about where they work."""

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from brex_sync.sandbox.error_replies import bad_request
from brex_sync.sandbox.world.collection import Item, encode
from brex_sync.sandbox.writes.declare import (
    MaybeText,
    Metadata,
    Money,
    ReceivedWrite,
    Text,
    WriteEndpoint,
    check_ids,
    sent,
)

REFERENCES = {
    "manager_id": "users",
    "department_id": "departments",
    "location_id": "locations",
    "title_id": "titles",
}


class NewUser(msgspec.Struct):
    """Somebody to invite."""

    first_name: Text
    last_name: Text
    email: Text
    manager_id: str | None = None
    department_id: str | None = None
    location_id: str | None = None
    title_id: str | None = None
    metadata: Metadata = None


class UserChange(msgspec.Struct):
    """What to change of somebody; what is left out stays."""

    status: Literal["ACTIVE", "DISABLED"] | UnsetType | None = UNSET
    manager_id: MaybeText = UNSET
    department_id: MaybeText = UNSET
    location_id: MaybeText = UNSET
    title_id: MaybeText = UNSET
    metadata: Metadata | UnsetType = UNSET


class LimitBody(msgspec.Struct):
    """A monthly limit; null takes it away."""

    monthly_limit: Money | None = None


class NewPlace(msgspec.Struct):
    """A department or a location."""

    name: Text
    description: str | None = None


class NewTitle(msgspec.Struct):
    """A title."""

    name: Text


def invite(call: ReceivedWrite) -> Item:
    """Invites somebody, who accepts after a while; an e-mail address that a user has is refused."""
    world, body = call.world, sent(call.body)
    users = world.collection("users")
    taken = {str(user.get("email")).lower() for user in users.newest()}
    if body["email"].lower() in taken:
        raise bad_request("A user with this email already exists")
    _check_references(call, body)
    key = world.new_id("cuuser")
    user = {"id": key, **body, "status": "INVITED", "cost_center_id": None}
    users.add(user | {"legal_entity_id": None})
    world.invited.append((world.now(), key))
    limit = {"monthly_limit": None, "monthly_available": None}
    world.collection("user_limits").add_raw(key, "", encode(limit))
    world.collection("user_custom_fields").add_raw(key, "", b"[]")
    world.collection("user_options").add({"id": key, "options": []})
    return _shown(call, key)


def update(call: ReceivedWrite) -> Item:
    """Changes somebody; a null status is none."""
    call.item("users")
    changes = sent(call.body)
    _check_references(call, changes)
    if changes.get("status", "") is None:
        del changes["status"]
    call.world.collection("users").edit(call.id, **changes)
    return _shown(call, call.id)


def set_limit(call: ReceivedWrite) -> Item:
    """Sets or takes away a monthly limit; all of a new one is available."""
    call.item("users")
    limit = sent(call.body)["monthly_limit"]
    limits = call.world.collection("user_limits")
    changed = {"monthly_limit": limit, "monthly_available": limit}
    if limits.body(call.id) is None:
        limits.add_raw(call.id, "", encode(changed))
    else:
        limits.edit(call.id, **changed)
    return changed


def _shown(call: ReceivedWrite, key: str) -> Item:
    shown = call.world.collection("users").get(key)
    assert shown is not None  # noqa: S101
    return shown


def _check_references(call: ReceivedWrite, body: Item) -> None:
    for field, collection in REFERENCES.items():
        check_ids(call.world, collection, body.get(field))


def _creator(collection: str, prefix: str) -> Callable[[ReceivedWrite], Item]:
    def create(call: ReceivedWrite) -> Item:
        item = {"id": call.world.new_id(prefix), **sent(call.body)}
        call.world.collection(collection).add(item)
        return item

    return create


PEOPLE_WRITES = (
    WriteEndpoint("POST", "/v2/users", "users", invite, NewUser),
    WriteEndpoint("PUT", "/v2/users/{id}", "users", update, UserChange),
    WriteEndpoint("POST", "/v2/users/{id}/limit", "users", set_limit, LimitBody),
    WriteEndpoint(
        "POST", "/v2/departments", "departments", _creator("departments", "dept"), NewPlace
    ),
    WriteEndpoint("POST", "/v2/locations", "locations", _creator("locations", "loc"), NewPlace),
    WriteEndpoint("POST", "/v2/titles", "titles", _creator("titles", "title"), NewTitle),
)
