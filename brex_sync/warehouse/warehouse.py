"""One connection's schema on an engine, and how coroutines reach it.

SQL blocks. The functions of `brex_sync.warehouse` are therefore plain functions that take a
`Warehouse` first, and a coroutine calls them with `await warehouse.call(function, …)`, which runs
them in a worker thread. The few functions of the whole database (leases, the outbox, the log of
proxied requests) take the engine, and a coroutine calls them with `asyncio.to_thread`. A coroutine
calls one of either kind directly only where it must not be suspended: in a `finally` that has to be
completed although its task is cancelled.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The schema of one connection, and the engine through which it is reached.

    `schema` is the connection's name; rows of the internal schema have it in `connection`.
    """

    engine: sa.Engine
    schema: str

    def connect(self) -> sa.Connection:
        """A connection of the pool, for reading: a context manager that returns it."""
        return self.engine.connect()

    def begin(self) -> AbstractContextManager[sa.Connection]:
        """A transaction, which is committed at the end of the block, or rolled back by an error."""
        return self.engine.begin()

    async def call(
        self,
        function: Callable[Concatenate["Warehouse", P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        """Runs `function(self, …)` in a worker thread, and returns what it returns."""
        return await asyncio.to_thread(function, self, *args, **kwargs)
