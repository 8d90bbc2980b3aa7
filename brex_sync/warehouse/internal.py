"""The tables of the internal schema: how far each list was read, and what was set aside."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from brex_sync.warehouse.database import INTERNAL

internal_metadata = sa.MetaData(schema=INTERNAL)

_when = sa.DateTime(timezone=True)
_count = sa.BigInteger


def _slice_key() -> list[sa.Column[str]]:
    return [
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("slice", sa.Text, primary_key=True),
    ]


checkpoints = sa.Table(
    "checkpoints",
    internal_metadata,
    *_slice_key(),
    sa.Column("epoch", _count, nullable=False, comment="Raised by whoever opens the row."),
    sa.Column("watermark", _when, comment="Newest moment read to the end, never in the future."),
    sa.Column("synced_at", _when, comment="When a window was last closed."),
    sa.Column("synced_through", sa.Date, comment="UTC date on which that window was opened."),
    sa.Column("wide_at", _when, comment="When a wide or full window was last closed."),
    sa.Column("full_at", _when, comment="When a full listing was last closed."),
    sa.Column("listed", _count, comment="Distinct rows the last closed window listed."),
    sa.Column("held", _count, comment="Live rows here in the last closed window's range."),
    sa.Column("withheld", _count, nullable=False, comment="Missing rows not marked as deleted."),
    sa.Column("window_number", _count, nullable=False, comment="Counts the windows opened."),
    sa.Column("window_open", sa.Boolean, nullable=False),
    sa.Column("window_scope", sa.Text, comment="overlap, wide or full."),
    sa.Column("window_since", _when, comment="First moment asked for; null: from the beginning."),
    sa.Column("window_until", _when, comment="Last moment asked for; null: to the end."),
    sa.Column("window_opened_at", _when),
    sa.Column("window_limit", sa.Integer, comment="Rows per page, constant within a window."),
    sa.Column("window_part", sa.Integer, nullable=False, comment="1 while hidden rows are listed."),
    sa.Column("window_cursor", sa.Text, comment="The next page; never outlives its window."),
    sa.Column("window_pages", sa.Integer, nullable=False, comment="Pages committed."),
    sa.Column("window_newest", _when, comment="Newest moment seen in the window."),
    sa.Column("fetched", _count, nullable=False),
    sa.Column("inserted", _count, nullable=False),
    sa.Column("updated", _count, nullable=False),
    sa.Column("quarantined", _count, nullable=False),
    comment="How far each list of each connection was read. The truth about it, and the fence.",
)

listed_keys = sa.Table(
    "listed_keys",
    internal_metadata,
    *_slice_key(),
    sa.Column("window_number", _count, primary_key=True),
    sa.Column("page", sa.Integer, primary_key=True),
    sa.Column("keys", ARRAY(sa.Text), nullable=False),
    comment="The keys each page of an open window listed: what is missing from them may be gone.",
)

request_limits = sa.Table(
    "request_limits",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("paused_until", _when, comment="Brex said to come back then."),
    comment="Locked by whoever borrows from a connection's requests.",
)

request_loans = sa.Table(
    "request_loans",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False, index=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("free_at", _when, nullable=False, comment="When they no longer count."),
    comment="Requests that a process may make, or made less than a minute ago.",
)

quarantine = sa.Table(
    "quarantine",
    internal_metadata,
    *_slice_key(),
    sa.Column("digest", sa.Text, primary_key=True, comment="Of the raw text."),
    sa.Column("key", sa.Text, comment="The row's key, where it could be read."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("window_number", _count, comment="The window that last set it aside."),
    sa.Column("raw", sa.Text, nullable=False, comment="The item as Brex sent it, masked."),
    sa.Column("first_seen_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("last_seen_at", _when, nullable=False, server_default=sa.func.now()),
    comment="Rows that could not be stored, with the reason. A row that lands later leaves it.",
)

unavailable = sa.Table(
    "unavailable",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False, comment="What Brex said, or of which stream."),
    sa.Column("since", _when, nullable=False),
    sa.Column("tried_at", _when, comment="When Brex last said so; null where it was not asked."),
    comment="Streams that the credential may not read. One that can be read again leaves it.",
)

unfilled = sa.Table(
    "unfilled",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("columns", ARRAY(sa.Text), nullable=False, comment="None: the whole child table."),
    sa.Column("after", ARRAY(sa.Text), comment="Key of the last row dealt with."),
    comment="What was added to tables that had rows, and is still to be filled from _raw.",
)

run_streams = sa.Table(
    "run_streams",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("started_at", _when, nullable=False),
    sa.Column("finished_at", _when, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="finished, unavailable or failed."),
    sa.Column("message", sa.Text),
    sa.Column("counts", JSONB, nullable=False),
    comment="What each run did to each stream.",
)
