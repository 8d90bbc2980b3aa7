"""The log of proxied requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from brex_sync.warehouse.internal import proxied_requests


def store(engine: sa.Engine, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows, all or none."""
    with engine.begin() as db:
        db.execute(sa.insert(proxied_requests), list(rows))


def prune(engine: sa.Engine, before: datetime) -> int:
    """Deletes what came before a moment; how many there were."""
    with engine.begin() as db:
        return db.execute(
            sa.delete(proxied_requests).where(proxied_requests.c.at < before)
        ).rowcount
