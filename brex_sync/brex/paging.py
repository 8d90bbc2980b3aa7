"""Reading a list page by page.

A cursor is a position in a list that may change while it is read. It continues one read of the list
and is never stored as a watermark.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from brex_sync.brex.client import BrexClient, Meter, Patience
from brex_sync.brex.strict_json import Page, read_item, read_page
from brex_sync.errors import (
    BrexError,
    CredentialRefused,
    CursorRefused,
    LoopingCursor,
    NoContent,
    NotAllowed,
    NotFound,
    Oversized,
    PageTooHeavy,
    PageTooLarge,
    RateLimited,
    Refused,
    Transient,
)
from brex_sync.streams.declare import Shape, Stream

LONGEST_WALK = 6 * 3600.0
"""Seconds for one walk: what was read by then is kept, and the next run goes on from there."""
LONGEST_EMPTY = 15 * 60.0
"""Seconds for which page after page may be empty."""
SMALL_PAGE = 25
"""Rows in a page that is never too heavy."""
TRIES = 2
"""Failures of a page after which a small one is asked for, to tell a heavy page from an outage."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One list to read: its endpoint, filters and page size.

    `shape` is None if either kind of list may be returned. `orphaned` says that the row whose list
    it is has been deleted: a 404 then means that the list is empty.
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
    """The stream's list, filtered; of one parent row if the stream has a list per row."""
    path = stream.path
    if stream.parent is not None and parent is not None:
        path = path.format(**{stream.parent.column: quote(parent, safe="")})
    params = {**stream.params, **filters}
    return Listing(path, params, limit, stream.paging.shape, orphaned)


async def walk(
    client: BrexClient,
    listing: Listing,
    meter: Meter,
    cursor: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Page, None]:
    """Yields the pages of a list from `cursor` on, fetching one page ahead of the consumer.

    Two things end a list that has no last page: a cursor that is returned twice, and the clock
    (seconds).

    Raises:
        LoopingCursor: a cursor was returned twice, or the pages continued, or were empty, too long.
        BrexError: a page could not be read.
    """
    seen = {hash(cursor)}
    began = filled = clock()
    request = asyncio.create_task(_page(client, listing, cursor, meter))
    try:
        while True:
            page = await request
            if page.next_cursor is None:
                yield page
                return
            now, following = clock(), hash(page.next_cursor)
            filled = now if page.items else filled
            if following in seen:
                raise _endless(listing, f"a cursor came again after {len(seen)} pages")
            if now - began > LONGEST_WALK or now - filled > LONGEST_EMPTY:
                raise _endless(
                    listing,
                    f"{len(seen)} pages took {(now - began) / 60:.0f} minutes, and the last "
                    f"{(now - filled) / 60:.0f} minutes brought no row",
                )
            seen.add(following)
            request = asyncio.create_task(_page(client, listing, page.next_cursor, meter))
            yield page
    finally:
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


def _endless(listing: Listing, why: str) -> LoopingCursor:
    return LoopingCursor(f"GET {listing.path}: the list's pages do not end: {why}")


async def first_page(client: BrexClient, listing: Listing, meter: Meter) -> Page:
    """The first page of a list, which shows whether there are more.

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
    """One page of the listing's size.

    If it fails, a small page at the same place shows whether Brex is down, which is waited for, or
    the page is too large to be returned.

    Raises:
        PageTooHeavy: the small page was returned, and this one failed once more.
        BrexError: it could not be read.
    """
    patience, began = client.patience, time.monotonic()
    ask = partial(_ask, client, listing, cursor, meter)
    if (listing.limit or 0) <= SMALL_PAGE or patience.attempts <= TRIES:
        return await ask(listing.limit, patience)
    once = replace(patience, attempts=1)
    try:
        return await ask(listing.limit, replace(patience, attempts=TRIES))
    except NoContent:
        raise
    except (Transient, Oversized) as failed:
        failure: Transient | Oversized = failed
    await _rest(failure, patience)
    if not isinstance(failure, RateLimited) and await _comes(ask(SMALL_PAGE, once)):
        try:
            return await ask(listing.limit, once)
        except RateLimited as failed:
            failure = failed
        except (Transient, Oversized) as failed:
            raise PageTooHeavy(
                f"{failed}; a page of {SMALL_PAGE} rows comes, one of {listing.limit} does not"
            ) from failed
    left = patience.total - (time.monotonic() - began)
    if left <= 0 or patience.attempts <= TRIES + 1:
        raise failure
    return await ask(
        listing.limit, replace(patience, attempts=patience.attempts - TRIES - 1, total=left)
    )


async def _rest(failure: BrexError, patience: Patience) -> None:
    """Waits after the first attempts: briefly, or as long as the response asks."""
    asked = failure.retry_after if isinstance(failure, Transient) else None
    await asyncio.sleep(asked if asked is not None else min(patience.first * 4, patience.longest))


async def _comes(request: Awaitable[Page]) -> bool:
    """Whether Brex returns the page."""
    try:
        await request
    except Transient:
        return False
    return True


async def _ask(
    client: BrexClient,
    listing: Listing,
    cursor: str | None,
    meter: Meter,
    limit: int | None,
    patience: Patience,
) -> Page:
    params = dict(listing.params)
    if limit is not None:
        params["limit"] = str(limit)
    if cursor is not None:
        params["cursor"] = cursor
    read = partial(read_page, shape=listing.shape)
    try:
        return await client.get(listing.path, params, read, meter, patience)
    except (CredentialRefused, NotAllowed):
        raise
    except Refused as error:
        if isinstance(error, PageTooLarge) and limit is not None:
            raise
        if cursor is not None:
            refused = CursorRefused(str(error))
            refused.fault = error.fault
            raise refused from error
        if listing.orphaned and isinstance(error, NotFound):
            return Page((), None)
        raise
