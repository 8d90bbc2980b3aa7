"""Rows that Brex lists no more: found by comparing keys, marked and never removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from brex_sync.streams.declare import KEY_SEPARATOR
from brex_sync.warehouse.internal import listed_keys, missing_rows, quarantine
from brex_sync.warehouse.state import checkpoints, reconciliations
from brex_sync.warehouse.state.checkpoints import ListLease, ListWindow
from brex_sync.warehouse.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Comparison:
    """A closed window against the table: distinct rows `listed` by Brex in its range, live rows
    `held` here in the same range, and how many of those are `missing` from what was listed.
    `unread` are listed rows whose key could not be read: they may be any of the missing."""

    listed: int
    held: int
    missing: int
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """Rows of a list that are neither found nor proved gone, and those of all lists of its stream;
    `live` are the rows of the stream that are not marked as deleted."""

    rows: int
    of_stream: int
    live: int


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Missing rows of a stream: those `waiting` for a later run, and those `doubted`, with the
    reason in `doubt`."""

    waiting: int
    doubted: int
    doubt: str | None


def compare(
    db: sa.Connection, lease: ListLease, window: ListWindow, run_id: str, now: datetime
) -> Comparison:
    """Compares what the window listed with the live rows in its range, and notes those it lacks as
    missing since now, unless they are noted already."""
    table, key, scope, values = _range(lease, window)
    _forget_dead(db, lease)
    counts = window.counts
    held = db.scalar(sa.text(f"SELECT count(*) FROM {table} t WHERE {scope}"), values)
    if held == counts.inserted == counts.fetched:
        return Comparison(counts.fetched, counts.fetched, 0)  # each came just now, and once
    db.execute(sa.text("SET LOCAL work_mem = '64MB'"))
    values |= {"number": window.number}
    listed = db.scalar(sa.text(f"SELECT count(DISTINCT k) FROM ({_NOTED}) l(k)"), values)
    missing = db.scalar(
        sa.text(
            f"WITH missing AS (SELECT {key} AS key FROM {table} t WHERE {scope} "
            f"AND NOT EXISTS (SELECT FROM ({_NOTED}) l(k) WHERE l.k = {key})), "
            "noted AS (INSERT INTO brex_sync.missing_rows "
            "(connection, stream, slice, key, since, run_id) "
            "SELECT :connection, :stream, :slice, key, :now, :run_id FROM missing "
            "ON CONFLICT DO NOTHING) SELECT count(*) FROM missing"
        ),
        values | {"now": now, "run_id": run_id},
    )
    unread = _unread(db, lease, window)
    return Comparison(int(listed or 0), int(held or 0), int(missing or 0), unread)


def _unread(db: sa.Connection, lease: ListLease, window: ListWindow) -> int:
    q = quarantine.c
    nameless = sa.and_(q.window_number == window.number, q.key.is_(None))
    rows = sa.select(sa.func.count()).where(checkpoints.is_of(lease.slice, quarantine), nameless)
    return int(db.scalar(rows) or 0)


def _forget_dead(db: sa.Connection, lease: ListLease) -> None:
    """Forgets missing rows that are not live here any more, whoever saw to that."""
    table, key, scope, values = _range(lease, None)
    live = f"SELECT FROM {table} t WHERE {scope} AND {key} = missing_rows.key"
    mine = checkpoints.is_of(lease.slice, missing_rows)
    there = sa.text(f"NOT EXISTS ({live})").bindparams(**_used(scope, values))
    db.execute(sa.delete(missing_rows).where(mine, there))


def _used(scope: str, values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if f":{name}" in scope}


def missing(warehouse: Warehouse, lease: ListLease) -> Missing:
    """The missing rows of a list, and of all lists of its stream."""
    slice_ = lease.slice
    c = missing_rows.c
    of_stream = sa.and_(c.connection == slice_.connection, c.stream == slice_.stream.name)
    mine = sa.func.count().filter(checkpoints.is_of(slice_, missing_rows))
    table = f'"{slice_.connection}"."{slice_.stream.name}"'
    with warehouse.connect() as db:
        own, all_ = db.execute(sa.select(mine, sa.func.count()).where(of_stream)).one()
        live = f"SELECT count(*) FROM {table} WHERE _deleted_at IS NULL"
        return Missing(own, all_, int((db.scalar(sa.text(live)) if own else 0) or 0))


def missing_keys(
    warehouse: Warehouse,
    lease: ListLease,
    *,
    since: datetime | None = None,
    not_by: str | None = None,
    limit: int | None = None,
) -> tuple[str, ...]:
    """The keys of missing rows: of those missing at least `since` a moment, first noted by another
    run than `not_by`, and no more than `limit` of them."""
    c = missing_rows.c
    chosen = sa.select(c.key).where(checkpoints.is_of(lease.slice, missing_rows))
    if since is not None:
        chosen = chosen.where(c.since <= since)
    if not_by is not None:
        chosen = chosen.where(c.run_id != not_by)
    with warehouse.connect() as db:
        return tuple(db.scalars(chosen.order_by(c.since, c.key).limit(limit)))


