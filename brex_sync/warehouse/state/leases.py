"""Leases: proof that the process that does something is alive, whoever looks, through any pooler.

A lease is a row that its holder's heartbeat keeps in the future, by Postgres's clock. It holds no
session, no transaction and no lock, so it outlives restarts of Postgres and works through PgBouncer
in transaction mode (docs/decisions/0012-leases.md).

A lease past its end stays its holder's until another process acts on it: `take` replaces an
exclusive one, `lapse` deletes those that ended. A holder that was only slow or suspended goes on if
nobody did; otherwise its next heartbeat finds the row gone, and the lease is lost for good.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import LeaseLost, PostgresError
from brex_sync.warehouse.database import INTERNAL, apart
from brex_sync.warehouse.internal import leases
from brex_sync.warehouse.retrying import attempts

log = logging.getLogger(__name__)

SYNC = "sync"
"""Leases of syncs, by the run's id in the log of runs; several attempts may hold one at once."""
WORKFLOW = "workflow"
"""Exclusive leases of workflows' runs, by the run's id."""

_KEPT = timedelta(days=7)
"""For so long a lease that has ended is kept, where nobody acts on it."""
_NOW = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))
_C = leases.c


@dataclass(frozen=True, slots=True)
class Terms:
    """A lease ends `length` seconds after its last heartbeat, of which there is one every `beat`
    seconds; after a failed one, the next comes five times as soon."""

    length: float = 45.0
    beat: float = 10.0


TERMS = Terms()


@dataclass(slots=True)
class Lease:
    """A lease that this process has taken, kept by a thread until it is released or lost."""

    engine: sa.Engine
    kind: str
    name: str
    slot: str
    holder: str
    terms: Terms
    lingers: bool = False
    note: str | None = None
    _over: Event = field(default_factory=Event)
    _lost: Event = field(default_factory=Event)
    _guard: Any = field(default_factory=Lock)
    _told: list[Callable[[], object]] = field(default_factory=list)

    @property
    def lost(self) -> bool:
        """Whether a heartbeat has found that another process acted on the lease's end."""
        return self._lost.is_set()

    def confirm(self) -> None:
        """Does a heartbeat now: for what must not be done without the lease.

        Raises:
            LeaseLost: another process acted on its end.
            PostgresError: Postgres cannot be asked.
        """
        if not (self._beat() or self._over.is_set()):
            self._lose()
        if self.lost:
            raise LeaseLost(f"the lease of {self.kind} {self.name} was lost to another process")

    def when_lost(self, tell: Callable[[], object]) -> None:
        """Has `tell` called once the lease is lost, from the heartbeat's thread."""
        with self._guard:
            if not self.lost:
                self._told.append(tell)
                return
        tell()

    def is_kept(self, db: sa.Connection) -> bool:
        """Does a heartbeat in the caller's transaction; False if the row is no longer this
        holder's. Until the transaction ends nobody else can take the lease, and then it has its
        whole length left."""
        mine = sa.and_(_at(self.kind, self.name), _C.slot == self.slot, _C.holder == self.holder)
        postponed = sa.update(leases).where(mine).values(ends_at=_after(self.terms.length))
        return db.execute(postponed).rowcount == 1

    def _beat(self) -> bool:
        """Postpones the end; False if the row is no longer this holder's."""
        with self.engine.begin() as db:
            return self.is_kept(db)

    def _keep(self) -> None:
        pause = self.terms.beat
        while not self._over.wait(pause):
            pause = self.terms.beat
            try:
                if not self._beat():
                    self._lose()
                    return
            except Exception as error:
                pause = self.terms.beat / 5
                log.warning("the lease of %s %s: %s", self.kind, self.name, error)

    def _lose(self) -> None:
        with self._guard:
            if self._over.is_set() or self.lost:
                return
            self._lost.set()
            told = list(self._told)
        log.error("the lease of %s %s was lost to another process", self.kind, self.name)
        for tell in told:
            tell()

    def _release(self) -> None:
        """Lets go of the lease; where Postgres cannot be reached, it ends by itself."""
        with self._guard:
            self._over.set()
        if self.lingers:
            return
        mine = sa.and_(_at(self.kind, self.name), _C.slot == self.slot, _C.holder == self.holder)
        try:
            with self.engine.begin() as db:
                db.execute(sa.delete(leases).where(mine))
        except PostgresError as error:
            log.warning("the lease of %s %s: %s", self.kind, self.name, error.said)


@contextmanager
def held(
    engine: sa.Engine, kind: str, name: str, terms: Terms = TERMS, *, note: str | None = None
) -> Iterator[Lease | None]:
    """Takes an exclusive lease, and keeps it while the block lasts and this process lives.

    None, where another holder's has not ended; `holder_of` has its `note`. The internal schema must
    exist (`tables.prepare_internal`).

    Raises:
        PostgresError: Postgres cannot be reached.
    """
    holder = str(uuid4())
    with _kept(Lease(engine, kind, name, "", holder, terms, note=note)) as lease:
        yield lease


