"""What the proxy passed on, written down in the warehouse a moment later."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from brex_sync.errors import PostgresError
from brex_sync.warehouse import proxied

log = logging.getLogger(__name__)

DELAY = 0.5
"""Seconds in which rows are collected before they are written together."""
MOST = 10_000
"""Rows that may wait for a warehouse that does not answer; those after them are lost."""


class RequestLog:
    """Rows of `proxied_requests`, stored together and after the answers they tell of."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._waiting: list[Mapping[str, Any]] = []
        self._writing: asyncio.Task[None] | None = None

    def note(self, row: Mapping[str, Any]) -> None:
        """Has a row written soon; waits for nothing."""
        if len(self._waiting) < MOST:
            self._waiting.append(row)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Writes what is still to be written."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(DELAY)
            rows, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(proxied.store, self._engine, rows)
            except PostgresError as error:
                log.warning("%d proxied requests were not noted: %s", len(rows), type(error))
