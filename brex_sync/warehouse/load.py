"""A page into its table: copied, merged, and its checkpoint advanced, all or nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast

import numpy as np
import pandas as pd
import psycopg
import sqlalchemy as sa
import tenacity
from sqlalchemy.dialects.postgresql import insert

from brex_sync.streams.declare import Stream
from brex_sync.warehouse import checkpoints
from brex_sync.warehouse.checkpoints import Counts, Lease, Window
from brex_sync.warehouse.database import driver_of
from brex_sync.warehouse.internal import listed_keys, quarantine

Rows = list[tuple[object, ...]]
KEY_SEPARATOR = "\x1f"

_PASSING = ("40001", "40P01", "57P01", "57P02", "57P03")
"""Serialization failure, deadlock, and a server that is going down or coming up."""


@dataclass(frozen=True, slots=True)
class Reject:
    """An item set aside: its key where known, why, and its raw text."""

    key: str | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Staged:
    """A page ready to be committed: rows in table order, `_raw` last, and those set aside."""

    rows: Rows
    rejects: tuple[Reject, ...]
    newest: date | None


def to_rows(frame: pd.DataFrame) -> Rows:
    """A frame's rows as plain Python values, every missing one as None.

    The one place where pandas' missing values end: a NaN would become the text 'NaN', or a number
    that no sum survives.
    """
    columns = [_values(frame[name]) for name in frame.columns]
    return list(zip(*columns, strict=True))


def _values(column: "pd.Series[Any]") -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return column.to_numpy(dtype=np.dtype(object), na_value=cast(Any, None))


def commit_page(
    engine: sa.Engine,
    lease: Lease,
    window: Window,
    staged: Staged,
    finish: Callable[[sa.Connection, Window], None] | None = None,
) -> Window:
    """Commits a page: its rows, the rejected ones, and `window` as it stands after the page.

    `window` carries the new cursor and the counts so far; what comes back has the page's counts
    added. `finish` runs in the same transaction after the last page. A page that the server
    committed while the connection broke is recognised and not done twice.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
        sqlalchemy.exc.DBAPIError: Postgres refused, again and again.
    """
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(6),
        wait=tenacity.wait_random_exponential(0.1, 5),
        reraise=True,
    ):
        with attempt, engine.begin() as db:
            before = checkpoints.committed(db, lease)
            if before is None or before.pages >= window.pages:
                return before or window
            return _commit(db, lease, window, staged, finish)
    raise AssertionError("unreachable: tenacity returns or raises")


def store_item(engine: sa.Engine, lease: Lease, staged: Staged) -> Counts:
    """Merges rows that were asked for one by one, outside any window."""
    with engine.begin() as db:
        checkpoints.committed(db, lease)
        counts, bad = _merge_sound(db, lease, staged.rows)
        _set_aside(db, lease, None, (*staged.rejects, *bad))
        return counts


def _commit(
    db: sa.Connection,
    lease: Lease,
    window: Window,
    staged: Staged,
    finish: Callable[[sa.Connection, Window], None] | None,
) -> Window:
    counts, bad = _merge_sound(db, lease, staged.rows)
    rejects = (*staged.rejects, *bad)
    _set_aside(db, lease, window.number, rejects)
    keys = key_texts(lease.slice.stream, staged.rows)
    keys += [reject.key for reject in staged.rejects if reject.key is not None]
    db.execute(
        sa.insert(listed_keys).values(
            **lease.slice.key, window_number=window.number, page=window.pages, keys=keys
        )
    )
    fetched = len(staged.rows) + len(staged.rejects)
    counts = replace(counts, fetched=fetched, quarantined=len(rejects))
    window = replace(window, counts=window.counts + counts)
    checkpoints.advance(db, lease, window)
    if finish is not None:
        finish(db, window)
    return window


def key_texts(stream: Stream, rows: Rows) -> list[str]:
    """Each row's own key (without its parent's) as one text."""
    names = [f.name for f in stream.fields()]
    positions = [names.index(k) for k in own_key(stream)]
    return [KEY_SEPARATOR.join(str(row[i]) for i in positions) for row in rows]


def own_key(stream: Stream) -> tuple[str, ...]:
    """The key columns without the parent's."""
    return tuple(k for k in stream.key if stream.per is None or k != stream.per.into)


