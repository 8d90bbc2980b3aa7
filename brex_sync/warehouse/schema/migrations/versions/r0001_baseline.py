"""The internal schema as it was when revisions began.

The tables are fitted, not only created: a warehouse of earlier code, which had no revisions, gets
what it lacks and keeps what it holds.
"""

from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from brex_sync.warehouse.schema import catalogue
from brex_sync.warehouse.schema.fitting import fit

revision, down_revision = "0001", None

METADATA = sa.MetaData(schema="brex_sync")
WHEN = sa.DateTime(timezone=True)
TEXTS = ARRAY(sa.Text)
NOW = sa.func.now()
WAITING = sa.text("state = 'waiting'")


def upgrade(op: Operations) -> None:
    """Creates the tables, or adds to them what they lack."""
    db = op.get_bind()
    found = catalogue.read(db, "brex_sync")
    for table in METADATA.sorted_tables:
        fit(db, table, found, describe=False)


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    sa.Table(name, METADATA, *parts)


def _slice_key() -> list[sa.Column[str]]:
    names = ("connection", "stream", "slice")
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _window() -> list[sa.Column[Any]]:
    return [
        sa.Column("window_number", sa.BigInteger, nullable=False),
        sa.Column("window_scope", sa.Text),
        sa.Column("window_since", WHEN),
        sa.Column("window_until", WHEN),
        sa.Column("window_opened_at", WHEN),
        sa.Column("window_limit", sa.Integer),
        sa.Column("window_part", sa.Integer, nullable=False),
        sa.Column("window_cursor", sa.Text),
        sa.Column("window_pages", sa.Integer, nullable=False),
        sa.Column("window_newest", WHEN),
        sa.Column("fetched", sa.BigInteger, nullable=False),
        sa.Column("inserted", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
    ]


_table(
    "credentials",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("company_id", sa.Text),
    sa.Column("company_name", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("state_since", WHEN, nullable=False),
    sa.Column("granted", TEXTS),
    sa.Column("scopes", TEXTS),
    sa.Column("secrets", sa.Text),
    sa.Column("digest", sa.Text),
    sa.Column("access_ends_at", WHEN),
    sa.Column("issued_at", WHEN),
    sa.Column("used_at", WHEN),
    sa.Column("tried_at", WHEN),
    sa.Column("failure", sa.Text),
    sa.Column("alerted", sa.Text),
)
_table(
    "refreshes",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("started_at", WHEN, nullable=False),
)
_table(
    "webhook_events",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("received_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", WHEN, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("done_at", WHEN),
    sa.Index("ix_webhook_events_done_at", "connection", "done_at"),
    sa.Index("ix_webhook_events_waiting", "connection", "number", postgresql_where=WAITING),
)
_table(
    "webhook_bodies",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("body", sa.Text, nullable=False),
)
_table(
    "webhook_refusals",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
_table(
    "webhook_secrets",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("secrets", sa.Text),
    sa.Column("fetched_at", WHEN),
    sa.Column("asked_at", WHEN),
    sa.Column("endpoint", sa.Text),
)
_table(
    "notifications",
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try_at", WHEN, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("done_at", WHEN),
    sa.Index("ix_notifications_waiting", "url", "number", postgresql_where=WAITING),
)
_table(
    "leases",
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("slot", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("taken_at", WHEN, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("ends_at", WHEN, nullable=False),
)
_table(
    "proxied_requests",
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("at", WHEN, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("parameters", TEXTS, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("refused", sa.Text),
    sa.Column("ms", sa.Double, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("trace_id", sa.Text),
    sa.Column("caller", sa.Text),
)
_table(
    "checkpoints",
    *_slice_key(),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("watermark", WHEN),
    sa.Column("synced_at", WHEN),
    sa.Column("synced_through", sa.Date),
    sa.Column("wide_at", WHEN),
    sa.Column("full_at", WHEN),
    sa.Column("parent_changed_at", WHEN),
    sa.Column("listed", sa.BigInteger),
    sa.Column("held", sa.BigInteger),
    sa.Column("window_open", sa.Boolean, nullable=False),
    *_window(),
)
_table(
    "parked_windows",
    *_slice_key(),
    *_window(),
)
_table(
    "listed_keys",
    *_slice_key(),
    sa.Column("window_number", sa.BigInteger, primary_key=True),
    sa.Column("page", sa.Integer, primary_key=True),
    sa.Column("keys", TEXTS, nullable=False),
)
_table(
    "missing_rows",
    *_slice_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("since", WHEN, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("judged_at", WHEN),
    sa.Column("doubt", sa.Text),
)
_table(
    "request_limits",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("paused_until", WHEN),
    sa.Column("syncs_asked_at", WHEN),
    sa.Column("others_asked_at", WHEN),
)
_table(
    "request_loans",
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False, index=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("free_at", WHEN, nullable=False),
    sa.Column("sync", sa.Boolean, nullable=False, server_default=sa.true()),
)
_table(
    "quarantine",
    *_slice_key(),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("key", sa.Text),
    sa.Column("field", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("window_number", sa.BigInteger),
    sa.Column("raw", sa.Text, nullable=False),
    sa.Column("first_seen_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("last_seen_at", WHEN, nullable=False, server_default=NOW),
)
_table(
    "unavailable",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", WHEN, nullable=False),
    sa.Column("tried_at", WHEN),
)
_table(
    "unavailable_lists",
    *_slice_key(),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", WHEN, nullable=False),
)
_table(
    "page_sizes",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("found_at", WHEN, nullable=False),
)
_table(
    "unfilled",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("columns", TEXTS, nullable=False),
    sa.Column("after", TEXTS),
)
_table(
    "schema_versions",
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("package", sa.Text, nullable=False),
    sa.Column("since", WHEN, nullable=False, server_default=NOW),
)
_table(
    "known_tables",
    sa.Column("schema", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("oid", sa.BigInteger, nullable=False),
)
_table(
    "stray_deletions",
    sa.Column("oid", sa.BigInteger, primary_key=True),
    sa.Column("truncated", sa.Boolean, nullable=False),
)
_table(
    "stream_requests",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
)
_table(
    "runs",
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("started_at", WHEN, nullable=False, index=True),
    sa.Column("finished_at", WHEN),
    sa.Column("state", sa.Text, nullable=False),
)
_table(
    "closes",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True),
    sa.Column("closed_on", sa.Date, nullable=False),
    sa.Column("noted_at", WHEN, nullable=False, server_default=NOW),
)
_table(
    "reconciliations",
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("since", sa.Date),
    sa.Column("finished_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("missing", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("stale", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("gone", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("withheld", sa.BigInteger, nullable=False, server_default="0"),
)
_table(
    "postponed_reconciliations",
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("since", sa.Date),
    sa.Column("postponed_at", WHEN, nullable=False, server_default=NOW),
)
_table(
    "differences",
    sa.Column("run_id", sa.Text, primary_key=True),
    *_slice_key(),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("columns", TEXTS),
    sa.Column("noted_at", WHEN, nullable=False, server_default=NOW),
)
_table(
    "run_streams",
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("started_at", WHEN, nullable=False, index=True),
    sa.Column("finished_at", WHEN),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("synced_through", sa.Date),
    sa.Column("fetched", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("inserted", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("updated", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("unchanged", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("deleted", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("quarantined", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("withheld", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("requests", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("noted_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
)
_table(
    "workflow_runs",
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("asked_at", WHEN, nullable=False, server_default=NOW, index=True),
    sa.Column("finished_at", WHEN),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("confirmed", sa.Text),
    sa.Column("confirmed_by", sa.Text),
    sa.Column("confirmed_at", WHEN),
    sa.Column("waits_for", sa.Text),
    sa.Column("waits_since", WHEN),
    sa.Column("next_look_at", WHEN),
    sa.Column("message", sa.Text),
)
_table(
    "workflow_inputs",
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
_table(
    "workflow_steps",
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("body", JSONB()),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("refusals", sa.BigInteger, nullable=False),
    sa.Column("kept", JSONB()),
    sa.Column("begun_at", WHEN, nullable=False, server_default=NOW),
    sa.Column("finished_at", WHEN),
)
_table(
    "writes",
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False),
    sa.Column("sent_at", WHEN, nullable=False, server_default=NOW, index=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("body", JSONB()),
    sa.Column("idempotency_key", sa.Text, nullable=False),
    sa.Column("answered_at", WHEN),
    sa.Column("attempts", sa.BigInteger),
    sa.Column("status", sa.Integer),
    sa.Column("message", sa.Text),
    sa.Column("trace_id", sa.Text),
)
