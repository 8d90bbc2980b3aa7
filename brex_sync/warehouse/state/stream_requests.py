"""What each stream's rows are asked for with: where that changes, they are read again, once."""

import hashlib
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.streams.columns import Column
from brex_sync.streams.declare import EventTable, Stream, Table
from brex_sync.warehouse.internal import stream_requests
from brex_sync.warehouse.state import checkpoints


def changed(db: sa.Connection, connection: str, streams: Iterable[Stream]) -> list[Stream]:
    """The streams whose requests are not those by which their rows came, or for which that is not
    known; they are recorded as they are now."""
    c = stream_requests.c
    mine = sa.select(c.stream, c.digest).where(c.connection == connection)
    known = {row.stream: row.digest for row in db.execute(mine)}
    found = []
    for stream in streams:
        now = _digest(stream)
        if isinstance(stream, EventTable) or known.get(stream.name) == now:
            continue
        row = insert(stream_requests).values(connection=connection, stream=stream.name, digest=now)
        keys = list(stream_requests.primary_key)
        db.execute(row.on_conflict_do_update(index_elements=keys, set_={"digest": now}))
        found.append(stream)
    return found


def renew(db: sa.Connection, connection: str, streams: Iterable[Stream]) -> list[str]:
    """Has streams read from the beginning once; returns the names of those that had been read."""
    return [stream.name for stream in streams if checkpoints.renew(db, connection, stream)]


def lacking(db: sa.Connection, schema: str, table: Table, columns: Sequence[Column]) -> bool:
    """Whether a live row's `_raw` lacks a column's field: Brex did not send it then, or was not
    asked for it."""
    conditions = [_lacks("_raw", column.keys) for column in columns]
    if not conditions:
        return False
    rows = (
        f'SELECT FROM "{schema}"."{table.name}" WHERE _deleted_at IS NULL '
        f"AND ({' OR '.join(conditions)})"
    )
    return bool(db.scalar(sa.text(f"SELECT EXISTS ({rows})")))


def _lacks(value: str, keys: Sequence[str]) -> str:
    """That an object lacks what lies under the keys. What is null or no object has no such field
    to lack."""
    key, *rest = keys
    absent = f"jsonb_typeof({value}) = 'object' AND NOT jsonb_exists({value}, '{key}')"
    return f"({absent} OR {_lacks(f'({value} -> {key!r})', rest)})" if rest else f"({absent})"


def _digest(stream: Stream) -> str:
    window = stream.window
    asked = (
        stream.path,
        sorted(stream.params.items()),
        sorted(stream.extra_filters.items()),
        window and (window.param, window.column, window.until, window.strict, window.format),
        stream.parent and (stream.parent.stream, stream.parent.column),
        sorted(stream.masked),
        sorted(stream.drop),
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]
