"""How far each list was read: opened, fenced, advanced and closed here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import Fenced
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.internal import (
    checkpoints,
    listed_keys,
    missing_rows,
    parked_windows,
    quarantine,
)
from brex_sync.warehouse.state import lists
from brex_sync.warehouse.warehouse import Warehouse


class Scope(StrEnum):
    """How far back a window reaches."""

    OVERLAP = "overlap"
    WIDE = "wide"
    FULL = "full"
    BACKFILL = "backfill"
    """Asked for by someone, beside what is due: it only brings rows, and moves no watermark."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One list: a stream of a connection, of one parent row where the stream is per parent.

    `span` names a slice of time of the list, while a read of it is cut into such.
    """

    connection: str
    stream: Stream
    parent: str | None = None
    span: str = ""

    @property
    def key(self) -> dict[str, str]:
        return {
            "connection": self.connection,
            "stream": self.stream.name,
            "slice": self.parent or self.span,
        }

    @property
    def whole(self) -> "Slice":
        """The list it is a slice of, or itself."""
        return replace(self, span="")


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one window: fetched from Brex, and what became of them here."""

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    quarantined: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.fetched + other.fetched,
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.quarantined + other.quarantined,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.fetched - other.fetched,
            self.inserted - other.inserted,
            self.updated - other.updated,
            self.quarantined - other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class ListWindow:
    """A walk through a list, begun and perhaps not finished.

    `since` is the first moment asked for, None for the whole list, and `until` the last one, None
    for all later ones; `part` is 1 while the rows that the plain list hides are listed; `cursor` is
    the next page, None for the first of the part.
    """

    number: int
    scope: Scope
    since: datetime | None
    opened_at: datetime
    limit: int | None
    part: int = 0
    cursor: str | None = None
    pages: int = 0
    newest: datetime | None = None
    counts: Counts = Counts()
    until: datetime | None = None

    def anew(self, limit: int | None) -> "ListWindow":
        """The same window from its first page, in pages of `limit`."""
        return ListWindow(
            self.number + 1, self.scope, self.since, self.opened_at, limit, until=self.until
        )


@dataclass(frozen=True, slots=True)
class Absence:
    """That rows are missing `since` a moment; `judged_at` is when the full listing began that was
    last to say of them what it could, None where none has yet."""

    since: datetime
    judged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListState:
    """What is known of a list from earlier runs. `window` is one they left unfinished; `missing`
    are its rows that are neither found nor gone."""

    epoch: int
    watermark: datetime | None = None
    wide_at: datetime | None = None
    full_at: datetime | None = None
    last_number: int = 0
    window: ListWindow | None = None
    missing: tuple[Absence, ...] = ()


