"""A connection's requests, lent to the processes that make them, so that all together keep Brex's
limit. Times are the database's: hosts need not agree on theirs."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.warehouse.internal import request_limits, request_loans
from brex_sync.warehouse.retrying import attempts

log = logging.getLogger(__name__)

_NOW: sa.ColumnElement[datetime] = sa.func.clock_timestamp(type_=sa.DateTime(timezone=True))

POLLS = 60
"""How often in a period one who waits looks again: a loan may be repaid sooner than it says."""


@dataclass(frozen=True, slots=True)
class Loan:
    """So many requests that may be made by whoever holds the loan."""

    id: int
    requests: int


@dataclass(frozen=True, slots=True)
class RequestLedger:
    """What a connection may ask of Brex: `limit` requests in any `period` seconds.

    Loans are of at most `size` requests; one that is never repaid counts for `lost_after` seconds.
    """

    engine: sa.Engine
    connection: str
    limit: int
    period: float
    lost_after: float
    size: int = 25

    def borrow(self) -> Loan | float:
        """A loan, or the seconds after which to ask again."""
        for attempt in attempts():
            with attempt:
                return self._borrow()
        raise AssertionError("unreachable: tenacity returns or raises")

    def _borrow(self) -> Loan | float:
        with self.engine.begin() as db:
            paused = self._lock(db)
            if paused > 0:
                return paused
            loans, ours = request_loans, request_loans.c.connection == self.connection
            db.execute(sa.delete(loans).where(ours, loans.c.free_at <= _NOW))
            lent, wait = db.execute(
                sa.select(
                    sa.func.coalesce(sa.func.sum(loans.c.requests), 0),
                    _seconds_until(sa.func.min(loans.c.free_at)),
                ).where(ours)
            ).one()
            if lent >= self.limit:
                return min(max(float(wait), 0.001), self.period / POLLS)
            size = min(self.size, self.limit - int(lent))
            made = sa.insert(loans).values(
                connection=self.connection, requests=size, free_at=_after(self.lost_after)
            )
            return Loan(db.execute(made.returning(loans.c.id)).scalar_one(), size)

    def repay(self, loan: Loan, used: int) -> None:
        """Gives back what was not used; the rest is free again after the period.

        Where Postgres cannot be reached nothing is given back, and the loan frees itself later.
        """
        try:
            self._repay(loan, used)
        except sa.exc.SQLAlchemyError as error:
            told = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            log.warning(
                "%s: requests that were lent and not made count for %g s: %s",
                self.connection,
                self.lost_after,
                told,
            )

    def _repay(self, loan: Loan, used: int) -> None:
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
            connection=self.connection, paused_until=_after(seconds)
        )
        later = sa.func.greatest(request_limits.c.paused_until, row.excluded.paused_until)
        with self.engine.begin() as db:
            db.execute(
                row.on_conflict_do_update(
                    index_elements=[request_limits.c.connection], set_={"paused_until": later}
                )
            )

    def _lock(self, db: sa.Connection) -> float:
        """Keeps other borrowers out until the transaction ends; the seconds of pause left."""
        limits = request_limits
        db.execute(insert(limits).values(connection=self.connection).on_conflict_do_nothing())
        paused = db.scalar(
            sa.select(_seconds_until(limits.c.paused_until))
            .where(limits.c.connection == self.connection)
            .with_for_update()
        )
        return float(paused or 0)


def _after(seconds: float) -> sa.ColumnElement[datetime]:
    return _NOW + timedelta(seconds=seconds)


def _seconds_until(moment: sa.ColumnElement[datetime]) -> sa.ColumnElement[Any]:
    return sa.func.extract("epoch", moment - _NOW)
