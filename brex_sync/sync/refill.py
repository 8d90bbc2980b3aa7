"""Columns and child tables that a new version declares, filled from what is stored already."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pandas as pd
import sqlalchemy as sa

from brex_sync.brex.strict_json import exact
from brex_sync.streams import EVENT_TABLES, STREAMS
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Child, Stream, Table
from brex_sync.sync.normalise.items import child_frame, to_array
from brex_sync.sync.normalise.nested import read_nested
from brex_sync.sync.normalise.values import follow_keys, read_columns
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.load.staging import stage_child, to_lines
from brex_sync.warehouse.prepare import unfilled
from brex_sync.warehouse.prepare.unfilled import Place, Stored, Unfilled
from brex_sync.warehouse.schema.history import SUFFIX

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(float_hook=exact).decode


def refill(warehouse: Warehouse) -> None:
    """Fills what is unfilled, batch after batch; a run that dies is gone on from.

    A value that does not fit is left null; it is quarantined when Brex sends its row again.

    Raises:
        PostgresError: Postgres refused.
    """
    for schema in (warehouse.schema, f"{warehouse.schema}{SUFFIX}"):
        for task in unfilled.pending(warehouse, schema):
            for stream, table in _tables():
                if table.name == task.table:
                    _fill(warehouse, stream, Place(schema, table), task)


def _tables() -> Iterator[tuple[Stream, Table]]:
    for stream in (*STREAMS.values(), *EVENT_TABLES.values()):
        for table in stream.tables():
            yield stream, table


def _fill(warehouse: Warehouse, stream: Stream, place: Place, task: Unfilled) -> None:
    """Fills columns of a table, or a child table that has none of its rows yet."""
    new_child = isinstance(place.table, Child) and not task.columns
    source = Place(place.schema, stream) if new_child else place
    after, unread = task.after, 0
    while True:
        with warehouse.begin() as db:
            rows = unfilled.lock_batch(db, source, after, live=new_child)
            if not rows:
                unfilled.is_filled(db, place)
                break
            if new_child:
                unread += _fill_children(db, stream, place, rows)
            else:
                unread += _fill_columns(db, place, task.columns, rows)
            after = rows[-1].key
            unfilled.went_on(db, place, after)
    if unread:
        log.warning("%s: %d rows do not fit what is new in it", place.name, unread)


def _fill_columns(
    db: sa.Connection, place: Place, columns: Sequence[str], rows: list[Stored]
) -> int:
    """Fills columns of a batch of rows; returns how many have a value that does not fit."""
    kinds = {field.name: field.kind for field in place.table.fields()}
    kinds["_valid_from"] = Kind.TIMESTAMP
    read = read_columns(place.table, [_decode(row.raw) for row in rows], follow_keys)
    sound = [i for i in range(len(rows)) if i not in read.broken]
    wanted: dict[str, list[Any]] = {
        name: [rows[i].key[n] for i in sound] for n, name in enumerate(place.key)
    }
    declared = [name for name in columns if name in read.columns]
    if not declared:
        return 0
    wanted |= {name: [read.columns[name][i] for i in sound] for name in declared}
    frame = pd.DataFrame({name: to_array(wanted[name], kinds[name]) for name in wanted})
    unfilled.fill(db, place, declared, to_lines(frame))
    return len(read.broken.keys() | {place for place, _ in read.misfits})


def _fill_children(db: sa.Connection, stream: Stream, place: Place, rows: list[Stored]) -> int:
    """Fills a child table from a batch of its parents; returns how many have an element that does
    not fit."""
    items, keys = [_decode(row.raw) for row in rows], [str(row.key[0]) for row in rows]
    read = read_nested(stream, items, list(keys), follow_keys)
    [nested] = [n for n in read if n.child == place.table]
    frame = child_frame(nested)
    staged = stage_child(nested.child, frame.rows, frame.owners, frame.spared)
    unfilled.fill_children(db, place.schema, staged, keys)
    return len({misfit.place for misfit in nested.misfits})
