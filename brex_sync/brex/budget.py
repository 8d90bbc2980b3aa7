"""Permits for requests, taken from a ledger that all processes of a connection share."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

HOLD = 0.5
"""Seconds for which a loan may be drawn on: so soon a pause that another process met holds here."""


class Permits(Protocol):
    """The right to send `count` requests."""

    @property
    def requests(self) -> int: ...


class PermitStore(Protocol):
    """Stores which process holds how many permits. Its methods may block and are called from
    threads.
    """

    def borrow(self) -> Permits | float:
        """A batch of permits, or the seconds after which to ask again."""

    def repay(self, loan: Any, used: int) -> None:
        """Returns the permits that were not used. All requests made with the others have their
        responses.
        """

    def pause(self, seconds: float) -> None:
        """Gives out no permits for that many seconds."""


@dataclass(slots=True)
class Drawn:
    """A batch in use: since when (monotonic seconds), how many permits of it were used, and how
    many of those requests have no response yet.
    """

    loan: Permits
    since: float
    used: int = 0
    in_flight: int = 0


class Budget:
    """This process's permits, taken from the store one batch at a time.

    A batch is returned once no more of it is used and all its requests have responses, so that no
    request reaches Brex after its permit is free again. A batch is used for `HOLD` seconds at most,
    so an idle process holds none.
    """

    def __init__(self, ledger: PermitStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._clock = clock
        self._current: Drawn | None = None
        self._repaying: set[asyncio.Task[None]] = set()

    async def take(self) -> Drawn:
        """Takes one permit, waiting until one is available. Must not be called concurrently."""
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
        """Ends a request for which a permit was taken: its response came, or it was given up."""
        drawn.in_flight -= 1
        if drawn is not self._current:
            self._repay_if_idle(drawn)

    async def pause(self, seconds: float) -> None:
        """Stops all processes from taking permits for that many seconds; Brex asked for it."""
        await asyncio.to_thread(self._ledger.pause, seconds)

    async def close(self) -> None:
        """Returns every permit. All requests must have ended."""
        if self._current is not None:
            self._finish(self._current)
        await asyncio.gather(*self._repaying)

    async def _borrow(self) -> Permits | float:
        """Takes a batch; one that arrives after its waiter was cancelled is returned."""
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
