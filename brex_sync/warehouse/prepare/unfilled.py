"""Columns and child tables added to what had rows, or versions of rows, before: still to be filled
from `_raw`."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.streams.declare import Table
from brex_sync.warehouse.database import driver_cursor
from brex_sync.warehouse.internal import unfilled
from brex_sync.warehouse.load.merge import replace_children
from brex_sync.warehouse.load.staged import StagedChild, to_bytes
from brex_sync.warehouse.schema.columns import listed, same
from brex_sync.warehouse.schema.history import SUFFIX
from brex_sync.warehouse.warehouse import Warehouse

BATCH = 1000
"""Rows read, and locked, at a time."""
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Unfilled:
    """Columns of a table that are to be filled from each row's `_raw`; none: the table itself,
    from its parents'. `after` is the key of the last row dealt with."""

    table: str
    columns: tuple[str, ...]
    after: Key | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows of a stream or child are: in a connection's schema, or their versions in the one
    with its past."""

    schema: str
    table: Table

    @property
    def past(self) -> bool:
        return self.schema.endswith(SUFFIX)

    @property
    def key(self) -> tuple[str, ...]:
        return (*self.table.key, "_valid_from") if self.past else self.table.key

    @property
    def name(self) -> str:
        return f'"{self.schema}"."{self.table.name}"'


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it is stored: its key and its `_raw`."""

    key: Key
    raw: bytes


def note(db: sa.Connection, schema: str, table: str, columns: Sequence[str]) -> None:
    """Records, in the transaction that adds them, that columns are to be filled; from the start,
    where a table was being filled already."""
    row = insert(unfilled).values(connection=schema, table=table, columns=list(columns))
    again = {"columns": unfilled.c.columns + row.excluded.columns, "after": None}
    db.execute(row.on_conflict_do_update(index_elements=list(unfilled.primary_key), set_=again))


def pending(warehouse: Warehouse, schema: str) -> list[Unfilled]:
    """What is to be filled in the tables of a schema: the connection's, or that with its past."""
    mine = sa.select(unfilled).where(unfilled.c.connection == schema)
    with warehouse.connect() as db:
        return [
            Unfilled(r.table, tuple(r.columns), None if r.after is None else tuple(r.after))
            for r in db.execute(mine)
        ]


def lock_batch(
    db: sa.Connection, place: Place, after: Key | None, *, live: bool = False
) -> list[Stored]:
    """The next rows in key order, locked: a sync that changes one waits, and then has the say.

    `live` leaves deleted ones out.
    """
    keys = listed(place.key)
    marks = ", ".join(f":k{i}" for i in range(len(place.key)))
    later = f"({keys}) > ({marks})" if after is not None else "true"
    kept = "_deleted_at IS NULL" if live else "true"
    rows = db.execute(
        sa.text(
            f"SELECT {keys}, _raw::text FROM {place.name} WHERE {later} AND {kept} "
            f"ORDER BY {keys} LIMIT {BATCH} FOR UPDATE"
        ),
        {f"k{i}": part for i, part in enumerate(after or ())},
    )
    return [Stored(tuple(row[:-1]), row[-1].encode()) for row in rows]


def fill(db: sa.Connection, place: Place, columns: Sequence[str], lines: Sequence[str]) -> None:
    """Writes columns of rows; a line holds a row's key and the columns' values as COPY reads them.

    Rows that get no new value are not written. A row that does has changed; a version has not.
    """
    copied = listed((*place.key, *columns))
    new, old = listed(columns, "f"), listed(columns, "t")
    changed = "" if place.past else ", _changed_at = now()"
    with driver_cursor(db) as cursor:
        cursor.execute(
            f"CREATE TEMP TABLE filling ON COMMIT DROP AS "
            f"SELECT {copied} FROM {place.name} WITH NO DATA".encode()
        )
        with cursor.copy(f"COPY filling ({copied}) FROM STDIN".encode()) as copy:
            copy.write(to_bytes(lines))
        cursor.execute(
            f"UPDATE {place.name} t SET ({listed(columns)}) = ROW({new}){changed} FROM filling f "
            f"WHERE {same(place.key, 't', 'f')} AND ({old}) IS DISTINCT FROM ({new})".encode()
        )


def fill_children(
    db: sa.Connection, schema: str, staged: StagedChild, parents: Sequence[str]
) -> None:
    """Writes the rows that parents, numbered as in `staged`, make for a child table."""
    with driver_cursor(db) as cursor:
        replace_children(cursor, schema, staged, {key: at for at, key in enumerate(parents)})


def went_on(db: sa.Connection, place: Place, after: Key) -> None:
    """Records, in the transaction that fills them, the last row dealt with."""
    reached = [str(part) for part in after]
    db.execute(sa.update(unfilled).where(_is(place)).values(after=reached))


def is_filled(db: sa.Connection, place: Place) -> None:
    """Nothing more is to be filled."""
    db.execute(sa.delete(unfilled).where(_is(place)))


def _is(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(unfilled.c.connection == place.schema, unfilled.c.table == place.table.name)