@dataclass(frozen=True, slots=True)
class ListLease:
    """The right to commit to a list, until someone else opens it.

    `comparing` names the run for which rows that differ from Brex's are noted before they are
    mended; None where they are not.
    """

    slice: Slice
    state: ListState
    comparing: str | None = None

    def where(self) -> sa.ColumnElement[bool]:
        return sa.and_(is_of(self.slice), checkpoints.c.epoch == self.state.epoch)


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a list counts as read that is to be read whole by the next run."""
_FRESH = {
    "epoch": 1,
    "window_number": 0,
    "window_open": False,
    "window_part": 0,
    "window_pages": 0,
    "fetched": 0,
    "inserted": 0,
    "updated": 0,
    "quarantined": 0,
}


def open_lease(warehouse: Warehouse, slice_: Slice) -> ListLease:
    """Takes a list over: whoever held it before can commit no more.

    Raises:
        Fenced: it is a slice, and another run has done away with it.
    """
    take = (
        insert(checkpoints)
        .values(**slice_.key, **_FRESH)
        .on_conflict_do_update(
            index_elements=list(checkpoints.primary_key),
            set_={"epoch": checkpoints.c.epoch + 1},
        )
        .returning(checkpoints)
    )
    raised = sa.update(checkpoints).values(epoch=checkpoints.c.epoch + 1).where(is_of(slice_))
    with warehouse.begin() as db:
        row = db.execute(raised.returning(checkpoints) if slice_.span else take).one_or_none()
        missing = sa.select(missing_rows.c.since, missing_rows.c.judged_at).distinct()
        found = db.execute(missing.where(is_of(slice_, missing_rows))).all()
    if row is None:
        raise _fenced(slice_)
    return ListLease(slice_, replace(_state(row), missing=tuple(Absence(*one) for one in found)))


def share_lease(warehouse: Warehouse, slice_: Slice) -> ListLease:
    """A lease that takes nothing from whoever holds the list: for single rows, beside its pages."""
    there = insert(checkpoints).values(**slice_.key, **_FRESH).on_conflict_do_nothing()
    with warehouse.begin() as db:
        db.execute(there)
        return ListLease(
            slice_, _state(db.execute(sa.select(checkpoints).where(is_of(slice_))).one())
        )


def begin_window(warehouse: Warehouse, lease: ListLease, window: ListWindow) -> ListWindow:
    """Starts a walk from the first page; an unfinished one is given up.

    Raises:
        Fenced: another run has taken the list over.
    """
    values: dict[str, object] = {"window_open": True, **window_values(window)}
    if declared := lease.slice.stream.parent:
        seen = lists.changed_at(lease.slice.connection, declared, lease.slice.parent)
        values["parent_changed_at"] = seen
    with warehouse.begin() as db:
        record(db, lease, values)
    return window


def advance(db: sa.Connection, lease: ListLease, window: ListWindow) -> None:
    """Records, in the transaction that holds the page's rows, where the next page begins.

    Raises:
        Fenced: another run has taken the list over.
    """
    record(db, lease, window_values(window))


def close(
    db: sa.Connection,
    lease: ListLease,
    window: ListWindow,
    *,
    watermark: datetime | None,
    listed: int,
    held: int,
    now: datetime,
) -> None:
    """Records, in the transaction of the last page, that the window was read to its end.

    `watermark` is the new one, never behind the old; `listed` counts distinct rows in the window's
    range at Brex, `held` those live here that are not missing from it.

    Raises:
        Fenced: another run has taken the list over.
    """
    values: dict[str, object] = {
        **window_values(replace(window, cursor=None)),
        "window_open": False,
        "watermark": watermark,
        "synced_at": now,
        "synced_through": window.opened_at.date(),
        "listed": listed,
        "held": held,
    }
    record(db, lease, values | _read_at(window))


def _read_at(window: ListWindow) -> dict[str, object]:
    """When a list was read as far back as the window reaches."""
    if window.scope is Scope.FULL:
        return {"wide_at": window.opened_at, "full_at": window.opened_at}
    return {"wide_at": window.opened_at} if window.scope is Scope.WIDE else {}


def close_backfill(db: sa.Connection, lease: ListLease, window: ListWindow) -> None:
    """Records, in the transaction of the last page, that a backfill was read to its end.

    Raises:
        Fenced: another run has taken the list over.
    """
    record(db, lease, {**window_values(replace(window, cursor=None)), "window_open": False})
    if not lease.slice.span:
        forget_keys(db, lease)


def park(warehouse: Warehouse, lease: ListLease) -> ListLease:
    """Puts the unfinished window aside, so that others can be read first.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        window = committed(db, lease)
        if window is not None:
            aside = insert(parked_windows).values(**lease.slice.key, **window_values(window))
            db.execute(
                aside.on_conflict_do_update(
                    index_elements=list(parked_windows.primary_key), set_=window_values(window)
                )
            )
            record(db, lease, {"window_open": False})
    return replace(lease, state=replace(lease.state, window=None))


def unpark(warehouse: Warehouse, lease: ListLease) -> ListWindow | None:
    """Takes the window that was put aside up again; None if there is none.

    It gets a new number, and with it the keys it listed. Rows set aside since it was opened are
    taken for its own, so that its end does not release them.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        committed(db, lease)
        parked = sa.delete(parked_windows).where(is_of(lease.slice, parked_windows))
        row = db.execute(parked.returning(parked_windows)).one_or_none()
        if row is None:
            return None
        old = _window_of(row._mapping)
        window = replace(old, number=_last_number(db, lease) + 1)
        for table, its_own in (
            (listed_keys, listed_keys.c.window_number == old.number),
            (quarantine, quarantine.c.window_number >= old.number),
        ):
            renumbered = sa.update(table).where(is_of(lease.slice, table), its_own)
            db.execute(renumbered.values(window_number=window.number))
        record(db, lease, {"window_open": True, **window_values(window)})
        return window


def was_read(warehouse: Warehouse, slice_: Slice) -> bool:
    """Whether a list was ever read to its end."""
    read = sa.select(checkpoints).where(is_of(slice_), checkpoints.c.synced_at.is_not(None))
    with warehouse.connect() as db:
        return bool(db.scalar(sa.select(read.exists())))


def read_whole_again(warehouse: Warehouse, stream: str) -> None:
    """Has the lists of a stream read from their beginnings by the next run."""
    c = checkpoints.c
    those = sa.and_(c.connection == warehouse.schema, c.stream == stream, c.full_at.is_not(None))
    with warehouse.begin() as db:
        db.execute(sa.update(checkpoints).where(those).values(full_at=_LONG_AGO))


def last_number(warehouse: Warehouse, lease: ListLease) -> int:
    """The number of the window last opened."""
    with warehouse.connect() as db:
        return _last_number(db, lease)


def _last_number(db: sa.Connection, lease: ListLease) -> int:
    return int(db.scalar(sa.select(checkpoints.c.window_number).where(is_of(lease.slice))) or 0)


def any_read(db: sa.Connection, connection: str) -> bool:
    """Whether any list of a connection was ever opened."""
    mine = sa.select(checkpoints).where(checkpoints.c.connection == connection)
    return bool(db.scalar(sa.select(mine.exists())))


def forget(db: sa.Connection, connection: str, stream: Stream) -> bool:
    """Makes a stream one that was never read, whose rows are no longer here: its lists are read
    from the beginning. Returns whether it had been read.

    Runs under way can commit no more to it.
    """
    anew = {
        c.name: _FRESH.get(c.name)
        for c in checkpoints.columns
        if not c.primary_key and c.name not in ("epoch", "window_number")
    }
    for table in (parked_windows, listed_keys, missing_rows, quarantine):
        db.execute(sa.delete(table).where(_of_stream(table, connection, stream)))
    return _reopen(db, connection, stream, anew)


def renew(db: sa.Connection, connection: str, stream: Stream) -> bool:
    """Makes every list of a stream due to be read from the beginning once more, while its rows
    stay. Returns whether it had been read.

    It is due until it was read to its end. Runs under way can commit no more to it.
    """
    c = checkpoints.c
    due = {name: sa.case((c[name].is_not(None), _LONG_AGO)) for name in ("wide_at", "full_at")}
    return _reopen(db, connection, stream, {**due, "window_open": False})


def _reopen(
    db: sa.Connection, connection: str, stream: Stream, values: Mapping[str, object]
) -> bool:
    """Writes columns of the checkpoints of a stream's lists; slices of time are done away with."""
    if stream.parent is None:
        for table in (checkpoints, listed_keys, quarantine):
            spans = sa.and_(_of_stream(table, connection, stream), table.c.slice != "")
            db.execute(sa.delete(table).where(spans))
    raised = sa.update(checkpoints).where(_of_stream(checkpoints, connection, stream))
    return db.execute(raised.values(epoch=checkpoints.c.epoch + 1, **values)).rowcount > 0


