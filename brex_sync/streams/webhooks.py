"""Brex's Webhooks API: where Brex sends events."""

from brex_sync.streams.columns import json, text
from brex_sync.streams.declare import Stream

WEBHOOK_SUBSCRIPTIONS = Stream(
    name="webhook_subscriptions",
    group="partners",
    description="Endpoints that this credential has Brex send events to. Secrets are never read.",
    path="/v1/webhooks",
    item_path="/v1/webhooks/{id}",
    scope="openid",
    columns=(
        text("id", "Brex's identifier of the subscription."),
        text("group_id", "Group of accounts it is for, if any."),
        text("url", "Where events go."),
        json("event_types", "Which events."),
        text("status", "ACTIVE, INACTIVE and others as Brex adds them."),
    ),
)
