"""Walking a list page by page.

A cursor is a position in a list that may shift while it is read: it serves to go on within one
walk and is never kept as a watermark.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.errors import (
    CredentialRefused,
    CursorRefused,
    LoopingCursor,
    NotAllowed,
    NotFound,
    PageTooLarge,
    Refused,
)
from brex_sync.brex.strict_json import Page, read_item, read_page
from brex_sync.streams.declare import Shape, Stream

_EMPTY_PAGES = 10


@dataclass(frozen=True, slots=True)
class Listing:
    """One list to walk: which endpoint, filtered how, and in pages of which size.

    `shape` is None where it is not known which of the two kinds of list comes. `orphaned` says that
    it is the list of a row which is known to be gone: a 404 then means that it is empty.
    """

    path: str
    params: Mapping[str, str | Sequence[str]]
    limit: int | None
    shape: Shape | None
    orphaned: bool = False


def listing_of(
    stream: Stream,
    parent: str | None,
    filters: Mapping[str, str | Sequence[str]],
    limit: int | None,
    *,
    orphaned: bool = False,
) -> Listing:
    """The stream's list, of one parent row where it is per parent, filtered."""
    path = stream.path
    if stream.per is not None and parent is not None:
        path = path.format(**{stream.per.column: quote(parent, safe="")})
    params = {**stream.params, **filters}
    return Listing(path, params, limit, stream.paging.shape, orphaned)


async def walk(
    client: BrexClient, listing: Listing, meter: Meter, cursor: str | None = None
) -> AsyncGenerator[Page, None]:
    """Yields the pages of a list from `cursor` on, one page ahead of whoever takes them.

    Raises:
        LoopingCursor: a cursor came twice, or page after page was empty.
        BrexError: a page could not be read.
    """
    seen = {cursor}
    empty = 0
    request = asyncio.create_task(_page(client, listing, cursor, meter))
    try:
        while True:
            page = await request
            empty = 0 if page.items else empty + 1
            if page.next_cursor is None:
                yield page
                return
            if page.next_cursor in seen or empty > _EMPTY_PAGES:
                raise LoopingCursor(f"GET {listing.path}: the list's pages do not end")
            seen.add(page.next_cursor)
            request = asyncio.create_task(_page(client, listing, page.next_cursor, meter))
            yield page
    finally:
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


async def first_page(client: BrexClient, listing: Listing, meter: Meter) -> Page:
    """The first page of a list, which tells whether there is more.

    Raises:
        BrexError: it could not be read.
    """
    return await _page(client, listing, None, meter)


async def fetch_item(client: BrexClient, stream: Stream, key: str, meter: Meter) -> Page:
    """One row by its identifier, as a page of one.

    Raises:
        NotFound: Brex has no such row.
        BrexError: the row could not be read.
    """
    if stream.item_path is None:
        raise ValueError(f"stream {stream.name} has no path for a single row")
    path = stream.item_path.format(id=quote(key, safe=""))
    return await client.get(path, stream.params, read_item, meter)


async def _page(client: BrexClient, listing: Listing, cursor: str | None, meter: Meter) -> Page:
    params = dict(listing.params)
    if listing.limit is not None:
        params["limit"] = str(listing.limit)
    if cursor is not None:
        params["cursor"] = cursor
    try:
        return await client.get(
            listing.path, params, partial(read_page, shape=listing.shape), meter
        )
    except (CredentialRefused, NotAllowed):
        raise
    except Refused as error:
        if isinstance(error, PageTooLarge) and listing.limit is not None:
            raise
        if cursor is not None:
            refused = CursorRefused(str(error))
            refused.fault = error.fault
            raise refused from error
        if listing.orphaned and isinstance(error, NotFound):
            return Page((), None)
        raise
