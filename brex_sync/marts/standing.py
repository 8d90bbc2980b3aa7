"""How a connection's marts stand, as the internal schema keeps it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.marts.ties import Tied
from brex_sync.warehouse.internal import marts as table


@dataclass(frozen=True, slots=True)
class MartStanding:
    """How a mart stands.

    Changes before `known_until` are in it, and its ties were checked then. `fault` is why it could
    not be made or brought up to date, None if it was. `declared` and `relation` are digests of its
    declaration and of the relation as they were left, `reads` the tables that decide whether it
    is current.
    """

    mart: str
    stored: bool = False
    declared: str | None = None
    relation: str | None = None
    reads: tuple[str, ...] = ()
    known_until: datetime | None = None
    refreshed_at: datetime | None = None
    seconds: float | None = None
    rows: int | None = None
    ties: Mapping[str, Tied] = field(default_factory=dict)
    fault: str | None = None

    @property
    def broken(self) -> dict[str, Tied]:
        """The ties that do not hold."""
        return {name: tied for name, tied in self.ties.items() if tied.broken}


def read(db: sa.Connection, connection: str) -> dict[str, MartStanding]:
    """How the marts of a connection stand, by name."""
    found = db.execute(sa.select(table).where(table.c.connection == connection))
    return {row["mart"]: _of(row) for row in found.mappings()}


def write(db: sa.Connection, connection: str, standings: Iterable[MartStanding]) -> None:
    """Keeps how marts stand."""
    for one in standings:
        values = {name: getattr(one, name) for name in MartStanding.__dataclass_fields__}
        ties = {n: {"broken": t.broken, "rows": [*t.rows]} for n, t in one.ties.items()}
        row = insert(table).values(
            connection=connection, **{**values, "reads": [*one.reads], "ties": ties}
        )
        db.execute(
            row.on_conflict_do_update(
                index_elements=list(table.primary_key),
                set_={name: row.excluded[name] for name in values if name != "mart"},
            )
        )


def forget(db: sa.Connection, connection: str, names: Iterable[str]) -> None:
    """Forgets marts that are no more."""
    mine = sa.and_(table.c.connection == connection, table.c.mart.in_(list(names)))
    db.execute(sa.delete(table).where(mine))


def _of(row: sa.RowMapping) -> MartStanding:
    values = {name: row[name] for name in MartStanding.__dataclass_fields__}
    ties = {n: Tied(t["broken"], tuple(t["rows"])) for n, t in (row["ties"] or {}).items()}
    return MartStanding(**{**values, "reads": tuple(row["reads"]), "ties": ties})
