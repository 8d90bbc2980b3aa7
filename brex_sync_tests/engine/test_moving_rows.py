"""A list with the newest change last: a row that is edited goes to its end, those behind it move up
by one, and none of them may slip past between two pages."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from brex_sync_tests.engine.truth import assert_equal

PATH = "/v3/accounting/records"
STREAM = "accounting_records"
PAGES = 10
ROWS = 60


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def record(key: str, at: datetime) -> Any:
    return {
        "id": key,
        "amount": {"amount": 1, "currency": "USD"},
        "type": "CARD_EXPENSE_POST",
        "review_status": "PREPARE",
        "updated_at": moment(at),
        "version": 1,
        "line_items": [],
    }


class NewestLast:
    """The sandbox with its accounting records in chronological order.

    `after` is done after each answer with records, and told its offset and filter; answers from
    offset `broken` on fail.
    """

    def __init__(self, rig: Any) -> None:
        self.rig = rig
        self.truth = rig.world.collection(STREAM)
        self.after: Callable[[int, str], None] = lambda offset, since: None
        self.asked: list[tuple[int, str]] = []
        self.broken: int | None = None
        rig.wrap = self.wrap
        for n in range(ROWS):
            self.truth.add(record(f"a{n:03d}", rig.now() - timedelta(days=400 - 3 * n)))

    def edit(self, key: str) -> None:
        self.truth.edit(key, memo="edited", updated_at=moment(self.rig.now()))

    def wrap(self, app: Any) -> Any:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] != PATH:
                await app(scope, receive, send)
                return
            status, body = self.answer(parse_qs(scope["query_string"].decode()))
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})

        return serve

    def answer(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        since = query.get("updated_at[gte]", [""])[0]
        at = int(query.get("cursor", ["0"])[0])
        if self.broken is not None and at >= self.broken:
            return 500, {}
        found = [r for r in reversed(self.truth.items()) if r["updated_at"] >= since]
        more = at + PAGES < len(found)
        self.asked.append((at, since))
        answer = {
            "items": found[at : at + PAGES],
            "next_cursor": str(at + PAGES) if more else None,
            "has_next_page": more,
            "total_count": len(found),
        }
        self.after(at, since)
        return 200, answer

    def walks(self) -> int:
        """How often all was listed from the first page on."""
        return self.asked.count((0, ""))


@pytest.fixture
def books(rig: Any) -> NewestLast:
    return NewestLast(rig)


def sync(books: NewestLast, **options: Any) -> Any:
    return books.rig.sync(STREAM, pages=PAGES, **options).streams[STREAM]


def edit_once(books: NewestLast, key: str, offset: int) -> None:
    """Has a row edited after the page at `offset` was first given."""
    edited: list[str] = []

    def edit(at: int, since: str) -> None:
        if (at, since) == (offset, "") and not edited:
            edited.append(key)
            books.edit(key)

    books.after = edit


@pytest.mark.parametrize("offset", [0, 20, 40])
def test_a_listed_row_that_is_edited_hides_no_other(books: NewestLast, offset: int) -> None:
    edit_once(books, "a003", offset)
    assert sync(books).finished
    assert books.walks() == 2
    assert_equal(books.rig, STREAM)


def test_a_row_that_is_edited_before_it_is_listed_costs_nothing(books: NewestLast) -> None:
    edit_once(books, "a055", 0)
    assert sync(books).finished
    assert books.walks() == 1
    assert_equal(books.rig, STREAM)


def test_a_walk_that_another_run_goes_on_with_hides_none(books: NewestLast) -> None:
    books.broken = 30
    assert not sync(books).finished
    books.broken = None
    books.rig.later = timedelta(days=1)
    books.edit("a003")
    assert sync(books).finished
    assert books.walks() == 2
    assert_equal(books.rig, STREAM)


def test_a_walk_that_another_run_goes_on_with_fetches_no_page_twice(books: NewestLast) -> None:
    books.broken = 30
    assert not sync(books).finished
    books.broken = None
    assert sync(books).finished
    assert books.walks() == 1


def test_a_list_whose_rows_keep_moving_is_walked_three_times_and_no_more(
    books: NewestLast,
) -> None:
    def edit(at: int, since: str) -> None:
        if (at, since) == (0, ""):
            books.edit(books.truth.rows().ids[-1])

    books.after = edit
    assert sync(books).finished
    assert books.walks() == 3


def test_rows_pushed_back_in_a_list_with_the_newest_first_are_not_taken_for_edited(
    rig: Any,
) -> None:
    truth = rig.world.collection(STREAM)
    for n in range(ROWS):
        truth.add(record(f"a{n:03d}", rig.now() - timedelta(seconds=ROWS - n)))
    added: list[str] = []

    def wrap(app: Any) -> Any:
        async def add(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if scope["path"] == PATH and len(added) < 3:
                added.append(f"new{len(added)}")
                truth.add(record(added[-1], rig.now()))
                truth.edit(truth.rows().ids[5], updated_at=moment(rig.now()))

        return add

    rig.wrap = wrap
    assert rig.sync(STREAM, pages=PAGES).finished
    assert len(added) == 3
    first = [r for r in rig.asked(PATH) if "cursor" not in r.query and "[gte]" not in r.query]
    assert len(first) == 1
    assert rig.sync(STREAM, pages=PAGES).finished
    assert_equal(rig, STREAM)