def unresolved(warehouse: Warehouse, stream: str) -> Unresolved:
    """How many rows of a stream are missing, and what becomes of them."""
    with warehouse.connect() as db:
        return unresolved_in(db, warehouse.schema, stream)


def unresolved_in(db: sa.Connection, connection: str, stream: str) -> Unresolved:
    """What `unresolved` returns, in the caller's transaction."""
    c = missing_rows.c
    doubted = sa.func.count(c.doubt)
    counts = sa.select(sa.func.count() - doubted, doubted, sa.func.max(c.doubt))
    found = db.execute(counts.where(c.connection == connection, c.stream == stream)).one()
    return Unresolved(*found)


def all_listed_again(
    warehouse: Warehouse, lease: ListLease, earlier: ListWindow, later: ListWindow
) -> bool:
    """Whether every key of the earlier listing is in the later one, and in the same order.

    Then nothing left its place while the earlier one was read, so no row slipped past between its
    pages: what it lacks was not there.
    """
    steady = sa.text(f"""
        SELECT coalesce(bool_and(place IS NOT NULL AND place > coalesce(before, 0)), true)
        FROM (
            SELECT later.place, max(later.place) OVER (
                ORDER BY earlier.place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS before
            FROM ({_places("earlier")}) earlier LEFT JOIN ({_places("later")}) later USING (key)
        ) compared
    """)
    values = lease.slice.key | {"earlier": earlier.number, "later": later.number}
    with warehouse.connect() as db:
        return bool(db.scalar(steady, values))


def listed_any(
    warehouse: Warehouse, lease: ListLease, window: ListWindow, keys: Sequence[str]
) -> bool:
    """Whether the window has listed any of these rows."""
    found = sa.text(f"SELECT EXISTS (SELECT FROM ({_NOTED}) l(k) WHERE k = ANY(:keys))")
    values = lease.slice.key | {"number": window.number, "keys": list(keys)}
    with warehouse.connect() as db:
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


def settle(
    warehouse: Warehouse,
    lease: ListLease,
    gone: Sequence[str],
    doubt: str | None,
    judged_at: datetime | None,
) -> None:
    """Marks missing rows as deleted that are gone, and notes why the list's others are doubted, if
    they are, and when the full listing began that judged them, if one did. What its windows listed
    is forgotten.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
    """
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        if gone:
            _mark(db, lease, gone)
            reconciliations.note_gone(db, lease, gone)
        others = sa.update(missing_rows).where(checkpoints.is_of(lease.slice, missing_rows))
        last = sa.func.coalesce(judged_at, missing_rows.c.judged_at)
        db.execute(others.values(doubt=doubt, judged_at=last))
        checkpoints.forget_keys(db, lease)


def mark_gone(warehouse: Warehouse, lease: ListLease, key: str) -> bool:
    """Marks one row as deleted that Brex said it does not have; whether it was live here.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
    """
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        return _mark(db, lease, [key]) > 0


def _mark(db: sa.Connection, lease: ListLease, gone: Sequence[str]) -> int:
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
    mine = checkpoints.is_of(lease.slice, missing_rows)
    db.execute(sa.delete(missing_rows).where(mine, missing_rows.c.key.in_(gone)))
    return marked.rowcount


def _mark_children(db: sa.Connection, lease: ListLease, gone: Sequence[str]) -> None:
    for child in lease.slice.stream.children:
        db.execute(
            sa.text(
                f'UPDATE "{lease.slice.connection}"."{child.name}" '
                "SET _deleted_at = now(), _changed_at = now() "
                f'WHERE _deleted_at IS NULL AND "{child.into}" = ANY(:gone)'
            ),
            {"gone": list(gone)},
        )


def release_quarantine(db: sa.Connection, lease: ListLease, window: ListWindow) -> None:
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


def _range(lease: ListLease, window: ListWindow | None) -> tuple[str, str, str, dict[str, object]]:
    """Table, key expression, condition and its values for the live rows a window covers."""
    stream = lease.slice.stream
    parts = [f't."{name}"' for name in stream.own_key]
    key = parts[0] if len(parts) == 1 else f"concat_ws('{KEY_SEPARATOR}', {', '.join(parts)})"
    conditions = ["t._deleted_at IS NULL"]
    values: dict[str, object] = dict(lease.slice.key)
    if stream.parent is not None:
        conditions.append(f't."{stream.parent.into}" = :slice')
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
