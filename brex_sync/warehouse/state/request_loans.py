"""A connection's requests, lent to the processes that make them, so that all together keep Brex's
limit, and syncs go first. Times are the database's: hosts need not agree on theirs."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import PostgresError
from brex_sync.warehouse.internal import request_limits, request_loans
from brex_sync.warehouse.retrying import attempts

log = logging.getLogger(__name__)

_NOW: sa.ColumnElement[datetime] = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

POLLS = 60
"""How often in a period one who waits looks again: a loan may be repaid sooner than it says."""
CONTENDED = 1 / 6
"""The part of a period for which one who asked counts as still wanting to borrow."""
LEFT_FREE = 0.2
"""What all but syncs leave free of the limit, so that a sync can begin at once."""
TRICKLE = 0.05
"""What is kept of the limit for all but syncs, while syncs want the rest."""
SMALL = 5
"""Requests in a loan from the trickle, so that it does for several processes."""


@dataclass(frozen=True, slots=True)
class StoredPermits:
    """So many requests that may be made by whoever holds the loan."""

    id: int
    requests: int


@dataclass(frozen=True, slots=True)
class RequestLedger:
    """What a connection may ask of Brex: `limit` requests in any `period` seconds.

    Loans are of at most `size` requests; one that is never repaid counts for `lost_after` seconds.
    A pause ends after `longest_pause` seconds, whoever asked for it.
    `for_syncs` says whether it lends to syncs, or to what comes after them.
    """

    engine: sa.Engine
    connection: str
    limit: int
    period: float
    lost_after: float
    size: int = 25
    for_syncs: bool = True
    longest_pause: float = 120.0

    def borrow(self) -> StoredPermits | float:
        """A loan, or the seconds after which to ask again."""
        for attempt in attempts():
            with attempt:
                return self._borrow()
        raise AssertionError("unreachable: tenacity returns or raises")

    def _borrow(self) -> StoredPermits | float:
        with self.engine.begin() as db:
            paused, contended = self._lock(db)
            if paused > 0:
                return paused
            loans, ours = request_loans, request_loans.c.connection == self.connection
            db.execute(sa.delete(loans).where(ours, loans.c.free_at <= _NOW))
            lent = sa.func.sum(loans.c.requests)
            to_syncs, to_others, wait = db.execute(
                sa.select(
                    sa.func.coalesce(lent.filter(loans.c.sync), 0),
                    sa.func.coalesce(lent.filter(~loans.c.sync), 0),
                    _seconds_until(sa.func.min(loans.c.free_at)),
                ).where(ours)
            ).one()
            room = _room_for_syncs if self.for_syncs else _room_for_others
            most = SMALL if contended and not self.for_syncs else self.size
            size = min(most, room(self.limit, int(to_syncs), int(to_others), contended))
            if size <= 0:
                return min(max(float(wait), 0.001), self.period / POLLS)
            made = sa.insert(loans).values(
                connection=self.connection,
                requests=size,
                free_at=_after(self.lost_after),
                sync=self.for_syncs,
            )
            return StoredPermits(db.execute(made.returning(loans.c.id)).scalar_one(), size)

    def repay(self, loan: StoredPermits, used: int) -> None:
        """Gives back what was not used; the rest is free again after the period.

        Where Postgres cannot be reached nothing is given back, and the loan frees itself later.
        """
        try:
            self._repay(loan, used)
        except PostgresError as error:
            log.warning(
                "%s: requests that were lent and not made count for %g s: %s",
                self.connection,
                self.lost_after,
                error.said,
            )

    def _repay(self, loan: StoredPermits, used: int) -> None:
        mine = request_loans.c.id == loan.id
        with self.engine.begin() as db:
            if not used:
                db.execute(sa.delete(request_loans).where(mine))
                return
            free = {"requests": used, "free_at": _after(self.period)}
            db.execute(sa.update(request_loans).where(mine).values(**free))

    def pause(self, seconds: float) -> None:
        """Lends nothing for so long: Brex said to come back later."""
        row = insert(request_limits).values(
            connection=self.connection, paused_until=_after(min(seconds, self.longest_pause))
        )
        later = sa.func.greatest(request_limits.c.paused_until, row.excluded.paused_until)
        with self.engine.begin() as db:
            db.execute(
                row.on_conflict_do_update(
                    index_elements=[request_limits.c.connection], set_={"paused_until": later}
                )
            )

    def _lock(self, db: sa.Connection) -> tuple[float, bool]:
        """Keeps other borrowers out until the transaction ends, and notes that we want to borrow.

        Answers with the seconds of pause left, and whether the other side wants to borrow too.
        """
        mine, theirs = request_limits.c.syncs_asked_at, request_limits.c.others_asked_at
        if not self.for_syncs:
            mine, theirs = theirs, mine
        row = insert(request_limits).values({"connection": self.connection, mine.name: _NOW})
        paused_until, latest = request_limits.c.paused_until, _after(self.longest_pause)
        capped = sa.case((paused_until > latest, latest), else_=paused_until)
        paused, asked = db.execute(
            row.on_conflict_do_update(
                index_elements=[request_limits.c.connection],
                set_={mine.name: _NOW, "paused_until": capped},
            ).returning(
                _seconds_until(request_limits.c.paused_until),
                _NOW - theirs < timedelta(seconds=self.period * CONTENDED),
            )
        ).one()
        return float(paused or 0), bool(asked)


def _room_for_syncs(limit: int, to_syncs: int, to_others: int, contended: bool) -> int:
    """How many requests a sync may borrow now; `contended` if others want to borrow too."""
    kept = max(0, _trickle(limit) - to_others) if contended and limit > 1 else 0
    return limit - to_syncs - to_others - kept


def _room_for_others(limit: int, to_syncs: int, to_others: int, contended: bool) -> int:
    """How many requests all but syncs may borrow now; `contended` if a sync wants to."""
    most = _trickle(limit) if contended else max(_trickle(limit), int(limit * (1 - LEFT_FREE)))
    return min(limit - to_syncs - to_others, most - to_others)


def _trickle(limit: int) -> int:
    return max(1, int(limit * TRICKLE))


def _after(seconds: float) -> sa.ColumnElement[datetime]:
    return _NOW + timedelta(seconds=seconds)


def _seconds_until(moment: sa.ColumnElement[datetime]) -> sa.ColumnElement[Any]:
    return sa.func.extract("epoch", moment - _NOW)
