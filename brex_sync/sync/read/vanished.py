"""Rows that are here and were not listed: gone, or only not seen? No live row is ever marked.

A read notes the rows that it missed. They are judged once all lists of the stream are read, by what
this run and earlier ones have seen.
"""

from dataclasses import dataclass

from brex_sync.brex.paging import fetch_item
from brex_sync.errors import CredentialRefused, NotFound, Refused
from brex_sync.sync.read import plan
from brex_sync.sync.read.reading import SyncContext
from brex_sync.sync.read.walking import begin_window, prepare, walk_window
from brex_sync.warehouse.load import commit as load
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.load.deletions import Comparison
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import ListLease, ListWindow, Scope

LISTINGS = 2
"""How many more full listings may be read to show that no row slipped past between two pages."""
ASKED_FOR = 1000
"""How many rows of a list one run asks for by their ids; the others wait for the next."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a run has read of a list: the last window, the last that was of the whole list, whether
    one of them lost half of the rows that are here, and how many rows had a key that could not be
    read.
    """

    lease: ListLease
    window: ListWindow
    full: ListWindow | None = None
    halved: bool = False
    unread: int = 0

    def and_then(self, window: ListWindow, compared: Comparison) -> "Listed":
        """The same, after one more window."""
        return Listed(
            self.lease,
            window,
            window if window.scope is Scope.FULL else self.full,
            self.halved or plan.lost_half(compared.missing, compared.held),
            max(self.unread, compared.unread),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which missing rows are gone for certain, and why the others are doubted; without a `doubt`
    they wait for a later run. It is not `final` where the next run is to judge them again at once.
    """

    gone: tuple[str, ...] = ()
    doubt: str | None = None
    final: bool = True


def first(lease: ListLease, window: ListWindow, compared: Comparison) -> Listed:
    """What a run has read of a list after its first window."""
    return Listed(lease, window).and_then(window, compared)


async def settle(reading: SyncContext, listed: Listed) -> Listed:
    """Marks those of a list's missing rows that are gone for certain; says why the others are not.

    Raises:
        BrexError, Fenced, PostgresError: the proof could not be had.
    """
    verdict = await _judge(reading, listed)
    judged_at = listed.full.opened_at if listed.full and verdict.final else None
    await reading.warehouse.call(
        deletions.settle, listed.lease, verdict.gone, verdict.doubt, judged_at
    )
    reading.report.deleted += len(verdict.gone)
    reading.progress(reading.report)
    return listed


async def _judge(reading: SyncContext, listed: Listed) -> Verdict:
    missing = await reading.warehouse.call(deletions.missing, listed.lease)
    if not missing.rows:
        return Verdict()
    if doubt := _doubt(reading, listed, missing):
        return Verdict(doubt=doubt)
    if reading.orphaned:
        return Verdict(await _keys(reading, listed))
    if reading.slice.stream.item_path is not None:
        return await _ask_for(reading, listed)
    return await _by_another_listing(reading, listed)


def _doubt(reading: SyncContext, listed: Listed, missing: deletions.Missing) -> str | None:
    """Why none of the missing rows must be called deleted, if there is a reason."""
    if listed.unread:
        return (
            f"{missing.rows} rows are missing and {listed.unread} have a key that could not be "
            "read; they may be the same"
        )
    if reading.options.accept_deletions:
        return None
    if not plan.shrank_too_much(missing.of_stream, missing.live):
        return None
    return (
        f"{missing.of_stream} of {missing.live} rows are missing at once, more than the guard "
        "allows; if they are really gone, run brex-sync sync --full --accept-deletions"
    )


async def _ask_for(reading: SyncContext, listed: Listed) -> Verdict:
    """Asks for each missing row by its id; those Brex still has are stored as it shows them.

    A 404 in Brex's form proves that a row is gone. Any other refusal proves nothing.
    """
    gone: list[str] = []
    refusals: list[str] = []
    for key in await _keys(reading, listed, limit=ASKED_FOR):
        try:
            if await _is_gone(reading, listed.lease, key):
                gone.append(key)
        except CredentialRefused:
            raise
        except Refused as error:
            refusals.append(str(error))
    reading.report.requests = reading.meter.requests
    told = f"{len(refusals)} missing rows can't be asked for: {refusals[0]}" if refusals else None
    return Verdict(tuple(gone), told)


async def _is_gone(reading: SyncContext, lease: ListLease, key: str) -> bool:
    stream = reading.slice.stream
    try:
        page = await fetch_item(reading.client, stream, key, reading.meter)
    except NotFound:
        return True
    _, staged = prepare(stream, page, reading.slice.parent)
    reading.tell(await reading.warehouse.call(load.store_item, lease, staged))
    return False


async def _by_another_listing(reading: SyncContext, listed: Listed) -> Verdict:
    """Rows that an earlier run missed are gone if a full listing of this run lacks them too.

    In a listing of several pages a row may slip past between two, so such a one is read again until
    it shows that no row left its place.
    """
    ripe = await _ripe(reading, listed)
    if ripe and listed.full is not None and listed.full.pages > 1:
        listed, steady = await _list_again(reading, listed, listed.full)
        if not steady:
            return Verdict(doubt="the list kept changing while it was read", final=False)
        missing = await reading.warehouse.call(deletions.missing, listed.lease)
        if doubt := _doubt(reading, listed, missing):
            return Verdict(doubt=doubt)
        ripe = await _ripe(reading, listed)
    doubted = listed.halved and not reading.options.accept_deletions
    told = "the list lost more than half of its rows, so it is doubted until they are missing a day"
    return Verdict(ripe, told if doubted else None)


async def _ripe(reading: SyncContext, listed: Listed) -> tuple[str, ...]:
    """The rows that are gone, if the last full listing can be trusted: it lacks them, and an
    earlier run missed them long enough before it."""
    if listed.full is None:
        return ()
    if reading.options.accept_deletions:
        return await _keys(reading, listed)
    wait = plan.DOUBTED if listed.halved else plan.LATER
    since = listed.full.opened_at - wait
    return await reading.warehouse.call(
        deletions.missing_keys, listed.lease, since=since, not_by=reading.run_id
    )


async def _keys(reading: SyncContext, listed: Listed, limit: int | None = None) -> tuple[str, ...]:
    return await reading.warehouse.call(deletions.missing_keys, listed.lease, limit=limit)


async def _list_again(
    reading: SyncContext, listed: Listed, earlier: ListWindow
) -> tuple[Listed, bool]:
    """Lists all until a listing has every row the one before had, in its order, or all rows that
    were to be judged; whether one did."""
    everything = plan.Range(Scope.FULL, None)
    lease = listed.lease
    for _ in range(LISTINGS):
        number = await reading.warehouse.call(checkpoints.last_number, lease) + 1
        begun = await begin_window(reading, lease, number, everything, reading.clock())
        later, compared = await walk_window(reading, lease, begun)
        listed = listed.and_then(later, compared)
        if later.pages == 1 or not await _ripe(reading, listed):
            return listed, True
        if await reading.warehouse.call(deletions.all_listed_again, lease, earlier, later):
            return listed, True
        earlier = later
    return listed, False
