"""What workflows do: their runs, the steps of each, and every write sent to Brex."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from brex_sync.warehouse.internal.base import count as _count
from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when

workflow_runs = sa.Table(
    "workflow_runs",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True, comment="Dagster's, for its runs."),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False, comment="Who asked for it first."),
    sa.Column("asked_at", _when, nullable=False, server_default=sa.func.now(), index=True),
    sa.Column("finished_at", _when, comment="Null while it runs, and if it was cut off."),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="running; waiting: no process is at it, and next_look_at says when one looks "
        "again; finished; failed: what stands is in workflow_steps, and it can be resumed.",
    ),
    sa.Column("confirmed", sa.Text, comment="What a person agreed to; null: nothing needs it."),
    sa.Column("confirmed_by", sa.Text, comment="Who asked for it with that agreement."),
    sa.Column("confirmed_at", _when),
    sa.Column("waits_for", sa.Text, comment="What it waits for, and what was seen last."),
    sa.Column("waits_since", _when),
    sa.Column("next_look_at", _when, comment="Null where it does not wait."),
    sa.Column("message", sa.Text, comment="What went wrong."),
    comment="The workflows that were asked for.",
)

workflow_inputs = sa.Table(
    "workflow_inputs",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
    comment="What each run was given, sealed: it may hold bank numbers and addresses.",
)

workflow_steps = sa.Table(
    "workflow_steps",
    internal_metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, sa.Identity(), comment="In this order they were begun."),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("body", JSONB(none_as_null=True), comment="Bank numbers cut."),
    sa.Column(
        "state",
        sa.Text,
        nullable=False,
        comment="begun: sent, and what came of it is not known; waiting: looked at since begun_at, "
        "and not yet as it is to be; done; refused: Brex said no.",
    ),
    sa.Column("refusals", _count, nullable=False, comment="How often Brex has refused it."),
    sa.Column("kept", JSONB(none_as_null=True), comment="What was kept of Brex's answer."),
    sa.Column("begun_at", _when, nullable=False, server_default=sa.func.now()),
    sa.Column("finished_at", _when),
    comment="The steps of each run: what is done is not done again.",
)

writes = sa.Table(
    "writes",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("workflow", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False, index=True),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Text, nullable=False, comment="Who had it sent."),
    sa.Column("sent_at", _when, nullable=False, server_default=sa.func.now(), index=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("body", JSONB(none_as_null=True), comment="What was sent. Bank numbers cut."),
    sa.Column(
        "idempotency_key",
        sa.Text,
        nullable=False,
        comment="Brex does it once, however often it was sent with the same.",
    ),
    sa.Column("answered_at", _when, comment="Null: cut off, and the outcome is not known."),
    sa.Column("attempts", _count, comment="Requests, those tried again included."),
    sa.Column("status", sa.Integer, comment="Of Brex's last answer; null: none came."),
    sa.Column("message", sa.Text, comment="What went wrong, in Brex's words."),
    sa.Column("trace_id", sa.Text, comment="By which Brex's support finds the request."),
    comment="Every write that was sent to Brex, and what it answered. Rows are added, and "
    "completed once; they are never changed after that, nor removed.",
)

GUARD_TRIGGERS = frozenset({"keep_writes", "keep_all_writes"})
GUARD = """
CREATE OR REPLACE FUNCTION brex_sync.keep_writes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.answered_at IS NULL AND NEW.answered_at IS NOT NULL
        AND to_jsonb(NEW) - '{answered_at,attempts,status,message,trace_id}'::text[]
            = to_jsonb(OLD) - '{answered_at,attempts,status,message,trace_id}'::text[]
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'brex_sync.writes is a record: rows are neither changed nor removed';
END $$;
CREATE OR REPLACE TRIGGER keep_writes BEFORE UPDATE OR DELETE ON brex_sync.writes
    FOR EACH ROW EXECUTE FUNCTION brex_sync.keep_writes();
CREATE OR REPLACE TRIGGER keep_all_writes BEFORE TRUNCATE ON brex_sync.writes
    FOR EACH STATEMENT EXECUTE FUNCTION brex_sync.keep_writes();
"""


@sa.event.listens_for(writes, "after_create")
def _guard(table: sa.Table, db: sa.Connection, **_: object) -> None:
    db.exec_driver_sql(GUARD)
