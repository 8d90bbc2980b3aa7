"""One window read to its end: fetched, normalised and loaded side by side."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from brex_sync.brex.paging import SMALL_PAGE, first_page, listing_of, walk
from brex_sync.brex.strict_json import Page
from brex_sync.errors import (
    BrexError,
    CursorRefused,
    LoopingCursor,
    PageTooHeavy,
    PageTooLarge,
    RateLimited,
    Transient,
)
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Stream
from brex_sync.sync.normalise.items import Frame, Rejected, normalise
from brex_sync.sync.read import plan
from brex_sync.sync.read.batches import in_batches
from brex_sync.sync.read.reading import SyncContext
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.load import commit as load
from brex_sync.warehouse.load import deletions, snapshots
from brex_sync.warehouse.load.deletions import Comparison
from brex_sync.warehouse.load.staged import Reject, Staged, together
from brex_sync.warehouse.load.staging import plain, stage, stage_child
from brex_sync.warehouse.state import checkpoints, page_sizes
from brex_sync.warehouse.state.checkpoints import ListLease, ListWindow, Scope

log = logging.getLogger(__name__)

RESTARTS = 3
"""How often one window may begin again because Brex refused its cursor, or rows moved on."""
WALKS = 3
"""How often a list is walked at most because rows moved on in it: what is lost then slipped past
each time."""
PAGES_AHEAD = 16
"""Pages that may wait while others are committed, and so the most that one commit takes."""


class MovedOn(Exception):
    """A row that was listed came again, later in time: those behind it moved up by one."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page ready to be committed, and where the walk stands after it.

    `part` and `cursor` tell the next page, `last` that there is none; `newest` is the latest moment
    in it, `edited` are rows and their moments where an edit may have put them since the window was
    opened, `cleaned` and `unknown` what was noticed on the way.
    """

    staged: Staged
    part: int
    cursor: str | None
    last: bool
    newest: datetime | None
    edited: Mapping[str, datetime]
    cleaned: int
    unknown: frozenset[str]


async def begin_window(
    reading: SyncContext, lease: ListLease, number: int, span: plan.Range, opened_at: datetime
) -> ListWindow:
    """Starts a walk from the first page, in pages as large as the stream's.

    Raises:
        Fenced: another run has taken the list over.
    """
    limit = reading.slice.stream.paging.limit
    window = ListWindow(number, span.scope, span.since, opened_at, limit)
    return await reading.warehouse.call(checkpoints.begin_window, lease, window)


async def walk_window(
    reading: SyncContext, lease: ListLease, window: ListWindow
) -> tuple[ListWindow, Comparison]:
    """Walks a window to its end; it begins again where Brex refuses its cursor or its page size,
    where a page is too heavy, and where rows moved on in the list.

    Raises:
        BrexError, Fenced, PostgresError: it could not be read to its end; what
            was committed stays and is resumed from.
    """
    window = await _sized(reading, window)
    saved, walks, restarts = window.cursor, 1, 0
    while True:
        watchful = walks < WALKS and restarts < RESTARTS
        try:
            return await _walk_once(reading, lease, window, watchful=watchful)
        except MovedOn:
            again = window.anew(window.limit)
            walks, restarts = walks + 1, restarts + 1
        except CursorRefused as error:
            if restarts >= RESTARTS:
                raise
            log.warning("%s; reading the window again from its start", error)
            again = window.anew(window.limit)
            restarts += 1
        except (Transient, LoopingCursor) as error:
            if saved is None or not await _is_stuck(reading, lease, saved, error):
                raise
            log.warning("%s, at the place where an earlier run ended; reading it again", error)
            saved, again = None, window.anew(window.limit)
        except (PageTooLarge, PageTooHeavy) as error:
            again = await _in_smaller_pages(reading, window, error)
        window = await reading.warehouse.call(checkpoints.begin_window, lease, again)


async def _is_stuck(reading: SyncContext, lease: ListLease, saved: str, error: BrexError) -> bool:
    """Whether the page that an earlier run would have read next cannot be read, while the list can:
    then its cursor is no longer good, in whatever words that is said.
    """
    now = await reading.warehouse.call(checkpoints.unfinished, lease)
    if isinstance(error, RateLimited) or now is None or now.cursor != saved:
        return False
    stream = reading.slice.stream
    filters = {**span(stream, now.since, now.until), **(stream.extra_filters if now.part else {})}
    limit = now.limit and min(now.limit, SMALL_PAGE)
    listing = listing_of(stream, reading.slice.parent, filters, limit)
    try:
        await first_page(reading.client, listing, reading.meter)
    except BrexError:
        return False
    return True


async def _sized(reading: SyncContext, window: ListWindow) -> ListWindow:
    """A window that is not begun, in pages of the size known to be good for its list."""
    stream = reading.slice.stream
    if window.pages or window.limit is None:
        return window
    known = await reading.warehouse.call(page_sizes.known, stream.name, reading.clock())
    return replace(window, limit=min(window.limit, known or window.limit))


async def _in_smaller_pages(
    reading: SyncContext, window: ListWindow, error: PageTooLarge | PageTooHeavy
) -> ListWindow:
    """The window from its first page, in smaller pages, whose size is remembered for the list.

    The cursor is given up: Brex's cursors contain a page size, and which of two counts is not said.

    Raises:
        PageTooLarge, PageTooHeavy: there are no smaller ones.
    """
    numbers = error.numbers if isinstance(error, PageTooLarge) else ()
    limit = plan.smaller_page(window.limit, numbers)
    if limit is None:
        raise error
    log.warning("%s; reading the window again in pages of %d", error, limit)
    name = reading.slice.stream.name
    await reading.warehouse.call(page_sizes.remember, name, limit, reading.clock())
    return window.anew(limit)


async def _walk_once(
    reading: SyncContext, lease: ListLease, window: ListWindow, *, watchful: bool
) -> tuple[ListWindow, Comparison]:
    comparisons: list[Comparison] = []

    def finish(db: sa.Connection, closing: ListWindow) -> None:
        comparisons.append(_close(db, lease, closing, reading))

    async with aclosing(in_batches(_arrivals(reading, window), PAGES_AHEAD)) as batches:
        async for batch in batches:
            if (
                watchful
                and any(arrival.edited for arrival in batch)
                and await reading.warehouse.call(_moved_on, lease, window, batch)
            ):
                raise MovedOn
            after = await reading.warehouse.call(
                load.commit_pages,
                lease,
                _after(window, batch),
                together([arrival.staged for arrival in batch]),
                finish if batch[-1].last else None,
            )
            for arrival in batch:
                reading.report.cleaned += arrival.cleaned
                reading.report.misfits += len(arrival.staged.misfits)
                reading.report.unknown |= arrival.unknown
            reading.tell(after.counts - window.counts)
            window = after
    return window, comparisons[-1]


async def _arrivals(reading: SyncContext, window: ListWindow) -> AsyncGenerator[Arrival, None]:
    """The window's remaining pages, ready to be committed."""
    stream = reading.slice.stream
    parts = 2 if stream.extra_filters else 1
    cursor = window.cursor
    for part in range(window.part, parts):
        filters = {
            **span(stream, window.since, window.until),
            **(stream.extra_filters if part else {}),
        }
        listing = listing_of(
            stream, reading.slice.parent, filters, window.limit, orphaned=reading.orphaned
        )
        async with aclosing(walk(reading.client, listing, reading.meter, cursor)) as pages:
            async for page in pages:
                frame, staged = await asyncio.to_thread(prepare, stream, page, reading.slice.parent)
                ended = page.next_cursor is None
                yield Arrival(
                    staged,
                    part + ended,
                    page.next_cursor,
                    ended and part == parts - 1,
                    frame.newest,
                    _edited(stream, frame, staged.keys, window),
                    page.cleaned,
                    frame.unknown,
                )
        cursor = None


