"""What it proves that Brex refuses a list: something of that list, and nothing of any other."""

from brex_sync.brex.paging import fetch_item
from brex_sync.errors import BrexError, ListLost, ListUnavailable, NotAllowed, NotFound
from brex_sync.streams import STREAMS
from brex_sync.streams.declare import Parent
from brex_sync.sync.read.reading import SyncContext
from brex_sync.warehouse.state import checkpoints


async def meaning(reading: SyncContext, error: NotAllowed | NotFound) -> ListUnavailable | ListLost:
    """What a list is that Brex refused in its own form (its error-code guide).

    A missing scope or role makes it unavailable. So does a 404, where the list is a stream's only
    one and was never read: the company does not have that product. Of a list that was read before,
    or whose row Brex still has, a 404 proves nothing, and is a fault.
    """
    if isinstance(error, NotAllowed):
        return ListUnavailable(str(error))
    declared, row = reading.slice.stream.parent, reading.slice.parent
    if declared is not None and row is not None:
        return await _without_its_row(reading, declared, row, error)
    if await reading.warehouse.call(checkpoints.was_read, reading.slice):
        return ListLost(f"{error}. It was read before, so this is taken for a fault")
    return ListUnavailable(str(error))


async def _without_its_row(
    reading: SyncContext, declared: Parent, row: str, error: NotFound
) -> ListLost:
    """Asks for the row of which Brex says that it has no list.

    Where Brex does not have that row either, its own stream is read whole by the next run, which
    decides whether it is gone.
    """
    parent = STREAMS[declared.stream]
    told = f"{error}, though {row} of {declared.stream} is not known to be gone"
    if parent.item_path is None:
        return ListLost(told)
    try:
        await fetch_item(reading.client, parent, row, reading.meter)
    except NotFound:
        await reading.warehouse.call(checkpoints.read_whole_again, declared.stream)
        return ListLost(f"{told}: it can't be asked for either, so the next run reads them all")
    except BrexError as unknown:
        return ListLost(f"{told}: {unknown}")
    return ListLost(
        f"{error}, though Brex has {row} of {declared.stream}. Nothing of it was changed"
    )
