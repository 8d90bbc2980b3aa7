"""Pages into their table, and the checkpoint advanced: all or nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as insert_or

from brex_sync.errors import PostgresError
from brex_sync.warehouse.internal import quarantine
from brex_sync.warehouse.load.merge import insert, merge, merge_sound, refuses_a_row
from brex_sync.warehouse.load.staged import Reject, Staged
from brex_sync.warehouse.retrying import attempts
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import Counts, ListLease, ListWindow
from brex_sync.warehouse.warehouse import Warehouse

_encode = msgspec.json.Encoder().encode
Finish = Callable[[sa.Connection, ListWindow], None]
Way = Callable[[sa.Connection, ListLease, Staged], tuple[Counts, list[Reject]]]


def commit_pages(
    warehouse: Warehouse,
    lease: ListLease,
    window: ListWindow,
    staged: Staged,
    finish: Finish | None = None,
) -> ListWindow:
    """Commits pages that follow each other: their rows, the rejected ones, and `window` as it
    stands after them.

    `window` carries the new cursor and the counts so far; what comes back has these pages' counts
    added. `finish` runs in the same transaction after the last page. What the server committed
    while the connection broke is recognised and not done twice.

    Raises:
        Fenced: another run has taken the list over; nothing was written.
        PostgresError: Postgres refused, again and again.
    """
    for way in _ways(lease):
        try:
            return _commit(warehouse, lease, window, staged, finish, way)
        except PostgresError as error:
            if not refuses_a_row(error):
                raise
            refusal = error
    raise refusal


def store_item(warehouse: Warehouse, lease: ListLease, staged: Staged) -> Counts:
    """Merges rows that were asked for one by one, outside any window."""
    with warehouse.begin() as db:
        checkpoints.committed(db, lease)
        counts, refused = merge_sound(db, lease, staged)
        rejects = (*staged.rejects, *refused)
        _release(db, lease, staged)
        _set_aside(db, lease, None, (*rejects, *staged.misfits))
        _note_found(db, lease, staged)
        return _counted(counts, staged, rejects)


def _ways(lease: ListLease) -> tuple[Way, ...]:
    """How to bring rows in: the quickest that may do, and what to do where it doesn't."""
    never_read = lease.state.full_at is None
    return (insert, merge, merge_sound) if never_read else (merge, merge_sound)


def _commit(
    warehouse: Warehouse,
    lease: ListLease,
    window: ListWindow,
    staged: Staged,
    finish: Finish | None,
    way: Way,
) -> ListWindow:
    for attempt in attempts():
        with attempt, warehouse.begin() as db:
            before = checkpoints.committed(db, lease)
            if before is None or before.pages >= window.pages:
                return before or window
            counts, refused = way(db, lease, staged)
            return _advance(db, lease, window, staged, counts, refused, finish)
    raise AssertionError("unreachable: tenacity returns or raises")


def _advance(
    db: sa.Connection,
    lease: ListLease,
    window: ListWindow,
    staged: Staged,
    counts: Counts,
    refused: Sequence[Reject],
    finish: Finish | None,
) -> ListWindow:
    """Records what became of the rows and where the next page begins."""
    rejects = (*staged.rejects, *refused)
    _set_aside(db, lease, window.number, (*rejects, *staged.misfits))
    _note_keys(db, lease, window, staged)
    _note_found(db, lease, staged)
    window = replace(window, counts=window.counts + _counted(counts, staged, rejects))
    checkpoints.advance(db, lease, window)
    if finish is not None:
        finish(db, window)
    return window


def _counted(counts: Counts, staged: Staged, rejects: Sequence[Reject]) -> Counts:
    fetched = len(staged.keys) + len(staged.rejects)
    return replace(counts, fetched=fetched, quarantined=len(rejects))


_NOTE = sa.text(
    "INSERT INTO brex_sync.listed_keys (connection, stream, slice, window_number, page, keys) "
    "SELECT :connection, :stream, :slice, :window, :page, "
    "ARRAY(SELECT jsonb_array_elements_text(CAST(:keys AS jsonb)))"
)


def _note_keys(db: sa.Connection, lease: ListLease, window: ListWindow, staged: Staged) -> None:
    """Notes the keys that the pages listed, so that what is missing from a window can be told."""
    page = {"window": window.number, "page": window.pages, "keys": _keys(staged)}
    db.execute(_NOTE, lease.slice.key | page)


_FOUND = sa.text(
    "DELETE FROM brex_sync.missing_rows "
    "WHERE connection = :connection AND stream = :stream AND slice = :slice "
    "AND key = ANY(ARRAY(SELECT jsonb_array_elements_text(CAST(:keys AS jsonb))))"
)


def _note_found(db: sa.Connection, lease: ListLease, staged: Staged) -> None:
    """What Brex shows is no longer missing, whatever asked for it."""
    db.execute(_FOUND, lease.slice.whole.key | {"keys": _keys(staged)})


def _keys(staged: Staged) -> str:
    keys = [*staged.keys, *(r.key for r in staged.rejects if r.key is not None)]
    return _encode(keys).decode()


def _release(db: sa.Connection, lease: ListLease, staged: Staged) -> None:
    """Forgets what is quarantined of rows that came again; what still does not fit comes back."""
    again = quarantine.c.key.in_(staged.keys)
    db.execute(sa.delete(quarantine).where(checkpoints.is_of(lease.slice, quarantine), again))


def _digest(reject: Reject) -> str:
    """Names an entry: by what Brex sent, and of a field by its place as well."""
    named = reject.raw if reject.field is None else repr((reject.key, reject.field, reject.raw))
    return sha256(named.encode()).hexdigest()


def _set_aside(
    db: sa.Connection, lease: ListLease, number: int | None, rejects: Sequence[Reject]
) -> None:
    for reject in rejects:
        row = insert_or(quarantine).values(
            **lease.slice.key,
            digest=_digest(reject),
            key=reject.key,
            field=reject.field,
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