def prepare(stream: Stream, page: Page, parent: str | None) -> tuple[Frame, Staged]:
    """A page normalised, and made ready to be committed."""
    frame = normalise(stream, page.items, parent)
    children = [stage_child(c.child, c.rows, c.owners, c.spared) for c in frame.children]
    quarantined = _rejects(frame.rejected), _rejects(frame.misfits)
    return frame, stage(stream, frame.rows, quarantined[0], children, quarantined[1])


def _rejects(found: Sequence[Rejected]) -> list[Reject]:
    return [Reject(r.key, r.reason, r.raw, r.field) for r in found]


def span(stream: Stream, since: datetime | None, until: datetime | None) -> dict[str, str]:
    """The filter that asks for moments between two, both included; None is without a bound."""
    if stream.window is None:
        return {}
    asked = {stream.window.param: since, stream.window.until: until}
    return {
        param: moment.strftime(stream.window.format)
        for param, moment in asked.items()
        if param is not None and moment is not None
    }


def _edited(
    stream: Stream, frame: Frame, keys: Sequence[str], window: ListWindow
) -> dict[str, datetime]:
    """The rows of a page, and their moments, that may have got them since the window was opened."""
    since = window.opened_at - plan.CLOCKS
    if stream.window is None or stream.window_kind is not Kind.TIMESTAMP:
        return {}
    if frame.newest is None or frame.newest < since:
        return {}
    moments = zip(keys, plain(frame.rows[stream.window.column]), strict=True)
    return {key: at for key, at in moments if at is not None and at >= since}


def _moved_on(
    warehouse: Warehouse, lease: ListLease, window: ListWindow, batch: Sequence[Arrival]
) -> bool:
    """Whether a row of these pages was listed before and now lies after all that was.

    Only in a list with the newest last does a row come again so. In one with the newest first,
    rows come twice because others were put before them, and none slips past.
    """
    listed: set[str] = set()
    later: list[str] = []
    newest = window.newest
    for arrival in batch:
        moved = [key for key, at in arrival.edited.items() if newest is None or at > newest]
        if not listed.isdisjoint(moved):
            return True
        later += moved
        listed.update(arrival.staged.keys)
        newest = max((m for m in (newest, arrival.newest) if m), default=None)
    if not later or window.pages == 0:
        return False
    return deletions.listed_any(warehouse, lease, window, later)


def _after(window: ListWindow, batch: Sequence[Arrival]) -> ListWindow:
    """The window as it stands once these pages are committed."""
    seen = [a.newest for a in batch if a.newest is not None]
    return replace(
        window,
        part=batch[-1].part,
        cursor=batch[-1].cursor,
        pages=window.pages + len(batch),
        newest=max((*seen, *([window.newest] if window.newest else [])), default=None),
    )


def _close(
    db: sa.Connection, lease: ListLease, window: ListWindow, reading: SyncContext
) -> Comparison:
    """Ends the window in the transaction of its last page.

    Neither a backfill nor a slice tells which rows are missing.
    """
    now = reading.clock()
    compared = Comparison(0, 0, 0)
    if window.scope is Scope.BACKFILL:
        deletions.release_quarantine(db, lease, window)
        checkpoints.close_backfill(db, lease, window)
        return compared
    if not lease.slice.span:
        compared = deletions.compare(db, lease, window, reading.run_id, now)
        snapshots.take(db, lease, now)
    deletions.release_quarantine(db, lease, window)
    checkpoints.close(
        db,
        lease,
        window,
        watermark=plan.watermark(lease.state.watermark, window.newest, window.opened_at),
        listed=compared.listed,
        held=compared.held - compared.missing,
        now=now,
    )
    return compared
