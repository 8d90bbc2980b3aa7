"""Which part of a list to read, decided from what is known of it. Nothing here does anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.state.checkpoints import Absence, ListState, ListWindow, Scope

Moment = datetime | None

RESUMABLE = timedelta(minutes=15)
"""How old an unfinished walk through an unfiltered list may be to be continued: no staler than a
slow one. Lists with a filter are always continued, since a fresh window follows."""

CLOCKS = timedelta(hours=1)
"""How far Brex's clock and ours may be apart, at the very most."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before anyone had a Brex account."""
FOUNDED = 2017
"""The year in which Brex was."""
LATER = timedelta(minutes=5)
"""How long after a list lacked rows another run may read it again and call them gone: a bad answer
that a proxy repeats is not two answers."""
DOUBTED = timedelta(days=1)
"""How long a list is doubted that lost more than half of its rows, or all."""
GUARD_ROWS = 10
GUARD_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Range:
    """What a new window will ask for: moments from `since` on, or everything.

    Where a list is filtered by dates, `since` is the first moment of one in UTC.
    """

    scope: Scope
    since: datetime | None


def resumable(stream: Stream, state: ListState, now: datetime, *, full: bool) -> ListWindow | None:
    """The unfinished window to go on with, if there is one worth it.

    Who asks for a full listing gets one that begins now.
    """
    window = state.window
    if window is None or window.pages == 0 or full:
        return None
    fresh = now - window.opened_at <= RESUMABLE
    return window if stream.window is not None or fresh else None


def next_range(stream: Stream, state: ListState, now: datetime, overlap: timedelta | None) -> Range:
    """What to read after any unfinished window: the overlap, or more when that is due.

    `overlap` overrides the declared one.
    """
    declared = stream.window
    if declared is None or state.watermark is None or state.full_at is None:
        return Range(Scope.FULL, None)
    if now - state.full_at >= declared.full_every or missing_rows_are_due(stream, state, now):
        return Range(Scope.FULL, None)
    if state.wide_at is None or now - state.wide_at >= declared.wide_every:
        wide = max(declared.wide, declared.overlap if overlap is None else overlap)
        return Range(Scope.WIDE, _before(stream, state.watermark, wide))
    return overlap_range(stream, state, overlap)


def missing_rows_are_due(stream: Stream, state: ListState, now: datetime) -> bool:
    """Whether a list is to be read whole to learn whether rows that it lacked are gone.

    It is once they may be called so, and then once a day. Rows that can be asked for one by one
    need it only where that did not settle it.
    """
    return any(_to_be_judged_at(stream, rows) <= now for rows in state.missing)


def _to_be_judged_at(stream: Stream, rows: Absence) -> datetime:
    wait = LATER if stream.item_path is None else DOUBTED
    first = rows.since + wait
    return first if rows.judged_at is None or rows.judged_at < first else rows.judged_at + DOUBTED


def overlap_range(stream: Stream, state: ListState, overlap: timedelta | None) -> Range:
    """What brings a list up to date, whatever more may be due."""
    declared = stream.window
    if declared is None or state.watermark is None or state.full_at is None:
        return Range(Scope.FULL, None)
    overlap = declared.overlap if overlap is None else overlap
    return Range(Scope.OVERLAP, _before(stream, state.watermark, overlap))


def range_since(stream: Stream, since: date | None, now: datetime) -> Range:
    """What to read from a date (UTC) on; all for None, and of a list that has no time filter."""
    declared = stream.window
    if declared is None or since is None:
        return Range(Scope.FULL, None)
    start = datetime.combine(since, time(), UTC)
    wide = start <= _before(stream, now, declared.wide)
    return Range(Scope.WIDE if wide else Scope.OVERLAP, _before(stream, start, timedelta()))


def watermark(old: datetime | None, newest: datetime | None, began: datetime) -> datetime | None:
    """The watermark after a window that began at `began` and saw moments up to `newest`.

    It never goes back, and a moment in the future cannot drag it along.
    """
    reached = None if newest is None else min(newest, began)
    return max((d for d in (old, reached) if d is not None), default=None)


def can_be_sliced(stream: Stream) -> bool:
    """Whether a long read can be cut into slices of time.

    A row that moves from one to another can be missed by all, so rows must be there to be asked
    for one by one.
    """
    return bool(stream.window and stream.window.until and stream.item_path)


def months(now: datetime) -> list[datetime]:
    """The starts of all months since Brex was founded, the current one last."""
    ends = now.year * 12 + now.month
    return [datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in range(FOUNDED * 12, ends)]


def cut(
    first: datetime, last: datetime, number: int, since: Moment = None
) -> list[tuple[Moment, Moment]]:
    """Slices of equal length that together are all of time from `since` on; they meet in whole
    seconds.

    The last has no end: `first` and `last` only say where rows lie. Nothing is cut before EARLIEST:
    a row dated so is an odd one.
    """
    first = max(first, EARLIEST)
    step = max((last - first) / number, timedelta(days=1))
    parts = max(1, min(number, (last - first) // step))
    inner = [(first + step * n).replace(microsecond=0) for n in range(1, parts)]
    return list(pairwise([since, *inner, None]))


def with_present(
    spans: list[tuple[Moment, Moment]], moment: datetime
) -> list[tuple[Moment, Moment]]:
    """The same time, with all that comes from `moment` on in a last slice of its own."""
    moment = moment.replace(microsecond=0)
    return [*spans[:-1], (spans[-1][0], moment), (moment, None)]


def after(state: ListState, window: ListWindow) -> ListState:
    """What is known of a list once `window` is closed."""
    began = window.opened_at
    return replace(
        state,
        watermark=watermark(state.watermark, window.newest, began),
        wide_at=state.wide_at if window.scope is Scope.OVERLAP else began,
        full_at=began if window.scope is Scope.FULL else state.full_at,
        last_number=window.number,
        window=None,
    )


def lost_half(missing: int, held: int) -> bool:
    """Whether a list lacks more than half of the rows that are here, or all of them."""
    return 2 * missing > held


def shrank_too_much(missing: int, held: int) -> bool:
    """Whether so many rows are missing that the list, not the rows, is to be doubted."""
    return missing > GUARD_ROWS and missing > GUARD_SHARE * held


def smaller_page(limit: int | None, numbers: Sequence[int] = ()) -> int | None:
    """The page size to ask for after one of `limit` was refused or too heavy; None if none is
    smaller.

    It is the largest of Brex's `numbers` that is smaller, as the prose may have others ("between 1
    and 100"), or else half of what was asked for.
    """
    if limit is None or limit <= 1:
        return None
    return max((number for number in numbers if 1 < number < limit), default=limit // 2)


def _before(stream: Stream, moment: datetime, span: timedelta) -> datetime:
    """The moment, less `span`, as the stream's filter can say it, and no later than that.

    Filters know days or seconds; what a strict one is given it leaves out.
    """
    since = moment - span if moment - EARLIEST > span else EARLIEST
    if stream.window_kind is Kind.DATE:
        return since.replace(hour=0, minute=0, second=0, microsecond=0)
    strict = stream.window is not None and stream.window.strict
    return since.replace(microsecond=0) - timedelta(seconds=strict)
