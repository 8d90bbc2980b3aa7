"""How the marts of each connection stand."""

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision, down_revision = "0002", "0001"


def upgrade(op: Operations) -> None:
    """Makes `marts`."""
    op.create_table(
        "marts",
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("mart", sa.Text, primary_key=True),
        sa.Column("stored", sa.Boolean, nullable=False),
        sa.Column("declared", sa.Text),
        sa.Column("relation", sa.Text),
        sa.Column("reads", ARRAY(sa.Text), nullable=False),
        sa.Column("known_until", sa.DateTime(timezone=True)),
        sa.Column("refreshed_at", sa.DateTime(timezone=True)),
        sa.Column("seconds", sa.Double),
        sa.Column("rows", sa.BigInteger),
        sa.Column("ties", JSONB),
        sa.Column("fault", sa.Text),
        schema="brex_sync",
        if_not_exists=True,
    )
