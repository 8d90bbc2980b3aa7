"""Rows that Brex lists no more: found by comparing keys, marked and never removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from brex_sync.streams.declare import KEY_SEPARATOR
from brex_sync.warehouse import checkpoints, reconciliations
from brex_sync.warehouse.checkpoints import Lease, Slice, Window
from brex_sync.warehouse.internal import listed_keys, quarantine


@dataclass(frozen=True, slots=True)
class Comparison:
    """A closed window against the table: distinct rows `listed` by Brex in its range, live rows
    `held` here in the same range, and the keys of those held but not listed. `unread` are listed
    rows whose key could not be read: they may be any of the missing."""

    listed: int
    held: int
    missing: tuple[str, ...]
    unread: int = 0


def live(engine: sa.Engine, slice_: Slice) -> int:
    """Rows of the list's stream that are not deleted, in all its lists."""
    table = f'"{slice_.connection}"."{slice_.stream.name}"'
    with engine.connect() as db:
        return int(
            db.scalar(sa.text(f"SELECT count(*) FROM {table} WHERE _deleted_at IS NULL")) or 0
        )


def compare(db: sa.Connection, lease: Lease, window: Window) -> Comparison:
    """Compares what the window listed with the live rows in its range."""
    table, key, scope, values = _range(lease, window)
    counts = window.counts
    held = db.scalar(sa.text(f"SELECT count(*) FROM {table} t WHERE {scope}"), values)
    if held == counts.inserted == counts.fetched:
        return Comparison(counts.fetched, counts.fetched, ())  # each came just now, and once
    db.execute(sa.text("SET LOCAL work_mem = '64MB'"))
    listed = db.scalar(
        sa.text(f"SELECT count(DISTINCT k) FROM ({_NOTED}) l(k)"),
        values | {"number": window.number},
    )
    missing = db.scalars(
        sa.text(
            f"SELECT {key} FROM {table} t WHERE {scope} "
            f"AND NOT EXISTS (SELECT FROM ({_NOTED}) l(k) WHERE l.k = {key}) ORDER BY 1"
        ),
        values | {"number": window.number},
    )
    return Comparison(int(listed or 0), int(held or 0), tuple(missing), _unread(db, lease, window))


def _unread(db: sa.Connection, lease: Lease, window: Window) -> int:
    q = quarantine.c
    nameless = sa.and_(q.window_number == window.number, q.key.is_(None))
    rows = sa.select(sa.func.count()).where(checkpoints.is_of(lease.slice, quarantine), nameless)
    return int(db.scalar(rows) or 0)


def all_listed_again(db: sa.Connection, lease: Lease, earlier: Window, later: Window) -> bool:
    """Whether every key of the earlier listing is in the later one, and in the same order.

    Then nothing left its place while the earlier one was read, so no row slipped past between its
    pages: what it lacks was not there.
    """
    steady = db.scalar(
        sa.text(f"""
            SELECT coalesce(bool_and(place IS NOT NULL AND place > coalesce(before, 0)), true)
            FROM (
                SELECT later.place, max(later.place) OVER (
                    ORDER BY earlier.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS before
                FROM ({_places("earlier")}) earlier LEFT JOIN ({_places("later")}) later USING (key)
            ) compared
        """),
        lease.slice.key | {"earlier": earlier.number, "later": later.number},
    )
    return bool(steady)


def listed_any(engine: sa.Engine, lease: Lease, window: Window, keys: Sequence[str]) -> bool:
    """Whether the window has listed any of these rows."""
    found = sa.text(f"SELECT EXISTS (SELECT FROM ({_NOTED}) l(k) WHERE k = ANY(:keys))")
    values = lease.slice.key | {"number": window.number, "keys": list(keys)}
    with engine.connect() as db:
        return bool(db.scalar(found, values))


def _places(number: str) -> str:
    """The keys of a listing with the place at which each came first."""
    return (
        "SELECT key, min(place) AS place FROM ("
        "SELECT key, row_number() OVER (ORDER BY page, at) AS place "
        "FROM brex_sync.listed_keys, unnest(keys) WITH ORDINALITY AS k(key, at) "
        "WHERE connection = :connection AND stream = :stream AND slice = :slice "
        f"AND window_number = :{number}) listed GROUP BY key"
    )


