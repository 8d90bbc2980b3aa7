"""Which marts were made of which declaration, how current they are, and whether they tie."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from brex_sync.warehouse.internal.base import count as _count
from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when

marts = sa.Table(
    "marts",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("mart", sa.Text, primary_key=True),
    sa.Column("stored", sa.Boolean, nullable=False, comment="Whether it holds rows of its own."),
    sa.Column("declared", sa.Text, comment="Digest of the declaration it was made of."),
    sa.Column("relation", sa.Text, comment="Digest of the relation as it was left."),
    sa.Column("reads", ARRAY(sa.Text), nullable=False, comment="Tables it reads, with schemas."),
    sa.Column("known_until", _when, comment="Changes before this are in it, and were checked."),
    sa.Column("refreshed_at", _when, comment="When it was last made, refreshed or checked."),
    sa.Column("seconds", sa.Double, comment="How long that took."),
    sa.Column("rows", _count, comment="How many rows it had then."),
    sa.Column("ties", JSONB, comment="Per tie, how many rows broke it then, and the first ten."),
    sa.Column("fault", sa.Text, comment="Why it could not be made or refreshed; null if it was."),
    comment="The marts of each connection: how current they are, and whether they tie.",
)