def _of_stream(table: sa.Table, connection: str, stream: Stream) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.connection == connection, table.c.stream == stream.name)


def forget_keys(db: sa.Connection, lease: ListLease) -> None:
    """Forgets what windows listed, except the one put aside."""
    parked = sa.select(parked_windows.c.window_number).where(is_of(lease.slice, parked_windows))
    others = listed_keys.c.window_number.not_in(parked)
    db.execute(sa.delete(listed_keys).where(is_of(lease.slice, listed_keys), others))


def committed(db: sa.Connection, lease: ListLease) -> ListWindow | None:
    """The window as last committed, with its row locked for this transaction.

    Raises:
        Fenced: another run has taken the list over.
    """
    row = db.execute(sa.select(checkpoints).where(lease.where()).with_for_update()).one_or_none()
    if row is None:
        raise _fenced(lease.slice)
    return _state(row).window


def unfinished(warehouse: Warehouse, lease: ListLease) -> ListWindow | None:
    """The window as last committed; None where it was read to its end.

    Raises:
        Fenced: another run has taken the list over.
    """
    with warehouse.begin() as db:
        return committed(db, lease)


def record(db: sa.Connection, lease: ListLease, values: Mapping[str, object]) -> None:
    """Writes columns of a list's checkpoint.

    Raises:
        Fenced: another run has taken the list over.
    """
    done = db.execute(sa.update(checkpoints).where(lease.where()).values(**values))
    if done.rowcount != 1:
        raise _fenced(lease.slice)


def _fenced(slice_: Slice) -> Fenced:
    stream = slice_.stream.name
    return Fenced(f"another run took over {stream}; it goes on from the last committed page")


def is_of(slice_: Slice, table: sa.Table = checkpoints) -> sa.ColumnElement[bool]:
    """The rows of a table that belong to a list."""
    return sa.and_(*(table.c[name] == value for name, value in slice_.key.items()))


def window_values(window: ListWindow) -> dict[str, object]:
    """A window as columns of its list's checkpoint."""
    return {
        "window_number": window.number,
        "window_scope": window.scope.value,
        "window_since": window.since,
        "window_until": window.until,
        "window_opened_at": window.opened_at,
        "window_limit": window.limit,
        "window_part": window.part,
        "window_cursor": window.cursor,
        "window_pages": window.pages,
        "window_newest": window.newest,
        "fetched": window.counts.fetched,
        "inserted": window.counts.inserted,
        "updated": window.counts.updated,
        "quarantined": window.counts.quarantined,
    }


def _state(row: sa.Row[tuple[object, ...]]) -> ListState:
    r = row._mapping
    window = _window_of(r) if r["window_open"] else None
    return ListState(
        r["epoch"], r["watermark"], r["wide_at"], r["full_at"], r["window_number"], window
    )


def _window_of(r: Mapping[Any, Any]) -> ListWindow:
    return ListWindow(
        r["window_number"],
        Scope(r["window_scope"]),
        r["window_since"],
        r["window_opened_at"],
        r["window_limit"],
        r["window_part"],
        r["window_cursor"],
        r["window_pages"],
        r["window_newest"],
        Counts(r["fetched"], r["inserted"], r["updated"], r["quarantined"]),
        r["window_until"],
    )
