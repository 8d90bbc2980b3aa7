"""Rows merged into their table: copied, deduplicated, and written only where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa

from brex_sync.errors import PostgresError
from brex_sync.streams.declare import KEY_SEPARATOR, Stream, Table
from brex_sync.warehouse.database import driver_cursor
from brex_sync.warehouse.load.staged import Reject, Staged, StagedChild, fields, to_bytes
from brex_sync.warehouse.schema.columns import listed
from brex_sync.warehouse.state import reconciliations
from brex_sync.warehouse.state.checkpoints import Counts, ListLease

_ROWS_FAULT = ("22", "23", "54")
"""Classes of SQLSTATE by which Postgres refuses a row: data, constraints, and its own limits."""


def insert(db: sa.Connection, lease: ListLease, staged: Staged) -> tuple[Counts, list[Reject]]:
    """Copies pages straight into a table that has none of their rows.

    Raises:
        PostgresError: where `refuses_a_row` says so, it has some, and they are to be
            merged.
    """
    sql = _statements(lease.slice.stream, lease.slice.connection)
    with driver_cursor(db) as cursor:
        with cursor.copy(sql.insert) as copy:
            for text in staged.texts:
                copy.write(text)
        inserted = cursor.rowcount
        for one in staged.children:
            with cursor.copy(_statements(one.child, lease.slice.connection).insert) as copy:
                copy.write(to_bytes(one.lines))
        return Counts(inserted=inserted), []


def merge(db: sa.Connection, lease: ListLease, staged: Staged) -> tuple[Counts, list[Reject]]:
    """Merges pages as a whole.

    Raises:
        PostgresError: where `refuses_a_row` says so, `merge_sound` finds which.
    """
    return _merge(db, lease, staged, staged.lines(), range(len(staged.keys))), []


def merge_sound(db: sa.Connection, lease: ListLease, staged: Staged) -> tuple[Counts, list[Reject]]:
    """Merges pages of which Postgres refuses some rows: halved until only those are left out.

    Parts already merged stay staged and are merged again with the next, which changes nothing.
    """
    counts, rejects = Counts(), []
    lines = staged.lines()
    parts = [range(len(lines))]
    while parts:
        part = parts.pop()
        try:
            with db.begin_nested():
                counts += _merge(db, lease, staged, lines, part)
        except PostgresError as error:
            if not refuses_a_row(error):
                raise
            if len(part) <= 1:
                rejects.append(_rejected(lease.slice.stream, lines[part.start], error))
                continue
            middle = (part.start + part.stop) // 2
            parts += [range(middle, part.stop), range(part.start, middle)]
    return counts, rejects


def refuses_a_row(error: PostgresError) -> bool:
    """Whether Postgres found fault with what a row holds, and not with anything else."""
    return (getattr(error.orig, "sqlstate", None) or "")[:2] in _ROWS_FAULT


def _rejected(stream: Stream, line: str, error: PostgresError) -> Reject:
    names = [f.name for f in stream.fields()]
    values = dict(zip([*names, "_raw"], fields(line), strict=True))
    key = KEY_SEPARATOR.join(values[name] or "" for name in stream.own_key)
    return Reject(key, str(error.orig).partition("\n")[0], values["_raw"] or "")


def _merge(
    db: sa.Connection, lease: ListLease, staged: Staged, lines: Sequence[str], part: range
) -> Counts:
    """Merges a part of the lines: of a row that came twice, the later one counts."""
    sql = _statements(lease.slice.stream, lease.slice.connection)
    with driver_cursor(db) as cursor:
        cursor.execute(sql.stage)
        with cursor.copy(sql.copy) as copy:
            copy.write(to_bytes(f"{at}\t{lines[at]}" for at in part))
        reconciliations.note_page(cursor, lease, sql.staged)
        inserted, updated = cursor.execute(sql.merge).fetchone() or (0, 0)
        if staged.children:
            parents = {staged.keys[at]: at for at in part}
            for one in staged.children:
                replace_children(cursor, lease.slice.connection, one, parents)
        return Counts(inserted=inserted, updated=updated)


def replace_children(
    cursor: psycopg.Cursor[Any], schema: str, staged: StagedChild, parents: Mapping[str, int]
) -> None:
    """Makes a child table hold, for these parents (key: place), the rows staged and, of those that
    are there, the spared ones, and no others."""
    sql = _statements(staged.child, schema)
    lines = staged.of(frozenset(parents.values()))
    spared = [(key, own) for key, at in parents.items() for own in staged.spared_of(at)]
    doubted = {key for key, own in spared if own is None}
    cursor.execute(sql.stage)
    cursor.execute(sql.clear)
    with cursor.copy(sql.copy) as copy:
        copy.write(to_bytes(f"{at}\t{line}" for at, line in enumerate(lines)))
    cursor.execute(sql.merge)
    cursor.execute(
        sql.vanish,
        [
            [key for key in parents if key not in doubted],
            [key for key, _ in spared],
            [own for _, own in spared],
        ],
    )


@dataclass(frozen=True, slots=True)
class _Statements:
    staged: str
    stage: bytes
    copy: bytes
    merge: bytes
    insert: bytes
    clear: bytes
    vanish: bytes


@lru_cache(maxsize=256)
def _statements_of(
    names: tuple[str, ...], key: tuple[str, ...], schema: str, name: str, rises: str | None
) -> _Statements:
    """The statements that bring one page into `schema.name`.

    Sorted by key, so that two writers never wait for each other in a circle; a row twice in a
    page counts as its later one; a row that is as before is not written at all, and neither is
    one that has less of what `rises`.
    """
    table, staged = f'"{schema}"."{name}"', f'pg_temp."{schema}.{name}"'
    columns, keys = listed(names), listed(key)
    changing = [n for n in names if n not in key]
    latest = f'"{rises}" DESC NULLS LAST, _position DESC' if rises else "_position DESC"
    later = f'AND (t."{rises}" > excluded."{rises}") IS NOT TRUE' if rises else ""
    merge = f"""
        WITH merged AS (
            INSERT INTO {table} AS t ({columns}, _first_seen_at, _changed_at)
            SELECT {columns}, now(), now()
            FROM (
                SELECT DISTINCT ON ({keys}) * FROM {staged} ORDER BY {keys}, {latest}
            ) page
            ORDER BY {keys}
            ON CONFLICT ({keys}) DO UPDATE SET
                {", ".join(f'"{n}" = excluded."{n}"' for n in changing)},
                _changed_at = now(),
                _deleted_at = NULL
            WHERE (
                t._deleted_at IS NOT NULL
                OR ({listed(changing, "t")}) IS DISTINCT FROM ({listed(changing, "excluded")})
            ) {later}
            RETURNING t.xmax = 0 AS inserted
        )
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged
    """
    vanish = f"""
        UPDATE {table} AS t SET _deleted_at = now(), _changed_at = now()
        FROM unnest(%s::text[]) AS parent(key)
        WHERE t."{key[0]}" = parent.key AND t._deleted_at IS NULL
          AND NOT EXISTS (
              SELECT FROM {staged} s WHERE ({listed(key, "s")}) = ({listed(key, "t")})
          )
          AND (t."{key[0]}", t."{key[-1]}"::text) NOT IN (
              SELECT * FROM unnest(%s::text[], %s::text[]) AS spared(parent, own)
              WHERE own IS NOT NULL
          )
    """
    return _Statements(
        staged=staged,
        stage=(
            f"CREATE TEMP TABLE IF NOT EXISTS {staged.removeprefix('pg_temp.')} "
            f"ON COMMIT DELETE ROWS AS SELECT 0 AS _position, {columns} FROM {table} WITH NO DATA"
        ).encode(),
        copy=f"COPY {staged} (_position, {columns}) FROM STDIN".encode(),
        merge=merge.encode(),
        insert=f"COPY {table} ({columns}) FROM STDIN".encode(),
        clear=f"DELETE FROM {staged}".encode(),
        vanish=vanish.encode(),
    )


def _statements(table: Table, schema: str) -> _Statements:
    names = (*(f.name for f in table.fields()), "_raw")
    rises = table.version_column if isinstance(table, Stream) else None
    return _statements_of(names, table.key, schema, table.name, rises)
