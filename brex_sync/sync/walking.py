"""One window read to its end: fetched, normalised and loaded side by side."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from brex_sync.brex.errors import CursorRefused, PageTooLarge
from brex_sync.brex.paging import listing_of, walk
from brex_sync.brex.strict_json import Page
from brex_sync.streams.declare import Stream
from brex_sync.sync import plan
from brex_sync.sync.batches import in_batches
from brex_sync.sync.normalise import Frame, normalise
from brex_sync.sync.reading import Reading
from brex_sync.warehouse import checkpoints, deletions, load, snapshots
from brex_sync.warehouse.checkpoints import Lease, Scope, Window
from brex_sync.warehouse.deletions import Comparison
from brex_sync.warehouse.staging import Reject, Staged, stage, stage_child, together

log = logging.getLogger(__name__)

RESTARTS = 3
"""How often one window may begin anew because Brex refused its cursor or its page size."""
PAGES_AHEAD = 16
"""Pages that may wait while others are committed, and so the most that one commit takes."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A page ready to be committed, and where the walk stands after it.

    `part` and `cursor` tell the next page, `last` that there is none; `newest` is the latest moment
    in it, `cleaned` and `unknown` what was noticed on the way.
    """

    staged: Staged
    part: int
    cursor: str | None
    last: bool
    newest: datetime | None
    cleaned: int
    unknown: frozenset[str]


async def begin_window(
    reading: Reading, lease: Lease, number: int, span: plan.Range, opened_at: datetime
) -> Window:
    """Starts a walk from the first page, in pages as large as the stream's.

    Raises:
        Fenced: another run has taken the list over.
    """
    return await asyncio.to_thread(
        checkpoints.begin_window,
        reading.engine,
        lease,
        Window(number, span.scope, span.since, opened_at, reading.slice.stream.paging.limit),
    )


async def walk_window(reading: Reading, lease: Lease, window: Window) -> tuple[Window, Comparison]:
    """Walks a window to its end; a refused cursor or page size begins the same window anew.

    Raises:
        BrexError, Fenced, sqlalchemy.exc.SQLAlchemyError: it could not be read to its end; what
            was committed stays and is gone on from.
    """
    for _ in range(RESTARTS):
        try:
            return await _walk_once(reading, lease, window)
        except CursorRefused as error:
            log.warning("%s; reading the window again from its start", error)
            limit = window.limit
        except PageTooLarge as error:
            limit = plan.smaller_page(window.limit, error.allowed)
            if limit is None:
                raise
            log.warning("%s; going on with pages of %d", error, limit)
        again = window.anew(limit)
        window = await asyncio.to_thread(checkpoints.begin_window, reading.engine, lease, again)
    return await _walk_once(reading, lease, window)


async def _walk_once(reading: Reading, lease: Lease, window: Window) -> tuple[Window, Comparison]:
    comparisons: list[Comparison] = []

    def finish(db: sa.Connection, closing: Window) -> None:
        comparisons.append(_close(db, lease, closing, reading.clock()))

    async with aclosing(in_batches(_arrivals(reading, window), PAGES_AHEAD)) as batches:
        async for batch in batches:
            after = await asyncio.to_thread(
                load.commit_pages,
                reading.engine,
                lease,
                _after(window, batch),
                together([arrival.staged for arrival in batch]),
                finish if batch[-1].last else None,
            )
            for arrival in batch:
                reading.report.cleaned += arrival.cleaned
                reading.report.unknown |= arrival.unknown
            reading.tell(after.counts - window.counts)
            window = after
    return window, comparisons[-1]


async def _arrivals(reading: Reading, window: Window) -> AsyncGenerator[Arrival, None]:
    """The window's remaining pages, ready to be committed."""
    stream = reading.slice.stream
    parts = 2 if stream.hidden else 1
    cursor = window.cursor
    for part in range(window.part, parts):
        filters = {**span(stream, window.since, window.until), **(stream.hidden if part else {})}
        listing = listing_of(stream, reading.slice.parent, filters, window.limit)
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
                    page.cleaned,
                    frame.unknown,
                )
        cursor = None


def prepare(stream: Stream, page: Page, parent: str | None) -> tuple[Frame, Staged]:
    """A page normalised, and made ready to be committed."""
    frame = normalise(stream, page.items, parent)
    rejects = [Reject(r.key, r.reason, r.raw) for r in frame.rejected]
    children = [stage_child(c.child, c.rows, c.owners) for c in frame.children]
    return frame, stage(stream, frame.rows, rejects, children)


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


def _after(window: Window, batch: Sequence[Arrival]) -> Window:
    """The window as it stands once these pages are committed."""
    seen = [a.newest for a in batch if a.newest is not None]
    return replace(
        window,
        part=batch[-1].part,
        cursor=batch[-1].cursor,
        pages=window.pages + len(batch),
        newest=max((*seen, *([window.newest] if window.newest else [])), default=None),
    )


def _close(db: sa.Connection, lease: Lease, window: Window, now: datetime) -> Comparison:
    """Ends the window in the transaction of its last page; a backfill proves no deletion."""
    if window.scope is Scope.BACKFILL:
        deletions.release_quarantine(db, lease, window)
        checkpoints.close_backfill(db, lease, window)
        return Comparison(0, 0, ())
    compared = deletions.compare(db, lease, window)
    deletions.release_quarantine(db, lease, window)
    snapshots.take(db, lease, compared.missing, now)
    checkpoints.close(
        db,
        lease,
        window,
        watermark=plan.watermark(lease.state.watermark, window.newest, window.opened_at),
        listed=compared.listed,
        held=compared.held,
        missing=len(compared.missing),
        now=now,
    )
    return compared
