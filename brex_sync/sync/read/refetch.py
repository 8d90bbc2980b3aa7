"""Single rows fetched again: because an event told of them, or because they were just written."""

from collections.abc import Iterable
from dataclasses import dataclass

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.paging import fetch_item, first_page, listing_of
from brex_sync.brex.strict_json import Page
from brex_sync.errors import Fenced, NotFound
from brex_sync.streams.declare import Shape, Stream
from brex_sync.sync.read.walking import prepare
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.load import commit as load
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import Counts, Slice

TRIES = 5
"""How often a row is stored anew because a sync took its list over in between."""


@dataclass(frozen=True, slots=True)
class Refetched:
    """What came of it: rows stored by what became of them, and the keys Brex has no more."""

    counts: Counts
    gone: tuple[str, ...]


def can_refetch(stream: Stream) -> bool:
    """Whether Brex gives single rows of a stream: by their id, or one per parent row."""
    return stream.item_path is not None or _one_per_parent(stream)


async def refetch(
    client: BrexClient, warehouse: Warehouse, stream: Stream, keys: Iterable[str]
) -> Refetched:
    """Fetches rows and stores them as Brex has them now; one it has no more is marked as deleted.

    `keys` are identifiers, of the parent rows where there is one row for each. No checkpoint
    moves and no sync is stopped: what one reads meanwhile is stored as it comes, so that in the
    end its next run decides. The tables must be there.

    Raises:
        BrexError: a row could not be fetched; those before it are stored.
        Fenced: syncs took the list over again and again.
    """
    counts, gone = Counts(), []
    for key in dict.fromkeys(keys):
        slice_ = Slice(warehouse.schema, stream, key if _one_per_parent(stream) else None)
        try:
            page = await _fetch(client, stream, key)
        except NotFound:
            page = Page((), None)
        if page.items:
            counts += await warehouse.call(_store, slice_, page)
        elif await warehouse.call(_mark_gone, slice_, key):
            gone.append(key)
    return Refetched(counts, tuple(gone))


async def _fetch(client: BrexClient, stream: Stream, key: str) -> Page:
    if _one_per_parent(stream):
        return await first_page(client, listing_of(stream, key, {}, None), Meter())
    return await fetch_item(client, stream, key, Meter())


def _one_per_parent(stream: Stream) -> bool:
    return stream.parent is not None and stream.paging.shape is Shape.OBJECT


def _store(warehouse: Warehouse, slice_: Slice, page: Page) -> Counts:
    _, staged = prepare(slice_.stream, page, slice_.parent)
    for _ in range(TRIES):
        try:
            return load.store_item(warehouse, checkpoints.share_lease(warehouse, slice_), staged)
        except Fenced as error:
            fenced = error
    raise fenced


def _mark_gone(warehouse: Warehouse, slice_: Slice, key: str) -> bool:
    for _ in range(TRIES):
        try:
            return deletions.mark_gone(warehouse, checkpoints.share_lease(warehouse, slice_), key)
        except Fenced as error:
            fenced = error
    raise fenced
