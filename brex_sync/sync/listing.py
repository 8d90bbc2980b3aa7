"""One list brought up to date: windows walked page by page, then what vanished from it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.errors import CursorRefused, NotFound, PageTooLarge
from brex_sync.brex.paging import Listing, fetch_item, list_path, walk
from brex_sync.brex.strict_json import Page
from brex_sync.streams.declare import Stream
from brex_sync.sync import plan
from brex_sync.sync.normalise import Frame, normalise
from brex_sync.sync.report import StreamReport
from brex_sync.warehouse import checkpoints, deletions, load
from brex_sync.warehouse.checkpoints import Lease, Scope, Slice, Window
from brex_sync.warehouse.deletions import Comparison
from brex_sync.warehouse.load import Reject, Staged

log = logging.getLogger(__name__)

RESTARTS = 3
"""How often one window may begin anew because Brex refused its cursor or its page size."""
LISTINGS = 3
"""How many full listings may be read to prove that missing rows are gone."""

Clock = Callable[[], datetime]
Progress = Callable[[StreamReport], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How far back to read: `full` from the beginning, `overlap` in place of the declared one.

    `accept_deletions` marks missing rows as deleted however many they are.
    """

    full: bool = False
    overlap: timedelta | None = None
    accept_deletions: bool = False


