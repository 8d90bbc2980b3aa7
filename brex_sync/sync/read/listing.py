"""One list brought up to date: what was left unfinished, and a fresh window."""

from dataclasses import replace
from datetime import datetime

from brex_sync.sync.read import plan
from brex_sync.sync.read.reading import SyncContext
from brex_sync.sync.read.slicing import MEANWHILE, backfill_in_slices, read_in_slices
from brex_sync.sync.read.vanished import Listed, first
from brex_sync.sync.read.walking import begin_window, walk_window
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import ListLease, Scope


async def sync_list(reading: SyncContext) -> Listed:
    """Brings the list up to date. Rows that are missing from it are noted, for `settle` to judge.

    An unfinished backfill is put aside, for `backfill` to resume.

    Raises:
        BrexError, Fenced, PostgresError: it could not be read to its end; what
            was committed stays and is gone on from.
    """
    lease = await reading.warehouse.call(checkpoints.open_lease, reading.slice)
    if lease.state.window is not None and lease.state.window.scope is Scope.BACKFILL:
        lease = await reading.warehouse.call(checkpoints.park, lease)
    began, options, stream = reading.clock(), reading.options, reading.slice.stream
    state, again = lease.state, options.full or options.compare
    unfinished = plan.resumable(stream, state, began, full=again)
    resumed = None
    if unfinished is not None:
        window, comparison = await walk_window(reading, lease, unfinished)
        resumed = first(lease, window, comparison)
        if stream.window is None:
            return resumed
        last = await reading.warehouse.call(checkpoints.last_number, lease)
        state = replace(plan.after(state, window), last_number=last)
    lease = replace(lease, state=state)
    span = _due(reading, lease, began)
    return await _read(
        reading, lease, span, began, resumed, again=again and state.full_at is not None
    )


async def _read(
    reading: SyncContext,
    lease: ListLease,
    span: plan.Range,
    began: datetime,
    before: Listed | None = None,
    *,
    again: bool,
) -> Listed:
    """Reads what is asked for, in slices where that is worth it, then with a window for what
    changed meanwhile. `before` is what the run has read of the list already."""
    if sliced := await read_in_slices(reading, lease, span, again=again):
        lease, read = sliced.lease, (sliced.window, sliced.compared)
        before = before.and_then(*read) if before else first(lease, *read)
        span = plan.overlap_range(reading.slice.stream, lease.state, MEANWHILE)
        if lease.comparing:
            lease = replace(lease, comparing=None)
    begun = await begin_window(reading, lease, lease.state.last_number + 1, span, began)
    read = await walk_window(reading, lease, begun)
    return before.and_then(*read) if before else first(lease, *read)


def _due(reading: SyncContext, lease: ListLease, now: datetime) -> plan.Range:
    """What is to be read of a list, by what is known of it and what was asked for."""
    stream, options = reading.slice.stream, reading.options
    if options.full:
        return plan.Range(Scope.FULL, None)
    if options.accept_deletions and lease.state.missing:
        return plan.Range(Scope.FULL, None)
    if options.compare:
        return plan.overlap_range(stream, lease.state, options.overlap)
    return plan.next_range(stream, lease.state, now, options.overlap)


async def backfill(reading: SyncContext, lease: ListLease) -> None:
    """Resumes a backfill put aside, or begins the one asked for.

    A list that was read whole for the first time needs none.

    Raises:
        BrexError, Fenced, PostgresError: as `sync_list`.
    """
    stream, options = reading.slice.stream, reading.options
    if stream.window is None or lease.state.full_at is None:
        return
    began = reading.clock()
    since = plan.range_since(stream, options.since, began).since
    if await backfill_in_slices(reading, lease, since):
        return
    window = await reading.warehouse.call(checkpoints.unpark, lease)
    if options.backfill and (window is None or window.since != since):
        number = await reading.warehouse.call(checkpoints.last_number, lease)
        span = plan.Range(Scope.BACKFILL, since)
        window = await begin_window(reading, lease, number + 1, span, began)
    if window is not None:
        await walk_window(reading, lease, window)


async def compare_list(reading: SyncContext) -> Listed:
    """Reads a list that is up to date once more, noting what differs while it is mended. Rows that
    are missing from it are noted, for `settle` to judge.

    Raises:
        BrexError, Fenced, PostgresError: as `sync_list`.
    """
    began, stream = reading.clock(), reading.slice.stream
    lease = await reading.warehouse.call(checkpoints.open_lease, reading.slice)
    lease = replace(lease, comparing=reading.run_id)
    span = plan.range_since(stream, reading.options.since, began)
    return await _read(reading, lease, span, began, again=True)
