"""A list walked page by page leaves nothing running behind, however the walk ends."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient, Meter, Patience
from brex_sync.brex.paging import LONGEST_EMPTY, LONGEST_WALK, Listing, walk
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.errors import LoopingCursor
from brex_sync.streams.declare import Shape

NEVER = object()
LIST = Listing("/v2/things", {}, 10, Shape.ENVELOPE, orphaned=False)


def answering(pages: dict[str | None, Any], log: list[str | None]) -> httpx.MockTransport:
    """Answers by cursor: a page's items and next cursor, or a status, or never."""

    async def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params.get("cursor")
        log.append(cursor)
        page = pages[cursor]
        if page is NEVER:
            await asyncio.sleep(3600)
        if isinstance(page, int):
            return httpx.Response(page)
        items, following = page
        return httpx.Response(200, content=json.dumps({"items": items, "next_cursor": following}))

    return httpx.MockTransport(answer)


def walked(pages: dict[str | None, Any], take: int = 1000) -> tuple[int, list[str | None]]:
    """Pages taken before the walk ended, or was closed after `take`, and the cursors asked for."""
    log: list[str | None] = []
    unheard: list[Any] = []

    async def main() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))
        client = BrexClient(
            BrexApi("http://brex.test", lambda: "t"),
            RateLimiter(),
            Patience(attempts=1),
            transport=answering(pages, log),
        )
        taken = 0
        async with client:
            steps = walk(client, LIST, Meter())
            try:
                async for _ in steps:
                    taken += 1
                    if taken == take:
                        await asyncio.sleep(0.02)
                        break
            finally:
                await steps.aclose()
                assert asyncio.all_tasks() == {asyncio.current_task()}
        return taken

    try:
        return asyncio.run(main()), log
    finally:
        assert unheard == []


def test_pages_are_walked_to_the_one_without_a_cursor() -> None:
    pages = {None: ([1], "a"), "a": ([], "b"), "b": ([3], None)}
    assert walked(pages) == (3, [None, "a", "b"])


def test_one_page_is_fetched_ahead_and_no_more() -> None:
    pages = {None: ([1], "a"), "a": ([2], "b"), "b": ([3], None)}
    assert walked(pages, take=1) == (1, [None, "a"])


@pytest.mark.parametrize("ahead", [500, NEVER], ids=["failed", "under way"])
def test_a_request_ahead_that_nobody_waits_for_is_given_up_in_silence(ahead: Any) -> None:
    assert walked({None: ([1], "a"), "a": ahead}, take=1) == (1, [None, "a"])


def test_empty_pages_with_new_cursors_are_walked_through() -> None:
    empty = {str(i): ([], str(i + 1)) for i in range(40)}
    pages = {None: ([], "0")} | empty | {"40": ([1], None)}
    assert walked(pages) == (42, [None, *map(str, range(41))])


@pytest.mark.parametrize(
    "pages",
    [
        {None: ([1], "a"), "a": ([1], "a")},
        {None: ([1], "a"), "a": ([1], "b"), "b": ([1], "a")},
        {None: ([], "a"), "a": ([], "b"), "b": ([], "c"), "c": ([], "a")},
    ],
    ids=["itself", "a circle", "an empty circle"],
)
def test_a_cursor_that_comes_again_is_an_error(pages: dict[str | None, Any]) -> None:
    with pytest.raises(LoopingCursor, match="do not end: a cursor came again"):
        walked(pages)


@pytest.mark.parametrize(
    ("items", "seconds", "pages"), [([], LONGEST_EMPTY, 16), ([1], LONGEST_WALK, 361)]
)
def test_pages_with_new_cursors_end_by_the_clock(
    items: list[int], seconds: float, pages: int
) -> None:
    """A page a minute."""
    asked: list[str | None] = []

    class Endless(dict[str | None, Any]):
        def __getitem__(self, cursor: str | None) -> Any:
            return (items, f"{int(cursor or 0) + 1}")

    async def main() -> None:
        transport = answering(Endless(), asked)
        endpoint = BrexApi("http://brex.test", lambda: "t")
        async with BrexClient(endpoint, RateLimiter(), Patience(), transport) as client:
            async for _ in walk(client, LIST, Meter(), clock=lambda: 60.0 * len(asked)):
                pass

    with pytest.raises(LoopingCursor, match=r"do not end: .* brought no row"):
        asyncio.run(main())
    assert len(asked) == pytest.approx(pages, abs=2)
    assert seconds == 60.0 * (pages - 1)
