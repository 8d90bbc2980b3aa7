"""The lists of one stream: read side by side, and judged together."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from brex_sync.errors import NotAllowed, NotFound
from brex_sync.sync.read.listing import backfill, compare_list, sync_list
from brex_sync.sync.read.reading import Options, SyncContext
from brex_sync.sync.read.refusals import meaning
from brex_sync.sync.read.vanished import Listed, settle

LISTS_AT_ONCE = 8
"""How many lists of one stream are read side by side, where it has one per parent row."""

End = Listed | BaseException
Step = Callable[[SyncContext, Listed], Awaitable[Listed]]


async def read_lists(readings: Sequence[SyncContext], options: Options) -> list[End]:
    """Does all that is asked for with lists of one stream; returns what each came to, in order, be
    it the fault that ended it.

    The missing rows of all lists are judged once each list is read: an answer that is empty for
    every one of them must not pass for few missing rows in each.
    """
    places = asyncio.Semaphore(LISTS_AT_ONCE)
    begun = (_guarded(places, reading, sync_list(reading)) for reading in readings)
    ends = await _gather(begun)
    for step in (settle, *((_compare, settle) if options.compare else (_backfill,))):
        ends = await _gather(
            _then(places, reading, end, step) for reading, end in zip(readings, ends, strict=True)
        )
    return ends


async def _gather(work: Iterable[Awaitable[Listed]]) -> list[End]:
    return list(await asyncio.gather(*work, return_exceptions=True))


async def _then(places: asyncio.Semaphore, reading: SyncContext, before: End, step: Step) -> Listed:
    if isinstance(before, BaseException):
        raise before
    return await _guarded(places, reading, step(reading, before))


async def _guarded(
    places: asyncio.Semaphore, reading: SyncContext, work: Awaitable[Listed]
) -> Listed:
    """Awaits the work once there is a place for it, and says what a refusal means."""
    async with places:
        try:
            return await work
        except (NotAllowed, NotFound) as error:
            raise await meaning(reading, error) from error


async def _compare(reading: SyncContext, before: Listed) -> Listed:
    return await compare_list(reading)


async def _backfill(reading: SyncContext, before: Listed) -> Listed:
    await backfill(reading, before.lease)
    return before
