"""Moments that Postgres holds and Python does not: before the year 1, after 9999, and infinity.

No such moment is stored any longer; one that an earlier version stored must not stop a run.
"""

from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.datetime import TimestamptzLoader

_READABLE = "BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00'"


class _Loader(TimestamptzLoader):
    """Reads a moment; one that Python cannot hold as null."""

    def load(self, data: Any) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return None


def tolerate(engine: sa.Engine) -> sa.Engine:
    """The engine, on whose connections a moment that cannot be read is null."""

    def register(connection: Any, _: object) -> None:
        connection.adapters.register_loader("timestamptz", _Loader)

    sa.event.listen(engine, "connect", register)
    return engine


def forget_unreadable(db: sa.Connection, table: sa.Table) -> None:
    """Makes null what no client in UTC can read in a table; each item's `_raw` still has it."""
    moments = [
        f'"{column.name}"'
        for column in table.columns
        if isinstance(column.type, sa.DateTime) and not column.name.startswith("_")
    ]
    if not moments:
        return
    kept = ", ".join(f"{name} = CASE WHEN {name} {_READABLE} THEN {name} END" for name in moments)
    some = " OR ".join(f"{name} NOT {_READABLE}" for name in moments)
    db.exec_driver_sql(f'UPDATE "{table.schema}"."{table.name}" SET {kept} WHERE {some}')
