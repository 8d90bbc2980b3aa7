"""Reconciliations whose time came while another run had the connection: still to be done."""

from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import postponed
from brex_sync.warehouse.warehouse import Warehouse

_C = postponed.c


def put(warehouse: Warehouse, name: str, since: date | None) -> None:
    """Notes that a reconciliation from `since` on (None: of everything) is due.

    One that is due already keeps the earlier date.
    """
    row = insert(postponed).values(connection=warehouse.schema, name=name, since=since)
    earlier = {"since": sa.func.least(_C.since, row.excluded.since)}
    with warehouse.begin() as db:
        db.execute(
            row.on_conflict_do_update(index_elements=list(postponed.primary_key), set_=earlier)
        )


def due(warehouse: Warehouse) -> tuple[str, date | None] | None:
    """The name and first date of the reconciliation to do next: that of everything first."""
    rows = sa.select(_C.name, _C.since).where(_C.connection == warehouse.schema)
    with warehouse.connect() as db:
        row = db.execute(rows.order_by(_C.since.asc().nulls_first()).limit(1)).one_or_none()
    return (row.name, row.since) if row else None


def done(warehouse: Warehouse, since: date | None) -> None:
    """Forgets what is due no longer once everything from `since` on is being reconciled."""
    covered = sa.true() if since is None else _C.since >= since
    with warehouse.begin() as db:
        db.execute(sa.delete(postponed).where(_C.connection == warehouse.schema, covered))