@contextmanager
def shared(
    engine: sa.Engine, kind: str, name: str, terms: Terms = TERMS, *, lingers: bool = False
) -> Iterator[Lease]:
    """Takes a lease that others may hold as well, and keeps it as `held` does.

    One that `lingers` is not released when the block ends, but ends by itself: the process still
    has to tell of its end elsewhere.

    Raises:
        PostgresError: Postgres cannot be reached.
    """
    holder = str(uuid4())
    with _kept(Lease(engine, kind, name, holder, holder, terms, lingers)) as lease:
        if lease is None:
            raise AssertionError("unreachable: nobody else has the token of a shared lease")
        yield lease


@contextmanager
def _kept(lease: Lease) -> Iterator[Lease | None]:
    lease.engine = apart(lease.engine)
    try:
        if not _take(lease):
            yield None
            return
        # A daemon, so that it never keeps a process alive whose work has ended some other way.
        thread = Thread(target=lease._keep, name=f"lease of {lease.kind} {lease.name}", daemon=True)
        thread.start()
        try:
            yield lease
        finally:
            lease._release()
            thread.join(lease.terms.beat)
    finally:
        lease.engine.dispose()


def ends_at(engine: sa.Engine, kind: str, name: str) -> datetime | None:
    """When the exclusive lease of a name ends unless its holder's next heartbeat postpones it."""
    found = sa.select(_C.ends_at).where(_at(kind, name), _C.slot == "")
    with engine.connect() as db:
        ends: datetime | None = db.scalar(found)
    return ends


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an exclusive lease, as its note says, since when, and when it would end."""

    token: str
    note: str | None
    since: datetime
    ends_at: datetime


def holder_of(engine: sa.Engine, kind: str, name: str) -> Holder | None:
    """The holder of an exclusive lease that has not ended; None where there is none."""
    columns = sa.select(_C.holder, _C.note, _C.taken_at, _C.ends_at)
    with engine.connect() as db:
        if not are_known(db):
            return None
        row = db.execute(
            columns.where(_at(kind, name), _C.slot == "", _C.ends_at > _NOW)
        ).one_or_none()
    return Holder(*row) if row else None


def are_known(db: sa.Connection) -> bool:
    """Whether the warehouse has leases, as that of an earlier version has not."""
    return sa.inspect(db).has_table(leases.name, schema=INTERNAL)


def end(engine: sa.Engine, kind: str, name: str, token: str) -> None:
    """Ends a lease whose holder is known to be dead."""
    with engine.begin() as db:
        db.execute(sa.delete(leases).where(_at(kind, name), _C.holder == token))


def is_alive(db: sa.Connection, kind: str, name: str) -> bool:
    """Whether a lease of that name has not ended."""
    return bool(db.scalar(sa.select(alive(kind, sa.literal(name)))))


def alive(kind: str, name: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """For a query: whether a lease of the name in a column has not ended."""
    return sa.select(leases).where(_at(kind, name), _C.ends_at > _NOW).exists()


def known(db: sa.Connection, kind: str) -> dict[str, bool]:
    """The names that leases are or were held under, and whether any of a name has not ended."""
    still = sa.func.bool_or(_C.ends_at > _NOW)
    rows = db.execute(sa.select(_C.name, still).where(_C.kind == kind).group_by(_C.name))
    return {name: bool(is_held) for name, is_held in rows}


def lapse(db: sa.Connection, kind: str, name: str) -> bool:
    """Takes from their holders the leases of a name that have ended; whether none is left.

    For those who act on the end of a lease, in the transaction in which they do: a late holder
    finds out by its next heartbeat. One may be taken anew before the transaction ends.
    """
    db.execute(sa.delete(leases).where(_at(kind, name), _C.ends_at <= _NOW))
    return not db.scalar(sa.select(sa.select(leases).where(_at(kind, name)).exists()))


def _take(lease: Lease) -> bool:
    """Whether the lease was free. A take whose answer was lost is recognised by its token."""
    fresh = {
        "holder": lease.holder,
        "taken_at": _NOW,
        "note": lease.note,
        "ends_at": _after(lease.terms.length),
    }
    row = insert(leases).values(kind=lease.kind, name=lease.name, slot=lease.slot, **fresh)
    free = sa.or_(_C.ends_at <= _NOW, _C.holder == lease.holder)
    taken = row.on_conflict_do_update(
        index_elements=list(leases.primary_key), set_=fresh, where=free
    )
    for attempt in attempts():
        with attempt, lease.engine.begin() as db:
            db.execute(sa.delete(leases).where(_C.ends_at <= _NOW - _KEPT))
            return db.scalar(taken.returning(_C.holder)) is not None
    raise AssertionError("unreachable: tenacity returns or raises")


def _at(kind: str, name: str | sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.and_(_C.kind == kind, _C.name == name)


def _after(seconds: float) -> sa.ColumnElement[Any]:
    return _NOW + timedelta(seconds=seconds)
