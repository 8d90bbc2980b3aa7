"""A connection brought up to date: its streams side by side, one's failure touching no other."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.errors import (
    BrexSyncError,
    LeaseLost,
    ListUnavailable,
    ParentFailed,
    PostgresError,
    StreamUnavailable,
)
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import with_parents
from brex_sync.sync.notices import Change, of_change
from brex_sync.sync.read.reading import Clock, Options, Progress, SyncContext
from brex_sync.sync.read.together import read_lists
from brex_sync.sync.read.vanished import Listed
from brex_sync.sync.refill import refill
from brex_sync.sync.report import Report, StreamReport, through
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import clock as stamp
from brex_sync.warehouse.events.outbox import Notice
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.state import leases, reconciliations, run_log, unavailable
from brex_sync.warehouse.state.checkpoints import Slice
from brex_sync.warehouse.state.leases import TERMS, Lease, Terms
from brex_sync.warehouse.state.lists import KnownList, known_lists
from brex_sync.warehouse.state.run_log import RunKind
from brex_sync.warehouse.state.unavailable import Unavailable

log = logging.getLogger(__name__)


_TAKEN_FOR_DEAD = (
    "{}: run {} was suspended, or cut off from Postgres, for so long that it was taken for dead; "
    "what it had committed stands, and the next run goes on from there"
)


def _now() -> datetime:
    return datetime.now(UTC)


def _silent(report: StreamReport) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Sync:
    """One run over a connection, into its schema in the `warehouse`.

    `options` may differ by stream, through `options_of`; `progress` is told after every page;
    `tell` are the URLs to be told of changed rows.
    """

    client: BrexClient
    warehouse: Warehouse
    options_of: Callable[[Stream], Options] = lambda stream: Options()
    clock: Clock = _now
    progress: Progress = _silent
    run_id: str = field(default_factory=lambda: str(uuid4()))
    kind: RunKind = RunKind.MANUAL
    tell: tuple[str, ...] = ()
    lease_terms: Terms = TERMS

    async def run(self, streams: Sequence[Stream]) -> Report:
        """Syncs the streams, and those whose rows they are listed by. Faults are in the report.

        The run is in the log of runs from its beginning.

        Raises:
            TableMismatch, PostgresError: the warehouse could not be prepared.
            LeaseLost: the run was taken for dead by another process; it has stopped.
        """
        await self.warehouse.call(prepare, STREAMS.values(), VIEWS.values())
        await self.warehouse.call(run_log.interrupt_dead)
        with leases.shared(
            self.warehouse.engine, leases.SYNC, self.run_id, self.lease_terms
        ) as lease:
            return await self._while_held(lease, with_parents(streams))

    async def _while_held(self, lease: Lease, streams: Sequence[Stream]) -> Report:
        """Reads the streams, and stops once the lease is lost."""
        work = asyncio.ensure_future(self._noted(lease, streams))
        loop = asyncio.get_running_loop()
        lease.when_lost(partial(loop.call_soon_threadsafe, work.cancel))
        try:
            return await work
        except asyncio.CancelledError:
            if not lease.lost:
                raise
            raise LeaseLost(_TAKEN_FOR_DEAD.format(self.warehouse.schema, self.run_id)) from None

    async def _noted(self, lease: Lease, streams: Sequence[Stream]) -> Report:
        """Reads the streams, with the log of runs telling of it from beginning to end.

        Of a run that was taken for dead the log tells already; another attempt may be at it.
        """
        names = [stream.name for stream in streams]
        await self.warehouse.call(run_log.begin, self.run_id, self.kind, names, self.clock())
        state = "stopped"
        try:
            await self.warehouse.call(refill)
            report = await self._side_by_side(streams)
            state = "finished" if report.finished else "failed"
        finally:
            if not lease.lost:
                run_log.finish(self.warehouse, self.run_id, state, self.clock())
        return report

    async def _side_by_side(self, streams: Sequence[Stream]) -> Report:
        tasks: dict[str, asyncio.Task[StreamReport]] = {}
        for stream in streams:
            parent = tasks[stream.parent.stream] if stream.parent else None
            tasks[stream.name] = asyncio.create_task(self._stream(stream, parent))
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
        return Report(self.warehouse.schema, {name: task.result() for name, task in tasks.items()})

    async def _stream(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None
    ) -> StreamReport:
        report = StreamReport(stream.name)
        began, clock, since = self.clock(), time.monotonic(), None
        place = f"{self.warehouse.schema}.{stream.name}"
        try:
            since = await self.warehouse.call(stamp) if self.tell else None
            await self._read(stream, parent, report)
        except PostgresError as error:
            report.error = f"the warehouse refused: {error.said}"
        except BrexSyncError as error:
            report.error = str(error)
        except Exception as error:
            log.exception("%s", place)
            report.error = f"an unforeseen fault, {type(error).__name__}; the log tells where"
        report.seconds = time.monotonic() - clock
        if report.error:
            log.error("%s: %s", place, report.error)
        if report.unknown:
            named = ", ".join(sorted(report.unknown))
            log.warning("%s: Brex sends new fields: %s", place, named)
        self.progress(report)
        await self._record(report, began, self._news(report, since))
        return report

    async def _read(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None, report: StreamReport
    ) -> None:
        """Reads the stream, unless it is unavailable, which is then in the report and noted."""
        try:
            lists = await self._known_lists(stream, parent, report)
            report.synced_through = await self._lists(stream, lists, report)
            await self._conclude(stream, report)
        except StreamUnavailable as error:
            report.unavailable = str(error)
            fact = Unavailable(report.unavailable, self.clock())
            await self.warehouse.call(unavailable.note, stream.name, fact, self.clock())
        else:
            await self.warehouse.call(unavailable.forget, stream.name)

    async def _known_lists(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None, report: StreamReport
    ) -> list[KnownList]:
        """The lists of the stream, those of another's rows once that was read.

        Where the other may not be read, they are those of the rows that are known from before.
        """
        above = await asyncio.shield(parent) if parent is not None else None
        if above is not None and not above.finished:
            raise ParentFailed(f"not read, because {above.stream} could not be")
        lists = await self.warehouse.call(known_lists, stream, self.clock())
        if above is not None and above.unavailable:
            if not lists:
                raise StreamUnavailable(f"needs {above.stream}: {above.unavailable}")
            report.notices.append(f"read for the rows of {above.stream} that were known before")
        return lists

    async def _lists(
        self, stream: Stream, lists: Sequence[KnownList], report: StreamReport
    ) -> date | None:
        """Reads the stream's lists that are due, or all if everything is asked for, side by side;
        the first fault is raised once all have ended.

        Raises:
            StreamUnavailable: none of the lists may be read.
        """
        meter, options = Meter(), self.options_of(stream)
        everything = options.full or options.compare
        due = [one for one in lists if one.due or everything]
        resting = [one.through for one in lists if not (one.due or everything)]

        def reading(known: KnownList) -> SyncContext:
            return SyncContext(
                self.client,
                self.warehouse,
                Slice(self.warehouse.schema, stream, known.parent),
                options,
                self.clock,
                report,
                self.progress,
                meter,
                self.run_id,
                known.orphaned,
            )

        try:
            ends = await read_lists([reading(known) for known in due], options)
        finally:
            report.requests = meter.requests
        await self._note_refused(stream, dict(zip((one.parent for one in due), ends, strict=True)))
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, ListUnavailable):
                raise end
        refused = [str(end) for end in ends if isinstance(end, ListUnavailable)]
        if refused and len(refused) == len(lists):
            raise StreamUnavailable(refused[0])
        if refused:
            told = f"{len(refused)} of {len(lists)} lists are unavailable: {refused[0]}"
            report.notices.append(told)
        read_through = [end.window.opened_at.date() for end in ends if isinstance(end, Listed)]
        return through([*read_through, *resting]) or self.clock().date()

    async def _note_refused(
        self, stream: Stream, ends: Mapping[str | None, Listed | BaseException]
    ) -> None:
        """Records which of a stream's lists per row were refused, and which were read."""
        refused = {
            row: str(end) for row, end in ends.items() if row and isinstance(end, ListUnavailable)
        }
        read = [row for row, end in ends.items() if row and isinstance(end, Listed)]
        if stream.parent is not None:
            now = self.clock()
            await self.warehouse.call(unavailable.note_lists, stream.name, refused, read, now)

    async def _conclude(self, stream: Stream, report: StreamReport) -> None:
        """Counts the missing rows, and records what differed, if the stream was compared."""
        missing = await self.warehouse.call(deletions.unresolved, stream.name)
        report.withheld = missing.waiting + missing.doubted
        report.doubt = missing.doubt
        if missing.waiting:
            told = f"{missing.waiting} rows are missing; a later run decides whether they are gone"
            report.notices.append(told)
        options = self.options_of(stream)
        if options.compare:
            since = options.since if stream.window else None
            report.differed = await self.warehouse.call(
                reconciliations.conclude, self.run_id, stream.name, since, report.withheld
            )

    def _news(self, report: StreamReport, since: datetime | None) -> list[Notice]:
        if since is None:
            return []
        rows = (report.inserted, report.updated, report.deleted)
        change = Change(self.warehouse.schema, report.stream, self.kind, *rows, since)
        return of_change(self.tell, change, self.clock())

    async def _record(self, report: StreamReport, began: datetime, news: Sequence[Notice]) -> None:
        row = {
            "stream": report.stream,
            "started_at": began,
            "finished_at": self.clock(),
            "state": report.state,
            "message": report.message,
            "synced_through": report.synced_through,
            **report.counts(),
        }
        try:
            await self.warehouse.call(run_log.finish_stream, self.run_id, row, news)
        except PostgresError as error:
            report.error = report.error or f"the log of runs: {error.said}"
