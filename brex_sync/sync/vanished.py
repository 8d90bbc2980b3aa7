"""Rows that are here and were not listed: gone, or only not seen? No live row is ever marked."""

import asyncio
from dataclasses import dataclass

from brex_sync.brex.errors import NotFound
from brex_sync.brex.paging import fetch_item
from brex_sync.sync import plan
from brex_sync.sync.reading import Reading
from brex_sync.sync.walking import begin_window, prepare, walk_window
from brex_sync.warehouse import deletions, load
from brex_sync.warehouse.checkpoints import Lease, Scope, Window
from brex_sync.warehouse.deletions import Comparison

LISTINGS = 3
"""How many full listings may be read to prove that missing rows are gone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last `window` that was read says of the rows it misses: which are gone for certain,
    or why that can't be told."""

    window: Window
    missing: tuple[str, ...]
    gone: tuple[str, ...] = ()
    doubt: str | None = None


async def settle(reading: Reading, lease: Lease, window: Window, compared: Comparison) -> None:
    """Marks those of the missing rows that are gone for certain, and counts the others.

    Raises:
        BrexError, Fenced, sqlalchemy.exc.SQLAlchemyError: the proof could not be had.
    """
    verdict = await _judge(reading, lease, window, compared)
    withheld = len(verdict.missing) if verdict.doubt else 0
    found = (verdict.window, reading.clock(), verdict.gone, withheld)
    await asyncio.to_thread(deletions.mark_deleted, reading.engine, lease, *found)
    report = reading.report
    report.doubt = verdict.doubt or report.doubt
    report.deleted += len(verdict.gone)
    reading.progress(report)


async def _judge(reading: Reading, lease: Lease, window: Window, compared: Comparison) -> Verdict:
    """Which of the missing rows are gone for certain, or why that can't be told."""
    missing = compared.missing
    if doubt := await _doubt(reading, window, compared):
        return Verdict(window, missing, doubt=doubt)
    if not missing:
        return Verdict(window, ())
    if reading.slice.stream.item_path is not None:
        return Verdict(window, missing, gone=await _ask_for(reading, lease, missing))
    if window.since is None and window.pages == 1:
        return Verdict(window, missing, gone=missing)
    return await _list_again(reading, lease, window, compared)


async def _doubt(reading: Reading, window: Window, compared: Comparison) -> str | None:
    """Why the missing rows must not be called deleted, if there is a reason."""
    missing = len(compared.missing)
    if not missing:
        return None
    if compared.unread:
        return (
            f"{missing} rows are missing and {compared.unread} have a key that could not be read; "
            "they may be the same"
        )
    if reading.options.accept_deletions:
        return None
    missing, held = await _of_all_lists(reading, compared)
    if not plan.shrank_too_much(missing, held):
        return None
    return (
        f"{missing} of {held} rows are missing at once, more than the guard allows; "
        "if they are really gone, run brex-sync sync --full --accept-deletions"
    )


async def _of_all_lists(reading: Reading, compared: Comparison) -> tuple[int, int]:
    """Missing and live rows of the whole stream, as far as this run has read it."""
    slice_ = reading.slice
    reading.missing[slice_.parent] = len(compared.missing)
    if slice_.stream.per is None:
        return len(compared.missing), compared.held
    held = await asyncio.to_thread(deletions.live, reading.engine, slice_)
    return sum(reading.missing.values()), held + reading.report.deleted


async def _ask_for(reading: Reading, lease: Lease, missing: tuple[str, ...]) -> tuple[str, ...]:
    """Asks for each missing row by its id; those Brex still has are stored as it shows them."""
    stream, parent = reading.slice.stream, reading.slice.parent
    gone: list[str] = []
    for key in missing:
        try:
            page = await fetch_item(reading.client, stream, key, reading.meter)
        except NotFound:
            gone.append(key)
            continue
        _, staged = prepare(stream, page, parent)
        counts = await asyncio.to_thread(load.store_item, reading.engine, lease, staged)
        reading.tell(counts)
    reading.report.requests = reading.meter.requests
    return tuple(gone)


async def _list_again(
    reading: Reading, lease: Lease, window: Window, compared: Comparison
) -> Verdict:
    """Lists all until a listing has every row the one before had: then none slipped past."""
    earlier = window if window.since is None else None
    missing = compared.missing
    everything = plan.Range(Scope.FULL, None)
    for _ in range(LISTINGS):
        begun = await begin_window(reading, lease, window.number + 1, everything, reading.clock())
        later, compared = await walk_window(reading, lease, begun)
        if doubt := await _doubt(reading, later, compared):
            return Verdict(later, compared.missing, doubt=doubt)
        if later.pages == 1:
            return Verdict(later, compared.missing, gone=compared.missing)
        if earlier is not None and await asyncio.to_thread(_stable, reading, lease, earlier, later):
            gone = tuple(set(missing) & set(compared.missing))
            return Verdict(later, compared.missing, gone=gone)
        earlier, window, missing = later, later, compared.missing
    return Verdict(window, missing, doubt="the list kept changing while it was read")


def _stable(reading: Reading, lease: Lease, earlier: Window, later: Window) -> bool:
    with reading.engine.connect() as db:
        return deletions.all_listed_again(db, lease, earlier, later)
