"""How each connection's credential stands."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.base import when as _when

credentials = sa.Table(
    "credentials",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("configuration", sa.Text, nullable=False),
    sa.Column("company_id", sa.Text),
    sa.Column("company_name", sa.Text),
    sa.Column("state", sa.Text, nullable=False, comment="CONNECTED or RECONNECT_REQUIRED."),
    sa.Column("reason", sa.Text, comment="Why a person must act."),
    sa.Column("state_since", _when, nullable=False),
    sa.Column("granted", ARRAY(sa.Text), comment="Scopes granted when it was connected."),
    sa.Column("scopes", ARRAY(sa.Text), comment="Scopes granted now; null where Brex won't say."),
    sa.Column("secrets", sa.Text, comment="Tokens or key, sealed; null if kept elsewhere."),
    sa.Column("digest", sa.Text, comment="Tells one key of the environment from the next."),
    sa.Column("access_ends_at", _when, comment="When the access token ends."),
    sa.Column("issued_at", _when, comment="When the refresh token was issued."),
    sa.Column("used_at", _when, comment="When refresh token or key last proved good at Brex."),
    sa.Column("tried_at", _when, comment="When that was last tried."),
    sa.Column("failure", sa.Text, comment="Why the last try settled nothing; null if it did."),
    sa.Column("alerted", sa.Text, comment="The fault that was last told to the alert target."),
    comment="The credential of each connection. Renewed only by whoever holds the row's lock.",
)

refreshes = sa.Table(
    "refreshes",
    internal_metadata,
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("started_at", _when, nullable=False),
    comment="Refreshes begun whose outcome is not stored: under way, or cut off.",
)
