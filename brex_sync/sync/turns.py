"""One run at a time per connection: the others are told who has it, or wait their turn.

The epochs of checkpoints keep runs from harming each other; turns keep them from trying.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import msgspec

from brex_sync import processes
from brex_sync.errors import ConnectionBusy
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import TERMS, Holder, Terms

CONNECTION = "connection"
"""Leases by the names of connections."""
LOOK_EVERY = 0.5
"""Seconds between two looks at who has a connection."""


class Note(msgspec.Struct, frozen=True):
    """What the holder of a connection says of itself."""

    run_id: str
    started_by: str
    process: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A run that wants a connection to itself. `started_by` is what began it, for people."""

    warehouse: Warehouse
    run_id: str
    started_by: str
    terms: Terms = TERMS

    @asynccontextmanager
    async def taken(self, wait: Callable[[str], None] | None = None) -> AsyncIterator[None]:
        """Has the connection while the block lasts; the internal schema must exist.

        A holder that is dead is not waited for longer than its lease lasts. One that is alive is
        waited for if `wait` is given, which is told who it is.

        Raises:
            ConnectionBusy: a run that is alive has it, and `wait` is None.
            PostgresError: Postgres cannot be reached.
        """
        async with AsyncExitStack() as stack:
            first: Holder | None = None
            while not await self._took(stack):
                holder = await self.warehouse.call(_any_holder)
                if holder is None or await self._was_left(holder):
                    continue
                is_new = first is None or first.token != holder.token
                first = holder if is_new or first is None else first
                if wait is not None and is_new:
                    wait(told_of(self.warehouse.schema, holder))
                if wait is None and _lives(holder, first):
                    raise ConnectionBusy(told_of(self.warehouse.schema, holder))
                await asyncio.sleep(LOOK_EVERY)
            yield

    async def _took(self, stack: AsyncExitStack) -> bool:
        engine, name = self.warehouse.engine, self.warehouse.schema
        note = Note(self.run_id, self.started_by, processes.me())
        text = msgspec.json.encode(note).decode()
        held = leases.held(engine, CONNECTION, name, self.terms, note=text)
        if await asyncio.to_thread(held.__enter__) is None:
            await asyncio.to_thread(held.__exit__, None, None, None)
            return False
        stack.push(held)
        return True

    async def _was_left(self, holder: Holder) -> bool:
        """Whether the holder's process is known to be gone; its lease is ended then."""
        note = _note(holder)
        if note is None or processes.is_alive(note.process) is not False:
            return False
        await self.warehouse.call(_end, holder)
        return True


def holder(warehouse: Warehouse) -> Holder | None:
    """The run that has a connection; None where none has, or its process is known to be gone.

    The internal schema must exist.
    """
    found = _any_holder(warehouse)
    note = _note(found) if found else None
    return None if note and processes.is_alive(note.process) is False else found


def was_left(warehouse: Warehouse, run_id: str) -> bool:
    """Whether a run had the connection until its process was gone; False where none can tell."""
    found = _any_holder(warehouse)
    note = _note(found) if found else None
    return bool(note and note.run_id == run_id and processes.is_alive(note.process) is False)


def told_of(connection: str, holder: Holder) -> str:
    """Who has a connection, as a sentence."""
    note = _note(holder)
    who = f"run {note.run_id}, started by {note.started_by}" if note else "another run"
    return f"{connection} is being synced by {who} since {holder.since:%Y-%m-%d %H:%M:%S} UTC"


def _any_holder(warehouse: Warehouse) -> Holder | None:
    """The run that has a connection, or had it until its process was gone."""
    return leases.holder_of(warehouse.engine, CONNECTION, warehouse.schema)


def _end(warehouse: Warehouse, holder: Holder) -> None:
    leases.end(warehouse.engine, CONNECTION, warehouse.schema, holder.token)


def _lives(holder: Holder, first: Holder) -> bool:
    """Whether the holder is known to be alive: it can be seen, or its heart has beaten since."""
    note = _note(holder)
    here = note is not None and processes.is_alive(note.process) is True
    return here or holder.ends_at != first.ends_at


def _note(holder: Holder) -> Note | None:
    try:
        return msgspec.json.decode(holder.note or "", type=Note)
    except msgspec.DecodeError:
        return None
