"""What other programs asked of Brex through the proxy."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from brex_sync.warehouse.internal.base import count as _count
from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when

proxied_requests = sa.Table(
    "proxied_requests",
    internal_metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("at", _when, nullable=False, index=True, comment="When it came."),
    sa.Column("connection", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("parameters", ARRAY(sa.Text), nullable=False, comment="Names, without values."),
    sa.Column("status", sa.Integer, nullable=False, comment="Brex's, or ours if it was refused."),
    sa.Column("refused", sa.Text, comment="Why Brex was not asked, or gave no answer."),
    sa.Column("ms", sa.Double, nullable=False, comment="From the request to the answer."),
    sa.Column("bytes_in", _count, nullable=False, comment="Of the request's body."),
    sa.Column("bytes_out", _count, nullable=False, comment="Of the answer's body."),
    sa.Column("trace_id", sa.Text, comment="Brex's."),
    sa.Column("caller", sa.Text, comment="What the program calls itself: its User-Agent."),
    comment="Requests of other programs, without bodies. Kept as long as Dagster keeps its runs.",
)
