"""A long read of a list whose pages are small: cut into slices of time, read side by side.

A row that changes meanwhile leaves its slice for the last one, which has no end and is read once
the others are. Where a row left that had been listed, those behind it moved up by one, and one may
have slipped past between two pages: such slices are read once more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from brex_sync.brex.paging import first_page, listing_of
from brex_sync.errors import PageTooHeavy, PageTooLarge
from brex_sync.sync.read import plan
from brex_sync.sync.read.reading import SyncContext
from brex_sync.sync.read.walking import span, walk_window
from brex_sync.warehouse.load import slices
from brex_sync.warehouse.load.deletions import Comparison
from brex_sync.warehouse.load.slices import Cut
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import ListLease, ListWindow, Scope, Slice

SLICES = 32
"""Into how many slices of equal length a list is cut, if it has as many pages."""
SLICES_AT_ONCE = 12
"""How many are read side by side: enough for a page every 60 ms where one takes 700."""
MEANWHILE = timedelta(hours=1)
"""How far before the slices are laid out the last of them begins, and before its watermark the
window after them: rows changed while they were read, whatever the clocks say."""
READ_AGAIN = 2
"""How often slices that rows left are read once more: what is lost then slipped past each time."""


@dataclass(frozen=True, slots=True)
class Sliced:
    """Slices read to their ends: the window that they are together, how it compares with what is
    here, and the lease with what is known of the list then."""

    lease: ListLease
    window: ListWindow
    compared: Comparison


async def read_in_slices(
    reading: SyncContext, lease: ListLease, asked: plan.Range, *, again: bool
) -> Sliced | None:
    """Reads what is asked for in slices, or goes on with those of an earlier run, unless all is to
    be read `again`.

    Returns None where that is not worth slicing.

    Raises:
        BrexError, Fenced, PostgresError: a slice could not be read to its end;
            what was committed stays and is gone on from.
    """
    cut = await _cut(reading, lease, asked, again)
    if cut is None:
        return None
    await _read_all(reading, lease, cut)
    window = await reading.warehouse.call(slices.together, lease)
    state = plan.after(lease.state, window)
    compared = await reading.warehouse.call(
        slices.close, lease, window, state, reading.run_id, reading.clock()
    )
    await reading.warehouse.call(slices.drop, lease)
    return Sliced(replace(lease, state=state), window, compared)


async def backfill_in_slices(
    reading: SyncContext, lease: ListLease, since: datetime | None
) -> bool:
    """Goes on with a backfill that was cut into slices, or begins the one asked for; False where
    there is none, or none worth slicing.

    Raises:
        BrexError, Fenced, PostgresError: as `read_in_slices`.
    """
    if not plan.can_be_sliced(reading.slice.stream):
        return False
    cut = await reading.warehouse.call(slices.laid_out, lease)
    if reading.options.backfill and (cut is None or cut.since != since):
        cut = await _lay_out(reading, lease, plan.Range(Scope.BACKFILL, since), cut)
    if cut is None:
        return False
    await _read_all(reading, lease, cut)
    window = await reading.warehouse.call(slices.together, lease)
    await reading.warehouse.call(slices.close_backfill, lease, window)
    return True


async def _cut(
    reading: SyncContext, lease: ListLease, asked: plan.Range, again: bool
) -> Cut | None:
    """The slices to read now: those left unfinished, or new ones, if any."""
    if not plan.can_be_sliced(reading.slice.stream):
        return None
    cut = await reading.warehouse.call(slices.laid_out, lease)
    backfilling = cut is not None and cut.scope is Scope.BACKFILL
    if cut is not None and not backfilling and not again:
        return cut
    if asked.scope is Scope.OVERLAP or (backfilling and asked.scope is not Scope.FULL):
        return None
    return await _lay_out(reading, lease, asked, cut)


async def _lay_out(
    reading: SyncContext, lease: ListLease, asked: plan.Range, instead_of: Cut | None
) -> Cut | None:
    """Cuts what is asked for; None where it is not worth it."""
    began = reading.clock()
    found = await _extent(reading, lease, asked.since, began)
    spans = plan.cut(found[0], began, found[1], asked.since) if found else []
    if len(spans) > 1:
        spans = plan.with_present(spans, began - MEANWHILE)
        return await reading.warehouse.call(slices.lay_out, lease, asked.scope, spans, began)
    if instead_of is not None:
        await reading.warehouse.call(slices.drop, lease)
    return None


async def _extent(
    reading: SyncContext, lease: ListLease, since: datetime | None, now: datetime
) -> tuple[datetime, int] | None:
    """Where the rows begin, and how many slices they are worth; None if that is none.

    It is known from the rows that are here, or else asked of Brex; only speed depends on it.
    """
    if lease.state.full_at is None:
        short = await _is_short(reading)
        return None if short else (await _first_month(reading, now), SLICES)
    rows, first = await reading.warehouse.call(slices.extent, lease, since)
    number = min(SLICES, rows // (reading.slice.stream.paging.limit or rows + 1))
    return None if first is None or number < 2 else (first, number)


async def _read_all(reading: SyncContext, lease: ListLease, cut: Cut) -> None:
    """Reads the slices to their ends, and those that rows left meanwhile once more."""
    await _read_unfinished(reading, lease, cut)
    for _ in range(READ_AGAIN):
        if not await reading.warehouse.call(slices.reopen_left, lease):
            return
        await _read_unfinished(reading, lease, cut)


async def _read_unfinished(reading: SyncContext, lease: ListLease, cut: Cut) -> None:
    *past, present = cut.parts
    await _side_by_side(reading, lease, past)
    await _side_by_side(reading, lease, [present])


async def _side_by_side(reading: SyncContext, lease: ListLease, parts: Sequence[Slice]) -> None:
    """Reads what is unfinished of the slices; the first fault is raised once all have ended.

    The latest come first: what was changed of late is the most, and long slices must not be last.
    """
    places = asyncio.Semaphore(SLICES_AT_ONCE)

    async def one(part: Slice) -> None:
        async with places:
            await _read(replace(reading, slice=part), lease.comparing)

    for end in await asyncio.gather(*map(one, reversed(parts)), return_exceptions=True):
        if isinstance(end, BaseException):
            raise end


async def _read(reading: SyncContext, comparing: str | None) -> None:
    lease = await reading.warehouse.call(checkpoints.open_lease, reading.slice)
    if lease.state.window is None:
        return
    await walk_window(reading, replace(lease, comparing=comparing), lease.state.window)


async def _is_short(reading: SyncContext) -> bool:
    stream = reading.slice.stream
    listing = listing_of(stream, None, {}, stream.paging.limit)
    try:
        return (await first_page(reading.client, listing, reading.meter)).next_cursor is None
    except (PageTooLarge, PageTooHeavy):
        return False


async def _first_month(reading: SyncContext, now: datetime) -> datetime:
    """The start of the first month with a row, found by halving."""
    months = plan.months(now)
    low, high = 0, len(months) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if await _any_until(reading, months[middle]):
            high = middle - 1
        else:
            low = middle
    return months[low]


async def _any_until(reading: SyncContext, moment: datetime) -> bool:
    stream = reading.slice.stream
    listing = listing_of(stream, None, span(stream, None, moment), 1)
    return bool((await first_page(reading.client, listing, reading.meter)).items)
