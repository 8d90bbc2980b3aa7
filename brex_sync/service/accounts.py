"""The Brex accounts a service speaks for, each with one client for as long as it runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from brex_sync.brex.client import BrexClient
from brex_sync.connections.declared import Connection
from brex_sync.runtime.clients import open_client
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse

Result = TypeVar("Result")


@dataclass
class Accounts:
    """The connections by their names, and their database. Use as an async context manager."""

    settings: Settings
    engine: sa.Engine
    connections: Mapping[str, Connection]
    _clients: dict[str, BrexClient] = field(default_factory=dict, repr=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set, repr=False)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)

    async def client(self, name: str) -> BrexClient:
        """The client of a connection, opened when it is first asked for.

        Raises:
            KeyError: no connection has that name.
            BrexError: there is no credential to be had; ActionNeeded if only a person can help.
            SettingsError, VaultError: the credential is not set, or cannot be opened.
        """
        connection = self.connections[name]
        async with self._opening:
            if name not in self._clients:
                opened = open_client(self.settings, connection, self.engine)
                self._clients[name] = await self._open.enter_async_context(opened)
        return self._clients[name]

    @asynccontextmanager
    async def open(self, connection: Connection) -> AsyncIterator[BrexClient]:
        """The client of a connection, which stays open afterwards. Raises what `client` does."""
        yield await self.client(connection.name)

    def warehouse(self, name: str) -> Warehouse:
        """The schema of a connection."""
        return Warehouse(self.engine, name)

    def at_close(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Has something done once the clients are closed."""
        self._open.push_async_callback(callback)

    def start(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Does something that outlives the request which asked for it; the service's end stops
        it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._open.aclose()
