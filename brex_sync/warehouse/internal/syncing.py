"""How far each list was read, what was set aside, and what the runs did."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from brex_sync.warehouse.internal.base import count as _count
from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when


def _slice_key() -> list[sa.Column[str]]:
    return [
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("slice", sa.Text, primary_key=True),
    ]


def _window() -> list[sa.Column[Any]]:
    return [
        sa.Column("window_number", _count, nullable=False, comment="Counts the windows opened."),
        sa.Column("window_scope", sa.Text, comment="overlap, wide, full or backfill."),
        sa.Column("window_since", _when, comment="First moment asked for; null: the beginning."),
        sa.Column("window_until", _when, comment="Last moment asked for; null: to the end."),
        sa.Column("window_opened_at", _when),
        sa.Column("window_limit", sa.Integer, comment="Rows per page, constant within a window."),
        sa.Column("window_part", sa.Integer, nullable=False, comment="1: hidden rows are listed."),
        sa.Column("window_cursor", sa.Text, comment="The next page; never outlives its window."),
        sa.Column("window_pages", sa.Integer, nullable=False, comment="Pages committed."),
        sa.Column("window_newest", _when, comment="Newest moment seen in the window."),
        sa.Column("fetched", _count, nullable=False),
        sa.Column("inserted", _count, nullable=False),
        sa.Column("updated", _count, nullable=False),
        sa.Column("quarantined", _count, nullable=False),
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
    sa.Column("parent_changed_at", _when, comment="What its row's _changed_at was when begun."),
    sa.Column("listed", _count, comment="Distinct rows the last closed window listed."),
    sa.Column("held", _count, comment="Live rows here in its range, less those it did not list."),
    sa.Column("window_open", sa.Boolean, nullable=False),
    *_window(),
    comment="How far each list of each connection was read. The truth about it, and the fence.",
)

parked_windows = sa.Table(
    "parked_windows",
    internal_metadata,
    *_slice_key(),
    *_window(),
    comment="Unfinished backfills, put aside while their list is brought up to date.",
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

missing_rows = sa.Table(
    "missing_rows",
    internal_metadata,
    *_slice_key(),
    sa.Column("key", sa.Text, primary_key=True, comment="The row's key, without its slice."),
    sa.Column("since", _when, nullable=False, comment="When a list first lacked it."),
    sa.Column("run_id", sa.Text, nullable=False, comment="The run that read that list."),
    sa.Column("judged_at", _when, comment="When the full listing began that last judged it."),
    sa.Column("doubt", sa.Text, comment="Why the list is doubted; null: a later run decides."),
    comment="Live rows that Brex did not list, until they are found again or proved gone.",
)

request_limits = sa.Table(
    "request_limits",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("paused_until", _when, comment="Brex said to come back then."),
    sa.Column("syncs_asked_at", _when, comment="When a sync last wanted to borrow."),
    sa.Column("others_asked_at", _when, comment="When anything else last wanted to."),
    comment="Locked by whoever borrows from a connection's requests.",
)

request_loans = sa.Table(
    "request_loans",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False, index=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("free_at", _when, nullable=False, comment="When they no longer count."),
    sa.Column(
        "sync",
        sa.Boolean,
        nullable=False,
        server_default=sa.true(),
        comment="Whether a sync makes them; syncs go first.",
    ),
    comment="Requests that a process may make, or made less than a minute ago.",
)

quarantine = sa.Table(
    "quarantine",
    internal_metadata,
    *_slice_key(),
    sa.Column("digest", sa.Text, primary_key=True, comment="Of the raw text, key and field."),
    sa.Column("key", sa.Text, comment="The row's key, where it could be read."),
    sa.Column("field", sa.Text, comment="What its row is stored without; null: no row is stored."),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("window_number", _count, comment="The window that last set it aside."),
    sa.Column(
        "raw", sa.Text, nullable=False, comment="The item or the value as Brex sent it, masked."
    ),
    sa.Column("first_seen_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("last_seen_at", _when, nullable=False, server_default=sa.func.now()),
    comment="Rows that could not be stored, and fields that rows were stored without, with the "
    "reason. What lands later leaves it.",
)

unavailable = sa.Table(
    "unavailable",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False, comment="What Brex said, or of which stream."),
    sa.Column("since", _when, nullable=False),
    sa.Column("tried_at", _when, comment="When Brex last said so; null where it was not asked."),
    comment="Streams of which no list may be read. One that can be read again leaves it.",
)

unavailable_lists = sa.Table(
    "unavailable_lists",
    internal_metadata,
    *_slice_key(),
    sa.Column("reason", sa.Text, nullable=False, comment="What Brex said."),
    sa.Column("since", _when, nullable=False),
    comment="Lists per row of another stream that the credential may not read. One that can be "
    "read again leaves it; what is said of one is said of no other.",
)

page_sizes = sa.Table(
    "page_sizes",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("rows", sa.Integer, nullable=False, comment="Rows in a page."),
    sa.Column("found_at", _when, nullable=False, comment="When a larger page last failed."),
    comment="Streams whose declared page size Brex refused, or could not serve.",
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

schema_versions = sa.Table(
    "schema_versions",
    internal_metadata,
    sa.Column("number", _count, primary_key=True, comment="The greatest is the warehouse's."),
    sa.Column("package", sa.Text, nullable=False, comment="The release that first wrote it."),
    sa.Column("since", _when, nullable=False, server_default=sa.func.now()),
    comment="Which versions of the tables this warehouse has had. Older code is refused.",
)

known_tables = sa.Table(
    "known_tables",
    internal_metadata,
    sa.Column("schema", sa.Text, primary_key=True),
    sa.Column("table", sa.Text, primary_key=True),
    sa.Column("oid", _count, nullable=False),
    comment="Tables as they were last made or found fit: another one of the same name is told by "
    "its oid, and filled from the beginning.",
)

stray_deletions = sa.Table(
    "stray_deletions",
    internal_metadata,
    sa.Column("oid", _count, primary_key=True, comment="Of the table."),
    sa.Column("truncated", sa.Boolean, nullable=False),
    comment="Tables of which rows were removed, which no sync does. Kept by triggers until the "
    "next run has looked.",
)

stream_requests = sa.Table(
    "stream_requests",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    comment="What each stream's rows were last asked for with. Where that has changed since, the "
    "stream is read from the beginning once.",
)

runs = sa.Table(
    "runs",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True, comment="Dagster's, for its runs."),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="schedule, manual, reconcile or backfill."),
    sa.Column("started_at", _when, nullable=False, index=True),
    sa.Column(
        "finished_at",
        _when,
        comment="Null while it runs; when it was last heard of, if it was interrupted.",
    ),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="running; finished: every stream was read to its end; failed; stopped: it did "
        "not come to its end; interrupted: its lease ended, as its process was gone.",
    ),
    comment="The syncs of every connection.",
)


closes = sa.Table(
    "closes",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, primary_key=True, comment="Its first day."),
    sa.Column("closed_on", sa.Date, nullable=False, comment="UTC; what changes later is late."),
    sa.Column("noted_at", _when, nullable=False, server_default=sa.func.now()),
    comment="Months whose books the finance team has closed.",
)

reconciliations = sa.Table(
    "reconciliations",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("stream", sa.Text, primary_key=True),
    sa.Column("since", sa.Date, comment="First date compared; null: all of it."),
    sa.Column("finished_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("missing", _count, nullable=False, server_default="0", comment="Rows Brex had."),
    sa.Column("stale", _count, nullable=False, server_default="0", comment="Rows that differed."),
    sa.Column("gone", _count, nullable=False, server_default="0", comment="Rows Brex had not."),
    sa.Column(
        "withheld", _count, nullable=False, server_default="0", comment="Rows that may be gone."
    ),
    comment="Streams compared with Brex to their end; four zeros: nothing differed. What did is "
    "in differences, and has been mended, but for what is withheld.",
)

postponed = sa.Table(
    "postponed_reconciliations",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True, comment="weekly or monthly."),
    sa.Column("since", sa.Date, comment="First date to compare; null: everything."),
    sa.Column("postponed_at", _when, nullable=False, server_default=sa.func.now()),
    comment="Reconciliations whose time came while another run had the connection. The next tick "
    "of its schedule asks for them.",
)

differences = sa.Table(
    "differences",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    *_slice_key(),
    sa.Column("key", sa.Text, primary_key=True, comment="The row's key, without its slice."),
    sa.Column("kind", sa.Text, nullable=False, comment="missing, stale or gone."),
    sa.Column("columns", ARRAY(sa.Text), comment="Columns in which a stale row differed."),
    sa.Column("noted_at", _when, nullable=False, server_default=sa.func.now()),
    comment="Rows that reconciliations found to differ from Brex.",
)


def _done(name: str, comment: str) -> sa.Column[int]:
    return sa.Column(name, _count, nullable=False, server_default="0", comment=comment)


run_streams = sa.Table(
    "run_streams",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("started_at", _when, nullable=False, index=True),
    sa.Column("finished_at", _when, comment="Null while it is read."),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="running, finished, failed or unavailable; stopped or interrupted with its run.",
    ),
    sa.Column("message", sa.Text, comment="What went wrong, or is in doubt."),
    sa.Column("synced_through", sa.Date, comment="UTC date through which the stream is known."),
    _done("fetched", "Rows Brex sent, each time it sent them."),
    _done("inserted", "Rows that were new."),
    _done("updated", "Rows that had changed, or come back."),
    _done("unchanged", "Rows that were here as they were sent."),
    _done("deleted", "Rows marked as deleted."),
    _done("quarantined", "Rows set aside."),
    _done("withheld", "Missing rows not marked as deleted."),
    _done("requests", "Requests to Brex, those tried again included."),
    sa.Column("noted_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
    comment="What each run did to each stream.",
)
