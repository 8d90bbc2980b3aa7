"""Which marts are no longer current, and stored ones refreshed."""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from brex_sync.errors import MartError, PostgresError
from brex_sync.marts.declare import Mart
from brex_sync.marts.session import refused, run, schema_of
from brex_sync.marts.standing import MartStanding


def outdated(
    marts: Mapping[str, Mart],
    standings: Mapping[str, MartStanding],
    changes: Mapping[str, datetime | None],
) -> list[str]:
    """The marts whose tables have rows changed since they were last known to be current.

    A change may be counted once too often, where a transaction was open during the last refresh,
    and never too rarely.
    """
    found = []
    for name in marts:
        stand = standings.get(name, MartStanding(name))
        newest = [changed for table in stand.reads if (changed := changes.get(table))]
        if stand.known_until is None or any(stand.known_until <= one for one in newest):
            found.append(name)
    return found


def last_changes(db: sa.Connection, tables: Collection[str]) -> dict[str, datetime | None]:
    """When a row of each of the tables last changed; an index answers that."""
    if not tables:
        return {}
    named = sorted(tables)
    asked = ", ".join(f"(SELECT max(_changed_at) FROM {table})" for table in named)
    return dict(zip(named, db.exec_driver_sql(f"SELECT {asked}").one(), strict=True))


def refresh(db: sa.Connection, connection: str, mart: Mart) -> None:
    """Brings the rows of a stored mart up to date; people go on reading the old ones meanwhile.

    Raises:
        MartError: Postgres refuses.
    """
    name = f'"{schema_of(connection)}"."{mart.name}"'
    try:
        with db.begin_nested():
            run(db, f"REFRESH MATERIALIZED VIEW CONCURRENTLY {name}")
    except PostgresError as error:
        raise MartError(mart.path, f"Postgres: {refused(error)}") from error
