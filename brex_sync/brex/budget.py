"""Requests borrowed from a ledger that all processes of a connection share."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

HOLD = 0.5
"""Seconds for which a loan may be drawn on: so soon a pause that another process met holds here."""


class Permits(Protocol):
    """So many requests that may be made."""

    @property
    def requests(self) -> int: ...


class PermitStore(Protocol):
    """Where loans are written down. Its methods may block: they are called from threads."""

    def borrow(self) -> Permits | float:
        """A loan, or the seconds after which to ask again."""

    def repay(self, loan: Any, used: int) -> None:
        """Gives back what was not used; what was has been answered by now."""

    def pause(self, seconds: float) -> None:
        """Lends nothing for so long."""


@dataclass(slots=True)
class Drawn:
    """A loan being drawn on: since when (monotonic seconds), and how much of it."""

    loan: Permits
    since: float
    used: int = 0
    in_flight: int = 0


class Budget:
    """This process's share of the ledger, taken a loan at a time.

    A loan is repaid once it is drawn no more and all its requests are answered, so that none of
    them can reach Brex after it is free again. That is after `HOLD` at the latest: whoever makes
    no requests holds nothing.
    """

    def __init__(self, ledger: PermitStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._current: Drawn | None = None
        self._repaying: set[asyncio.Task[None]] = set()

    async def take(self) -> Drawn:
        """One request's worth of a loan; waits until one can be had. Not to be called twice at
        once."""
        while self._current is None or self._is_old(self._current):
            if self._current is not None:
                self._finish(self._current)
            lent = await self._borrow()
            if isinstance(lent, float):
                await asyncio.sleep(lent)
            else:
                self._current = Drawn(lent, self._clock())
                asyncio.get_running_loop().call_later(HOLD, self._let_go, self._current)
        drawn = self._current
        drawn.used += 1
        drawn.in_flight += 1
        if drawn.used >= drawn.loan.requests:
            self._current = None
        return drawn

    def answered(self, drawn: Drawn) -> None:
        """A request taken before has been answered, or given up."""
        drawn.in_flight -= 1
        if drawn is not self._current:
            self._repay_if_idle(drawn)

    async def pause(self, seconds: float) -> None:
        """Brex said to come back later: no process borrows until then."""
        await asyncio.to_thread(self._ledger.pause, seconds)

    async def close(self) -> None:
        """Repays everything; every request must have been answered."""
        if self._current is not None:
            self._finish(self._current)
        await asyncio.gather(*self._repaying)

    async def _borrow(self) -> Permits | float:
        """Borrows; a loan that comes when nobody waits for it any more is given back."""
        borrowing = asyncio.create_task(asyncio.to_thread(self._ledger.borrow))
        try:
            return await asyncio.shield(borrowing)
        except asyncio.CancelledError:
            lent = await borrowing
            if not isinstance(lent, float):
                self._repay_if_idle(Drawn(lent, self._clock()))
            raise

    def _let_go(self, drawn: Drawn) -> None:
        if drawn is self._current:
            self._finish(drawn)

    def _is_old(self, drawn: Drawn) -> bool:
        return self._clock() - drawn.since > HOLD

    def _finish(self, drawn: Drawn) -> None:
        self._current = None
        self._repay_if_idle(drawn)

    def _repay_if_idle(self, drawn: Drawn) -> None:
        if drawn.in_flight:
            return
        repaying = asyncio.create_task(
            asyncio.to_thread(self._ledger.repay, drawn.loan, drawn.used)
        )
        self._repaying.add(repaying)
        repaying.add_done_callback(self._repaying.discard)
