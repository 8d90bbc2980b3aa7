"""Which runs are alive."""

import sqlalchemy as sa

from brex_sync.warehouse.internal.base import internal_metadata, when

leases = sa.Table(
    "leases",
    internal_metadata,
    sa.Column("kind", sa.Text, primary_key=True, comment="What the name names."),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("slot", sa.Text, primary_key=True, comment="Empty: exclusive; else the holder."),
    sa.Column("holder", sa.Text, nullable=False, comment="A token that only the holder knows."),
    sa.Column("taken_at", when, nullable=False),
    sa.Column("note", sa.Text, comment="Who holds it, for those it keeps waiting."),
    sa.Column("ends_at", when, nullable=False, comment="Postponed by every heartbeat."),
    comment="Held by live processes for what they do; one past its end belongs to a dead one.",
)
