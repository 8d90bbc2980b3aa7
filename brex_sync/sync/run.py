"""A connection brought up to date: its streams side by side, one's failure touching no other."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

import sqlalchemy as sa

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
    """One run over a connection. `connection` is its name, and so the schema it fills.

    `options` may differ by stream, through `options_of`; `progress` is told after every page;
    `tell` are the URLs to be told of changed rows.
    """

    connection: str
    client: BrexClient
    engine: sa.Engine
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
        await asyncio.to_thread(
            prepare, self.engine, self.connection, STREAMS.values(), VIEWS.values()
        )
        dead = await asyncio.to_thread(run_log.dead, self.engine, self.connection)
        await asyncio.to_thread(run_log.bury, self.engine, dead)
        with leases.shared(self.engine, leases.SYNC, self.run_id, self.lease_terms) as lease:
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
            raise LeaseLost(_TAKEN_FOR_DEAD.format(self.connection, self.run_id)) from None

    async def _noted(self, lease: Lease, streams: Sequence[Stream]) -> Report:
        """Reads the streams, with the log of runs telling of it from beginning to end.

        Of a run that was taken for dead the log tells already; another attempt may be at it.
        """
        note = (self.engine, self.run_id)
        names = [stream.name for stream in streams]
        begun = (*note, self.connection, self.kind, names, self.clock())
        await asyncio.to_thread(run_log.begin, *begun)
        state = "stopped"
        try:
            await asyncio.to_thread(refill, self.engine, self.connection)
            report = await self._side_by_side(streams)
            state = "finished" if report.finished else "failed"
        finally:
            if not lease.lost:
                run_log.finish(*note, state, self.clock())
        return report

    async def _side_by_side(self, streams: Sequence[Stream]) -> Report:
        tasks: dict[str, asyncio.Task[StreamReport]] = {}
        for stream in streams:
            parent = tasks[stream.per.stream] if stream.per else None
            tasks[stream.name] = asyncio.create_task(self._stream(stream, parent))
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
        return Report(self.connection, {name: task.result() for name, task in tasks.items()})

    async def _stream(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None
    ) -> StreamReport:
        report = StreamReport(stream.name)
        began, clock, since = self.clock(), time.monotonic(), None
        try:
            since = await asyncio.to_thread(stamp, self.engine) if self.tell else None
            await self._read(stream, parent, report)
        except PostgresError as error:
            report.error = f"the warehouse refused: {error.said}"
        except BrexSyncError as error:
            report.error = str(error)
        except Exception as error:
            log.exception("%s.%s", self.connection, stream.name)
            report.error = f"an unforeseen fault, {type(error).__name__}; the log tells where"
        report.seconds = time.monotonic() - clock
        if report.error:
            log.error("%s.%s: %s", self.connection, stream.name, report.error)
        if report.unknown:
            named = ", ".join(sorted(report.unknown))
            log.warning("%s.%s: Brex sends new fields: %s", self.connection, stream.name, named)
        self.progress(report)
        await asyncio.to_thread(self._record, report, began, self._news(report, since))
        return report

    async def _read(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None, report: StreamReport
    ) -> None:
        """Reads the stream, unless it is unavailable, which is then in the report and noted."""
        place = (self.engine, self.connection, stream.name)
        try:
            lists = await self._known_lists(stream, parent, report)
            report.synced_through = await self._lists(stream, lists, report)
            await self._conclude(stream, report)
        except StreamUnavailable as error:
            report.unavailable = str(error)
            fact = Unavailable(report.unavailable, self.clock())
            await asyncio.to_thread(unavailable.note, *place, fact, self.clock())
        else:
            await asyncio.to_thread(unavailable.forget, *place)

    async def _known_lists(
        self, stream: Stream, parent: asyncio.Task[StreamReport] | None, report: StreamReport
    ) -> list[KnownList]:
        """The lists of the stream, those of another's rows once that was read.

        Where the other may not be read, they are those of the rows that are known from before.
        """
        above = await asyncio.shield(parent) if parent is not None else None
        if above is not None and not above.finished:
            raise ParentFailed(f"not read, because {above.stream} could not be")
        place = (self.engine, self.connection, stream, self.clock())
        lists = await asyncio.to_thread(known_lists, *place)
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
                self.engine,
                Slice(self.connection, stream, known.parent),
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
        if stream.per is not None:
            place = (self.connection, stream.name)
            noting = (self.engine, place, refused, read, self.clock())
            await asyncio.to_thread(unavailable.note_lists, *noting)

    async def _conclude(self, stream: Stream, report: StreamReport) -> None:
        """Counts the missing rows, and records what differed, if the stream was compared."""
        missing = await asyncio.to_thread(self._unresolved, stream)
        report.withheld = missing.waiting + missing.doubted
        report.doubt = missing.doubt
        if missing.waiting:
            told = f"{missing.waiting} rows are missing; a later run decides whether they are gone"
            report.notices.append(told)
        options = self.options_of(stream)
        if options.compare:
            since = options.since if stream.window else None
            report.differed = await asyncio.to_thread(
                reconciliations.conclude,
                *(self.engine, self.run_id, self.connection, stream.name, since, report.withheld),
            )

    def _unresolved(self, stream: Stream) -> deletions.Unresolved:
        with self.engine.connect() as db:
            return deletions.unresolved(db, self.connection, stream.name)

    def _news(self, report: StreamReport, since: datetime | None) -> list[Notice]:
        if since is None:
            return []
        rows = (report.inserted, report.updated, report.deleted)
        change = Change(self.connection, report.stream, self.kind, *rows, since)
        return of_change(self.tell, change, self.clock())

    def _record(self, report: StreamReport, began: datetime, news: Sequence[Notice]) -> None:
        row = {
            "connection": self.connection,
            "stream": report.stream,
            "started_at": began,
            "finished_at": self.clock(),
            "state": report.state,
            "message": report.message,
            "synced_through": report.synced_through,
            **report.counts(),
        }
        try:
            run_log.finish_stream(self.engine, self.run_id, row, news)
        except PostgresError as error:
            report.error = report.error or f"the log of runs: {error.said}"
