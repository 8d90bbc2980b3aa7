"""Writes about webhook subscriptions."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from brex_sync.sandbox.error_replies import bad_request
from brex_sync.sandbox.events.signing_secrets import ensure_secret
from brex_sync.sandbox.events.subscriptions import EventType, is_loopback, scheme_and_host
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.writes.declare import ReceivedWrite, Text, WriteEndpoint, check_ids, sent


class NewWebhook(msgspec.Struct):
    """Where to send which events."""

    url: Text
    event_types: Annotated[list[EventType], Meta(min_length=1)]
    group_id: str | None = None


class WebhookChange(NewWebhook, kw_only=True):
    """A subscription as it shall be."""

    status: Literal["ACTIVE", "INACTIVE"]


class NewGroup(msgspec.Struct):
    """A group to make."""

    name: Text


def register(call: ReceivedWrite) -> Item:
    """Subscribes; the first subscription brings a secret to sign with."""
    _check(call)
    made = {"id": call.world.new_id("wsub"), **sent(call.body), "status": "ACTIVE"}
    call.world.collection("webhooks").add(made)
    ensure_secret(call.world)
    return made


def update(call: ReceivedWrite) -> Item:
    """Puts another subscription in the place of one."""
    call.item("webhooks")
    _check(call)
    call.world.collection("webhooks").edit(call.id, **sent(call.body))
    return call.item("webhooks")


def unregister(call: ReceivedWrite) -> None:
    """Ends a subscription."""
    call.item("webhooks")
    call.world.collection("webhooks").delete(call.id)


def make_group(call: ReceivedWrite) -> Item:
    """Makes a group without members."""
    made = {"id": call.world.new_id("wg"), **sent(call.body)}
    call.world.collection("webhook_groups").add(made)
    call.world.collection("webhook_group_members").open_list(made["id"])
    return made


def _check(call: ReceivedWrite) -> None:
    """The URL is https; as this is the sandbox, http will do on loopback."""
    scheme, host = scheme_and_host(call.body.url)
    near = scheme == "http" and is_loopback(call.body.url)
    if not host or (scheme != "https" and not near):
        raise bad_request("url must be https")
    check_ids(call.world, "webhook_groups", call.body.group_id)


WEBHOOK_WRITES = (
    WriteEndpoint("POST", "/v1/webhooks", "", register, NewWebhook, keyed=True),
    WriteEndpoint("PUT", "/v1/webhooks/{id}", "", update, WebhookChange),
    WriteEndpoint("DELETE", "/v1/webhooks/{id}", "", unregister),
    WriteEndpoint("POST", "/v1/webhooks/groups", "", make_group, NewGroup, keyed=True),
)