def mark_deleted(
    engine: sa.Engine,
    lease: Lease,
    window: Window,
    now: datetime,
    gone: Sequence[str],
    withheld: int,
) -> None:
    """Marks rows missing from a window as deleted and records how many of them were left unmarked.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
    """
    with engine.begin() as db:
        checkpoints.committed(db, lease)
        if gone:
            _mark(db, lease, gone)
        reconciliations.note_gone(db, lease, gone)
        checkpoints.settle(db, lease, window, now, deleted=len(gone), withheld=withheld)


def mark_gone(engine: sa.Engine, lease: Lease, key: str) -> bool:
    """Marks one row as deleted that Brex said it does not have; whether it was live here.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
    """
    with engine.begin() as db:
        checkpoints.committed(db, lease)
        return _mark(db, lease, [key]) > 0


def _mark(db: sa.Connection, lease: Lease, gone: Sequence[str]) -> int:
    table, key, scope, values = _range(lease, None)
    marked = db.execute(
        sa.text(
            f"UPDATE {table} t SET _deleted_at = now(), _changed_at = now() "
            f"WHERE {scope} AND {key} = ANY(:gone)"
        ),
        values | {"gone": list(gone)},
    )
    _mark_children(db, lease, gone)
    theirs = sa.and_(checkpoints.is_of(lease.slice, quarantine), quarantine.c.key.in_(gone))
    db.execute(sa.delete(quarantine).where(theirs))
    return marked.rowcount


def _mark_children(db: sa.Connection, lease: Lease, gone: Sequence[str]) -> None:
    for child in lease.slice.stream.children:
        db.execute(
            sa.text(
                f'UPDATE "{lease.slice.connection}"."{child.name}" '
                "SET _deleted_at = now(), _changed_at = now() "
                f'WHERE _deleted_at IS NULL AND "{child.into}" = ANY(:gone)'
            ),
            {"gone": list(gone)},
        )


def release_quarantine(db: sa.Connection, lease: Lease, window: Window) -> None:
    """Forgets rejected rows that this window listed again and could store."""
    same = sa.and_(*(quarantine.c[k] == v for k, v in lease.slice.key.items()))
    listed = sa.and_(*(listed_keys.c[k] == v for k, v in lease.slice.key.items()))
    keys = sa.select(sa.func.unnest(listed_keys.c["keys"])).where(
        listed, listed_keys.c.window_number == window.number
    )
    db.execute(
        sa.delete(quarantine).where(
            same,
            quarantine.c.window_number.is_distinct_from(window.number),
            sa.or_(quarantine.c.key.in_(keys), sa.literal(window.since is None)),
        )
    )


def _range(lease: Lease, window: Window | None) -> tuple[str, str, str, dict[str, object]]:
    """Table, key expression, condition and its values for the live rows a window covers."""
    stream = lease.slice.stream
    parts = [f't."{name}"' for name in stream.own_key]
    key = parts[0] if len(parts) == 1 else f"concat_ws('{KEY_SEPARATOR}', {', '.join(parts)})"
    conditions = ["t._deleted_at IS NULL"]
    values: dict[str, object] = dict(lease.slice.key)
    if stream.per is not None:
        conditions.append(f't."{stream.per.into}" = :slice')
    if window is not None and window.since is not None and stream.window is not None:
        at_or_after = ">" if stream.window.strict else ">="
        conditions.append(f't."{stream.window.column}" {at_or_after} :since')
        values["since"] = window.since
    if window is not None and window.until is not None and stream.window is not None:
        conditions.append(f't."{stream.window.column}" <= :until')
        values["until"] = window.until
    table = f'"{lease.slice.connection}"."{stream.name}"'
    return table, key, " AND ".join(conditions), values


_NOTED = (
    "SELECT unnest(keys) FROM brex_sync.listed_keys WHERE connection = :connection "
    "AND stream = :stream AND slice = :slice AND window_number = :number"
)
