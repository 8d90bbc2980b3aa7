"""Any of Brex's lists, page after page."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.paging import Listing, walk
from brex_sync.brex.strict_json import Page
from brex_sync.client.calls import Params, call_of


async def pages(
    client: BrexClient, path: str, params: Params | None = None
) -> AsyncGenerator[Page, None]:
    """The pages of a list, each fetched while the one before it is looked at.

    Raises:
        NeverAsked: the path may not be asked for.
        LoopingCursor: the list does not end.
        BrexError: a page could not be read.
    """
    call = call_of("GET", path, params)
    listing = Listing(call.path, call.params, None, None)
    async with aclosing(walk(client, listing, Meter())) as walked:
        async for page in walked:
            yield page
