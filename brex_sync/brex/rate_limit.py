"""One connection's share of Brex's request limit."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from brex_sync.brex.budget import Budget
from brex_sync.brex.retry_after import LONGEST

REQUESTS = 1000
"""Requests Brex allows per client and account in `PERIOD` (its rate-limit guide)."""
PERIOD = 60.0
"""Seconds."""


class RateLimiter:
    """At most `requests` in any `period` seconds, as the server counts them.

    A request may arrive at any time between being sent and its response, so its slot stays taken
    until `period` seconds after the response. No window in which the server could count then has
    more than `requests`. Other processes that read the same account are included through the shared
    `budget`.
    """

    def __init__(
        self,
        requests: int = REQUESTS,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
        budget: Budget | None = None,
    ) -> None:
        self._requests = requests
        self._period = period
        self._clock = clock
        self._budget = budget
        self._in_flight = 0
        self._answered: deque[float] = deque()
        self._paused_until = 0.0
        self._queue = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds the slot of one request; waits, first come first served, until one is free."""
        async with self._queue:
            while (wait := self._wait()) > 0:
                await self._sleep(wait)
            drawn = await self._budget.take() if self._budget else None
            self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._budget and drawn:
                self._budget.answered(drawn)
            self._answered.append(self._clock())
            self._released.set()

    async def pause(self, seconds: float) -> None:
        """Sends nothing for `seconds`, two minutes at most, because Brex asked for it."""
        seconds = min(seconds, LONGEST)
        self._paused_until = max(self._paused_until, self._clock() + seconds)
        if self._budget:
            await self._budget.pause(seconds)

    async def close(self) -> None:
        """Returns the permits of the shared budget."""
        if self._budget:
            await self._budget.close()

    def _wait(self) -> float:
        now = self._clock()
        while self._answered and self._answered[0] + self._period <= now:
            self._answered.popleft()
        paused = self._paused_until - now
        if self._in_flight + len(self._answered) < self._requests:
            return paused
        if self._answered:
            return max(paused, self._answered[0] + self._period - now)
        return max(paused, self._period)

    async def _sleep(self, seconds: float) -> None:
        """Sleeps until the next response at most, because that may change how long to wait."""
        self._released.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._released.wait()
        except TimeoutError:
            pass