@dataclass(slots=True)
class ListSync:
    """Brings one list of one connection up to date; `report` is added to as pages land."""

    client: BrexClient
    engine: sa.Engine
    slice: Slice
    options: Options
    clock: Clock
    report: StreamReport
    progress: Progress
    meter: Meter

    async def run(self) -> date:
        """Reads the list and returns the UTC date through which it is known.

        Raises:
            BrexError, Fenced, sqlalchemy.exc.SQLAlchemyError: it could not be read to its end;
                what was committed stays and is gone on from.
        """
        began = self.clock()
        lease = await asyncio.to_thread(checkpoints.open_lease, self.engine, self.slice)
        state = lease.state
        number = state.last_number
        stream = self.slice.stream
        unfinished = plan.resumable(stream, state, began, full=self.options.full)
        if unfinished is not None:
            window, comparison = await self._walk(lease, unfinished)
            number = window.number
            state = plan.after(state, window)
            if stream.window is None:
                await self._settle(lease, window, comparison)
                return window.opened_at.date()
        span = plan.next_range(stream, state, began, self.options.overlap)
        if self.options.full:
            span = plan.Range(Scope.FULL, None)
        lease = replace(lease, state=state)
        window, comparison = await self._walk(
            lease, await self._begin(lease, number + 1, span, began)
        )
        await self._settle(lease, window, comparison)
        return window.opened_at.date()

    async def _begin(
        self, lease: Lease, number: int, span: plan.Range, opened_at: datetime
    ) -> Window:
        return await asyncio.to_thread(
            checkpoints.begin_window,
            self.engine,
            lease,
            number=number,
            scope=span.scope,
            since=span.since,
            opened_at=opened_at,
            limit=self.slice.stream.paging.limit,
        )

    async def _walk(self, lease: Lease, window: Window) -> tuple[Window, Comparison]:
        """Walks a window to its end; a refused cursor or page size begins the same window anew."""
        for _ in range(RESTARTS):
            try:
                return await self._walk_once(lease, window)
            except CursorRefused as error:
                log.warning("%s; reading the window again from its start", error)
                limit = window.limit
            except PageTooLarge as error:
                limit = plan.smaller_page(window.limit, error.allowed)
                if limit is None:
                    raise
                log.warning("%s; going on with pages of %d", error, limit)
            window = await self._restart(lease, window, limit)
        return await self._walk_once(lease, window)

    async def _restart(self, lease: Lease, window: Window, limit: int | None) -> Window:
        return await asyncio.to_thread(
            checkpoints.begin_window,
            self.engine,
            lease,
            number=window.number + 1,
            scope=window.scope,
            since=window.since,
            opened_at=window.opened_at,
            limit=limit,
        )

    async def _walk_once(self, lease: Lease, window: Window) -> tuple[Window, Comparison]:
        comparisons: list[Comparison] = []

        def finish(db: sa.Connection, closing: Window) -> None:
            compared = deletions.compare(db, lease, closing)
            deletions.release_quarantine(db, lease, closing)
            comparisons.append(compared)
            checkpoints.close(
                db,
                lease,
                closing,
                watermark=plan.watermark(lease.state.watermark, closing.newest, closing.opened_at),
                listed=compared.listed,
                held=compared.held,
                now=self.clock(),
            )

        loading: asyncio.Task[Window] | None = None
        try:
            async for page, part, last in self._pages(window):
                frame = await asyncio.to_thread(
                    normalise, self.slice.stream, page.items, self.slice.parent
                )
                if loading is not None:
                    window = await loading
                window = _after(window, page, part, frame)
                loading = asyncio.create_task(
                    self._load(lease, window, page, frame, finish if last else None)
                )
        except BaseException:
            if loading is not None:
                await asyncio.wait([loading])
            raise
        if loading is None:
            raise AssertionError("a list has at least one page")
        return await loading, comparisons[-1]

    async def _pages(self, window: Window) -> AsyncIterator[tuple[Page, int, bool]]:
        """The window's remaining pages, each with its part and whether it is the last of all."""
        stream = self.slice.stream
        parts = 2 if stream.hidden else 1
        cursor = window.cursor
        for part in range(window.part, parts):
            listing = Listing(
                list_path(stream, self.slice.parent),
                {**_since(stream, window.since), **(stream.hidden if part else {})},
                window.limit,
                stream.paging.envelope,
            )
            async for page in walk(self.client, listing, self.meter, cursor):
                ended = page.next_cursor is None
                yield page, part + (1 if ended else 0), ended and part == parts - 1
            cursor = None

    async def _load(
        self,
        lease: Lease,
        window: Window,
        page: Page,
        frame: Frame,
        finish: Callable[[sa.Connection, Window], None] | None,
    ) -> Window:
        before = window.counts
        staged = await asyncio.to_thread(_stage, frame)
        after = await asyncio.to_thread(
            load.commit_page, self.engine, lease, window, staged, finish
        )
        report = self.report
        report.fetched += after.counts.fetched - before.fetched
        report.inserted += after.counts.inserted - before.inserted
        report.updated += after.counts.updated - before.updated
        report.quarantined += after.counts.quarantined - before.quarantined
        report.cleaned += page.cleaned
        report.unknown |= frame.unknown
        report.requests = self.meter.requests
        self.progress(report)
        return after

    async def _settle(self, lease: Lease, window: Window, compared: Comparison) -> None:
        """Deals with the rows that are here and were not listed. No live row is ever marked."""
        gone: tuple[str, ...] = ()
        doubt = self._doubt(window, compared)
        if compared.missing and doubt is None:
            gone, doubt = await self._confirm(lease, window, compared)
        withheld = len(compared.missing) if doubt else 0
        await asyncio.to_thread(deletions.mark_deleted, self.engine, lease, gone, withheld)
        self.report.doubt = doubt or self.report.doubt
        self.report.withheld += withheld
        self.report.deleted += len(gone)
        self.progress(self.report)

    def _doubt(self, window: Window, compared: Comparison) -> str | None:
        """Why the missing rows must not be called deleted, if there is a reason."""
        missing = len(compared.missing)
        if missing and window.counts.quarantined:
            return (
                f"{missing} rows are missing and {window.counts.quarantined} could not be read; "
                "they may be the same"
            )
        if self.options.accept_deletions or not plan.shrank_too_much(missing, compared.held):
            return None
        return (
            f"{missing} of {compared.held} rows are missing at once, more than the guard allows; "
            "if they are really gone, run brex-sync sync --full --accept-deletions"
        )

    async def _confirm(
        self, lease: Lease, window: Window, compared: Comparison
    ) -> tuple[tuple[str, ...], str | None]:
        """Which of the missing rows are gone for certain, or why that can't be told."""
        if self.slice.stream.item_path is not None:
            return await self._ask_for(lease, compared.missing), None
        if window.since is None and window.pages == 1:
            return compared.missing, None
        return await self._list_again(lease, window, compared)

    async def _ask_for(self, lease: Lease, missing: tuple[str, ...]) -> tuple[str, ...]:
        """Asks for each missing row by its id; those Brex still has are stored as it shows them."""
        gone: list[str] = []
        for key in missing:
            try:
                page = await fetch_item(self.client, self.slice.stream, key, self.meter)
            except NotFound:
                gone.append(key)
                continue
            frame = normalise(self.slice.stream, page.items, self.slice.parent)
            counts = await asyncio.to_thread(load.store_item, self.engine, lease, _stage(frame))
            self.report.fetched += 1
            self.report.updated += counts.updated
        self.report.requests = self.meter.requests
        return tuple(gone)

    async def _list_again(
        self, lease: Lease, window: Window, compared: Comparison
    ) -> tuple[tuple[str, ...], str | None]:
        """Lists all until a listing has every row the one before had: then none slipped past."""
        earlier = window if window.since is None else None
        missing = compared.missing
        for _ in range(LISTINGS):
            later, compared = await self._walk(
                lease,
                await self._begin(
                    lease, window.number + 1, plan.Range(Scope.FULL, None), self.clock()
                ),
            )
            if doubt := self._doubt(later, compared):
                return (), doubt
            if later.pages == 1:
                return compared.missing, None
            if earlier is not None and await asyncio.to_thread(self._stable, lease, earlier, later):
                return tuple(set(missing) & set(compared.missing)), None
            earlier, window, missing = later, later, compared.missing
        return (), "the list kept changing while it was read"

    def _stable(self, lease: Lease, earlier: Window, later: Window) -> bool:
        with self.engine.connect() as db:
            return deletions.all_listed_again(db, lease, earlier, later)


def _since(stream: Stream, since: date | None) -> dict[str, str]:
    if stream.window is None or since is None:
        return {}
    return {stream.window.param: since.strftime(stream.window.format)}


def _after(window: Window, page: Page, part: int, frame: Frame) -> Window:
    """The window as it stands once this page is committed."""
    seen = [d for d in (window.newest, frame.newest) if d is not None]
    return replace(
        window,
        part=part,
        cursor=page.next_cursor,
        pages=window.pages + 1,
        newest=max(seen, default=None),
    )


def _stage(frame: Frame) -> Staged:
    rejects = tuple(Reject(r.key, r.reason, r.raw) for r in frame.rejected)
    return Staged(load.to_rows(frame.rows), rejects, frame.newest)
