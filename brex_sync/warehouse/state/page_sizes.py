"""The page sizes found to be good for lists whose declared one Brex refused, or could not serve."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import page_sizes
from brex_sync.warehouse.warehouse import Warehouse

KEPT = timedelta(days=7)
"""After so long the declared size is tried again."""


def known(warehouse: Warehouse, stream: str, now: datetime) -> int | None:
    """The rows in a page to ask a stream's lists for; None where the declared number is as good."""
    c = page_sizes.c
    asked = sa.select(c.rows).where(
        c.connection == warehouse.schema, c.stream == stream, c.found_at > now - KEPT
    )
    with warehouse.connect() as db:
        found: int | None = db.scalar(asked)
    return found


def remember(warehouse: Warehouse, stream: str, rows: int, now: datetime) -> None:
    """Records the size that a stream's lists are read in from now on."""
    news = {"rows": rows, "found_at": now}
    row = insert(page_sizes).values(connection=warehouse.schema, stream=stream, **news)
    with warehouse.begin() as db:
        db.execute(row.on_conflict_do_update(index_elements=["connection", "stream"], set_=news))
