"""What about a connection needs a person's eye, by what its last run and its streams say. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from brex_sync.streams.declare import Stream
from brex_sync.warehouse.status.runs import LastRun, StreamStatus

MISSED = 2
"""Intervals of the schedule after which a stream that was not synced is late."""
NAMED = 3
"""How many streams a sentence names."""


def told(run: LastRun) -> str:
    """A run in a sentence: which, its kind, its state, when, and its first error."""
    span = f"{run.started_at:%Y-%m-%d %H:%M}"
    if run.finished_at is not None:
        span += f" to {run.finished_at:%Y-%m-%d %H:%M}"
    why = f". First error: {run.error}" if run.error else ""
    return f"Last run: {run.run_id} ({run.kind}) {run.state}, {span} UTC{why}"


def state_of(row: StreamStatus) -> str:
    """How a stream is, in a few words: `well`, `unavailable`, or what needs a look."""
    if row.unavailable:
        return "unavailable"
    if row.synced_at is None:
        return "never synced"
    if row.behind:
        return "a window is unfinished"
    if row.doubted:
        return f"{row.doubted} missing rows not marked as deleted"
    if row.refused:
        return f"{len(row.refused)} lists unavailable"
    return "quarantine to look at" if row.quarantined else "well"


def faults(
    rows: Iterable[tuple[Stream, StreamStatus]],
    run: LastRun | None,
    interval: timedelta,
    now: datetime,
) -> list[str]:
    """What is not well, a sentence each, with what to do; none where all is well.

    `interval` is the longest time between two ticks of the schedule. A stream is late by when the
    run that is under way began, if one is.
    """
    rows = list(rows)
    under_way = run is not None and run.state == "running"
    reference = min(now, run.started_at) if run and under_way else now
    found = [*_of_run(run)]
    readable = [(stream, row) for stream, row in rows if not row.unavailable]
    found += _named(
        [r.stream for _, r in readable if r.synced_at is None],
        "never synced: run `brex-sync sync`, or let a run that is under way end",
    )
    late = [r.stream for s, r in readable if _is_late(s, r, interval, reference)]
    found += _named(
        late,
        f"not synced for more than {MISSED} intervals of the schedule: see that `brex-sync up` or "
        "your scheduler runs, and what the last run says",
    )
    found += _named(
        [r.stream for _, r in rows if r.quarantined],
        "has rows that could not be stored: look at brex_sync.quarantine for the reasons",
    )
    found += _named(
        [r.stream for _, r in readable if r.doubted],
        "lacks rows of which it is doubted that they are deleted: later runs ask again, and "
        "`brex-sync sync --full --accept-deletions` takes them for deleted",
    )
    return found


def _of_run(run: LastRun | None) -> Iterator[str]:
    if run is not None and run.state not in ("finished", "running"):
        yield f"the last run {run.state}: the next one goes on; `brex-sync sync` starts one now"


def _is_late(stream: Stream, row: StreamStatus, interval: timedelta, now: datetime) -> bool:
    """Whether a stream is older than it may be: where lists of it rest, by so much more."""
    if row.synced_at is None:
        return False
    rest = stream.parent.refresh.max_age if stream.parent and stream.parent.refresh else timedelta()
    return now - row.synced_at > rest + MISSED * interval


def _named(streams: list[str], what: str) -> Iterator[str]:
    if streams:
        more = f" and {len(streams) - NAMED} more" if len(streams) > NAMED else ""
        yield f"{', '.join(streams[:NAMED])}{more}: {what}"
