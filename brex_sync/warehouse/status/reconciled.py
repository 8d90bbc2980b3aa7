"""The last reconciliation of a connection, for people."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import reconciliations
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class LastReconciliation:
    """A run that compared streams with Brex: since which date at the earliest (None: all), and how
    many rows differed before it mended them. `withheld` are not known to be gone."""

    run_id: str
    finished_at: datetime
    streams: int
    since: date | None
    differed: int
    withheld: int


def last_reconciliation(warehouse: Warehouse) -> LastReconciliation | None:
    """The one that ended last; None where there was none."""
    c = reconciliations.c
    everything = sa.func.bool_or(c.since.is_(None))
    wanted = (
        sa.select(
            c.run_id,
            sa.func.max(c.finished_at),
            sa.func.count(),
            sa.case((everything, None), else_=sa.func.min(c.since)),
            sa.cast(sa.func.sum(c.missing + c.stale + c.gone), sa.BigInteger),
            sa.cast(sa.func.sum(c.withheld), sa.BigInteger),
        )
        .where(c.connection == warehouse.schema)
        .group_by(c.run_id)
        .order_by(sa.func.max(c.finished_at).desc(), c.run_id)
        .limit(1)
    )
    with warehouse.connect() as db:
        if not sa.inspect(db).has_table(reconciliations.name, schema=INTERNAL):
            return None
        row = db.execute(wanted).one_or_none()
    return LastReconciliation(*row) if row else None