def _merge_sound(db: sa.Connection, lease: Lease, rows: Rows) -> tuple[Counts, list[Reject]]:
    """Merges the rows; where Postgres refuses some, halves them until only those are left out."""
    if not rows:
        return Counts(), []
    try:
        with db.begin_nested():
            return _merge(db, lease, rows), []
    except sa.exc.DataError as error:
        if len(rows) == 1:
            reason = str(error.orig).partition("\n")[0]
            raw = str(rows[0][-1])
            return Counts(), [Reject(key_texts(lease.slice.stream, rows)[0], reason, raw)]
    middle = len(rows) // 2
    left, bad_left = _merge_sound(db, lease, rows[:middle])
    right, bad_right = _merge_sound(db, lease, rows[middle:])
    return left + right, bad_left + bad_right


def _merge(db: sa.Connection, lease: Lease, rows: Rows) -> Counts:
    sql = _statements(lease.slice.stream, lease.slice.connection)
    cursor = driver_of(db).cursor()
    cursor.execute(sql.stage)
    with cursor.copy(sql.copy) as copy:
        for position, row in enumerate(rows):
            copy.write_row((position, *row))
    cursor.execute(sql.merge)
    inserted, updated = cursor.fetchone() or (0, 0)
    cursor.execute(sql.empty)
    return Counts(inserted=int(str(inserted)), updated=int(str(updated)))


@dataclass(frozen=True, slots=True)
class _Statements:
    stage: bytes
    copy: bytes
    merge: bytes
    empty: bytes


@lru_cache(maxsize=256)
def _statements_of(
    names: tuple[str, ...], key: tuple[str, ...], schema: str, name: str
) -> _Statements:
    """The statements that bring one page into `schema.name`.

    Sorted by key, so that two writers never wait for each other in a circle; a row twice in a
    page counts as its later one; a row that is as before is not written at all.
    """
    table, staged = f'"{schema}"."{name}"', f'pg_temp."{schema}.{name}"'
    columns, keys = _list(names), _list(key)
    changing = [n for n in names if n not in key]
    merge = f"""
        WITH merged AS (
            INSERT INTO {table} AS t ({columns}, _first_seen_at, _changed_at)
            SELECT {columns}, now(), now()
            FROM (
                SELECT DISTINCT ON ({keys}) * FROM {staged} ORDER BY {keys}, _position DESC
            ) page
            ORDER BY {keys}
            ON CONFLICT ({keys}) DO UPDATE SET
                {", ".join(f'"{n}" = excluded."{n}"' for n in changing)},
                _changed_at = now(),
                _deleted_at = NULL
            WHERE t._deleted_at IS NOT NULL
               OR ({_list(changing, "t")}) IS DISTINCT FROM ({_list(changing, "excluded")})
            RETURNING t.xmax = 0 AS inserted
        )
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged
    """
    return _Statements(
        stage=(
            f"CREATE TEMP TABLE IF NOT EXISTS {staged.removeprefix('pg_temp.')} AS "
            f"SELECT 0 AS _position, {columns} FROM {table} WITH NO DATA"
        ).encode(),
        copy=f"COPY {staged} (_position, {columns}) FROM STDIN".encode(),
        merge=merge.encode(),
        empty=f"TRUNCATE {staged}".encode(),
    )


def _statements(stream: Stream, schema: str) -> _Statements:
    names = (*(f.name for f in stream.fields()), "_raw")
    return _statements_of(names, stream.key, schema, stream.name)


def _list(names: Iterable[str], of: str | None = None) -> str:
    prefix = f"{of}." if of else ""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _set_aside(
    db: sa.Connection, lease: Lease, number: int | None, rejects: Sequence[Reject]
) -> None:
    for reject in rejects:
        digest = sha256(reject.raw.encode()).hexdigest()
        row = insert(quarantine).values(
            **lease.slice.key,
            digest=digest,
            key=reject.key,
            reason=reject.reason,
            raw=reject.raw,
            window_number=number,
        )
        db.execute(
            row.on_conflict_do_update(
                index_elements=list(quarantine.primary_key),
                set_={
                    "last_seen_at": sa.func.now(),
                    "reason": reject.reason,
                    "window_number": number,
                },
            )
        )


def _may_pass(error: BaseException) -> bool:
    """Whether a transaction that failed so is worth repeating."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or state in _PASSING:
        return True
    return isinstance(error.orig, psycopg.OperationalError) and (
        state is None or state.startswith("08")
    )
