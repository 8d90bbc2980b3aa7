"""What Brex tells by webhook, and what others are told."""

import sqlalchemy as sa

from brex_sync.warehouse.internal.base import count as _count
from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when

webhook_events = sa.Table(
    "webhook_events",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True, comment="Brex's Webhook-Id, the same if resent."),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False, comment="Order of arrival."),
    sa.Column("type", sa.Text, nullable=False, comment="USER_UPDATED and others."),
    sa.Column("received_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("deliveries", sa.Integer, nullable=False, comment="How often it came."),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="waiting; done: the warehouse has what it told of; parked: given up.",
    ),
    sa.Column("tries", sa.Integer, nullable=False, comment="Times it was taken up."),
    sa.Column("next_try_at", _when, nullable=False, comment="Not to be taken up before."),
    sa.Column("note", sa.Text, comment="Why nothing came of it, or went wrong at the last try."),
    sa.Column("done_at", _when, comment="When it was done, or parked."),
    sa.Index(
        "ix_webhook_events_waiting",
        "connection",
        "number",
        postgresql_where=sa.text("state = 'waiting'"),
    ),
    sa.Index("ix_webhook_events_done_at", "connection", "done_at"),
    comment="Events whose signature was good, each once, committed before Brex is told so.",
)

webhook_bodies = sa.Table(
    "webhook_bodies",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False, comment="The JSON Brex sent."),
    comment="What the events say. Kept apart, as some name people who are no users.",
)

webhook_refusals = sa.Table(
    "webhook_refusals",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True, comment="UTC."),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("count", _count, nullable=False),
    comment="Deliveries that were refused, by reason; what they said is not kept.",
)

webhook_secrets = sa.Table(
    "webhook_secrets",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("secrets", sa.Text, comment="The live ones, sealed; null if none is known yet."),
    sa.Column("fetched_at", _when, comment="When Brex last gave them."),
    sa.Column("asked_at", _when, comment="When Brex was last asked for them."),
    sa.Column("endpoint", sa.Text, comment="Where `webhooks register` has Brex send events."),
    comment="What Brex signs events with, and where it sends them.",
)

notifications = sa.Table(
    "notifications",
    internal_metadata,
    sa.Column("id", sa.Text, primary_key=True, comment="The webhook-id it is sent under."),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False, comment="stream.changed or brex.event."),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("state", sa.Text, nullable=False, comment="waiting, done or given_up."),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", _when, nullable=False),
    sa.Column("note", sa.Text, comment="What went wrong at the last try."),
    sa.Column("done_at", _when, comment="When it was taken, or given up."),
    sa.Index(
        "ix_notifications_waiting", "url", "number", postgresql_where=sa.text("state = 'waiting'")
    ),
    comment="What others are to be told, and were.",
)
