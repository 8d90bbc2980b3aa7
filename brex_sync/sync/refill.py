"""Columns and child tables that a new version declares, filled from what is stored already."""

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
import sqlalchemy as sa

from brex_sync.streams import EVENT_TABLES, STREAMS
from brex_sync.streams.declare import Child, Stream, Table
from brex_sync.sync.nested import read_nested
from brex_sync.sync.normalise import child_frame, to_array
from brex_sync.sync.values import follow_keys, read_columns
from brex_sync.warehouse import unfilled
from brex_sync.warehouse.staging import stage_child, to_lines
from brex_sync.warehouse.unfilled import Stored, Unfilled

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def refill(engine: sa.Engine, connection: str) -> None:
    """Fills what is unfilled, batch after batch; a run that dies is gone on from.

    A value that is not as declared is left null: the row is set aside when Brex sends it again.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: Postgres refused.
    """
    for task in unfilled.pending(engine, connection):
        stream, table = _find(task.table)
        if stream is not None and table is not None:
            _fill(engine, connection, stream, table, task)


def _find(name: str) -> tuple[Stream | None, Table | None]:
    for stream in (*STREAMS.values(), *EVENT_TABLES.values()):
        for table in stream.tables():
            if table.name == name:
                return stream, table
    return None, None


def _fill(engine: sa.Engine, connection: str, stream: Stream, table: Table, task: Unfilled) -> None:
    source = unfilled.source_of(table, stream, task.columns)
    after, unread = task.after, 0
    while True:
        with engine.begin() as db:
            rows = unfilled.lock_batch(db, connection, source, after, live=source is not table)
            if not rows:
                unfilled.is_filled(db, connection, table)
                break
            if isinstance(table, Child) and source is not table:
                unread += _fill_children(db, connection, stream, table, rows)
            else:
                unread += _fill_columns(db, connection, table, task.columns, rows)
            after = rows[-1].key
            unfilled.went_on(db, connection, table, after)
    if unread:
        log.warning("%s.%s: %d rows do not fit what is new in it", connection, table.name, unread)


def _fill_columns(
    db: sa.Connection, connection: str, table: Table, columns: Sequence[str], rows: list[Stored]
) -> int:
    """Fills columns of a batch of rows; returns how many could not be read."""
    kinds = {field.name: field.kind for field in table.fields()}
    values, broken = read_columns(table, [_decode(row.raw) for row in rows], follow_keys)
    sound = [i for i in range(len(rows)) if i not in broken]
    wanted: dict[str, list[Any]] = {
        name: [rows[i].key[n] for i in sound] for n, name in enumerate(table.key)
    }
    declared = [name for name in columns if name in values]
    if not declared:
        return 0
    wanted |= {name: [values[name][i] for i in sound] for name in declared}
    frame = pd.DataFrame({name: to_array(wanted[name], kinds[name]) for name in wanted})
    unfilled.fill(db, connection, table, declared, to_lines(frame))
    return len(broken)


def _fill_children(
    db: sa.Connection, connection: str, stream: Stream, child: Child, rows: list[Stored]
) -> int:
    """Fills a child table from a batch of its parents; returns how many could not be read."""
    items, keys = [_decode(row.raw) for row in rows], [str(row.key[0]) for row in rows]
    [nested] = [n for n in read_nested(stream, items, list(keys), follow_keys) if n.child == child]
    if nested.broken:
        sound = [row for i, row in enumerate(rows) if i not in nested.broken]
        return len(nested.broken) + _fill_children(db, connection, stream, child, sound)
    frame = child_frame(nested)
    staged = stage_child(child, frame.rows, frame.owners)
    unfilled.fill_children(db, connection, staged, keys)
    return 0
