"""The first read of a list whose pages are small: cut into slices of time, read side by side.

A row that changes meanwhile may move from one slice to another, so slices prove no deletion, and
the window read after them begins before they did.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from brex_sync.brex.errors import PageTooLarge
from brex_sync.brex.paging import first_page, listing_of
from brex_sync.sync import plan
from brex_sync.sync.reading import Reading
from brex_sync.sync.walking import span, walk_window
from brex_sync.warehouse import checkpoints, deletions, slices
from brex_sync.warehouse.checkpoints import Lease, Slice, State

SLICES = 32
"""Into how many slices of equal length a list is cut."""
SLICES_AT_ONCE = 12
"""How many are read side by side: enough for a page every 60 ms where one takes 700."""
MEANWHILE = timedelta(hours=1)
"""How far before its watermark the window after a backfill begins: rows changed while it went on,
whatever the clocks say, and all before has just been read."""


async def backfill(reading: Reading, lease: Lease) -> State | None:
    """Reads a list that was never read to its end; what earlier runs began is gone on with.

    Returns what is known of the list then, or None where all of it is one page: not worth slicing.

    Raises:
        BrexError, Fenced, sqlalchemy.exc.SQLAlchemyError: a slice could not be read to its end;
            what was committed stays and is gone on from.
    """
    parts = await asyncio.to_thread(slices.laid_out, reading.engine, lease)
    if not parts:
        began = reading.clock()
        if await _is_short(reading):
            return None
        spans = plan.cut(await _first_month(reading, began), began, SLICES)
        parts = await asyncio.to_thread(slices.lay_out, reading.engine, lease, spans, began)
    await _side_by_side(reading, parts)
    return await asyncio.to_thread(slices.take_over, reading.engine, lease, reading.clock())


async def _side_by_side(reading: Reading, parts: Sequence[Slice]) -> None:
    """Reads what is unfinished of the slices; the first fault is raised once all have ended.

    The latest come first: what was changed of late is the most, and long slices must not be last.
    """
    places = asyncio.Semaphore(SLICES_AT_ONCE)

    async def one(part: Slice) -> None:
        async with places:
            await _read(replace(reading, slice=part))

    for end in await asyncio.gather(*map(one, reversed(parts)), return_exceptions=True):
        if isinstance(end, BaseException):
            raise end


async def _read(reading: Reading) -> None:
    lease = await asyncio.to_thread(checkpoints.open_lease, reading.engine, reading.slice)
    if lease.state.window is None:
        return
    await walk_window(reading, lease, lease.state.window)
    await asyncio.to_thread(deletions.mark_deleted, reading.engine, lease, (), 0)


async def _is_short(reading: Reading) -> bool:
    stream = reading.slice.stream
    listing = listing_of(stream, None, {}, stream.paging.limit)
    try:
        return (await first_page(reading.client, listing, reading.meter)).next_cursor is None
    except PageTooLarge:
        return False


async def _first_month(reading: Reading, now: datetime) -> datetime:
    """The start of the first month with a row, found by halving; only speed depends on it."""
    months = plan.months(now)
    low, high = 0, len(months) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if await _any_until(reading, months[middle]):
            high = middle - 1
        else:
            low = middle
    return months[low]


async def _any_until(reading: Reading, moment: datetime) -> bool:
    stream = reading.slice.stream
    listing = listing_of(stream, None, span(stream, None, moment), 1)
    return bool((await first_page(reading.client, listing, reading.meter)).items)
