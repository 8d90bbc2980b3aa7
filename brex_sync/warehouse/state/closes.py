"""Months whose books are closed, and on which day."""

from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import closes
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Close:
    """A closed month (its first day), and how many rows changed in it after that day (UTC)."""

    month: date
    closed_on: date
    late: int


def close(warehouse: Warehouse, month: date, on: date) -> None:
    """Closes a month on a day; one that was closed already is closed on that day instead."""
    row = insert(closes).values(connection=warehouse.schema, month=month, closed_on=on)
    again = {"closed_on": on, "noted_at": sa.func.now()}
    with warehouse.begin() as db:
        db.execute(row.on_conflict_do_update(index_elements=list(closes.primary_key), set_=again))


def reopen(warehouse: Warehouse, month: date) -> bool:
    """Opens a month again; whether it was closed."""
    mine = sa.and_(closes.c.connection == warehouse.schema, closes.c.month == month)
    with warehouse.begin() as db:
        return db.execute(sa.delete(closes).where(mine)).rowcount == 1


def noted(warehouse: Warehouse) -> dict[date, datetime]:
    """The months that are closed by today (UTC), and when somebody said so of each last."""
    today = sa.func.timezone("UTC", sa.func.now()).cast(sa.Date)
    mine = sa.and_(closes.c.connection == warehouse.schema, closes.c.closed_on <= today)
    query = sa.select(closes.c.month, closes.c.noted_at).where(mine).order_by(closes.c.month)
    with warehouse.connect() as db:
        return {row.month: row.noted_at for row in db.execute(query)}


def closed(warehouse: Warehouse) -> list[Close]:
    """The closed months of a connection, newest first."""
    sql = f"""
        SELECT c.month, c.closed_on, count(l.id)
        FROM brex_sync.closes c LEFT JOIN "{warehouse.schema}".late_changes l USING (month)
        WHERE c.connection = :connection
        GROUP BY 1, 2 ORDER BY 1 DESC
    """
    with warehouse.connect() as db:
        return [Close(*row) for row in db.execute(sa.text(sql), {"connection": warehouse.schema})]
