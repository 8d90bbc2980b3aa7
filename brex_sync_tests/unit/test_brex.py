"""Reading answers, telling faults apart, and staying below the rate limit."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync import errors
from brex_sync.brex.error_responses import classify
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.retry_after import asked_for
from brex_sync.brex.strict_json import clean, read_item, read_page
from brex_sync.errors import ErrorResponse, UnusableAnswer
from brex_sync.streams.declare import Shape
from brex_sync.sync.read.plan import smaller_page

PIECES = st.sampled_from(
    ["\\u0000", "\\\\u0000", "\\ud83d\\ude00", "\\ud83d", "\\uDE00", "\\uD83D\\uDE00", "a", "\\n",
     "\\\\", "\\u00e9", "é", '\\"', "\\ud83d\\ud83d\\ude00"]
)  # fmt: skip


def naively(text: str) -> str:
    """What a JSON reader sees, with NUL and surrogates left without a partner replaced."""
    return re.sub("[\ud800-\udfff\0]", "\ufffd", json.loads(text))


@given(st.lists(PIECES).map("".join))
def test_only_nul_and_lone_surrogates_are_replaced(inside: str) -> None:
    text = f'"{inside}"'
    cleaned, number = clean(text.encode())
    seen = json.loads(cleaned)
    assert seen == naively(text)
    assert number == seen.count("\ufffd")
    if number == 0:
        assert cleaned == text.encode()


def test_raw_surrogates_are_replaced_and_other_bytes_are_refused() -> None:
    assert clean('"\ud800"'.encode("utf-8", "surrogatepass")) == ('"\ufffd"'.encode(), 1)
    with pytest.raises(UnusableAnswer):
        clean(b'"\xff"')


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html></html>", b"{}", b'{"next_cursor":null}', b'{"items":null}', b"[]", b"null",
        b'{"items":{}}', b'{"items":[NaN]}', b'{"items":[{"a":Infinity}]}', b'{"items":[1',
        b'{"items":[]} x', b'{"items":[],"next_cursor":5}',
    ],
)  # fmt: skip
def test_what_is_no_page_is_never_an_end_of_data(body: bytes) -> None:
    with pytest.raises(UnusableAnswer):
        read_page(body, Shape.ENVELOPE)


def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    mark = b"\xef\xbb\xbf"
    assert read_page(mark + b'{"items":[{}]}', Shape.ENVELOPE).items == (b"{}",)
    assert read_page(mark + b"[{}]", None).items == (b"{}",)
    page = read_item(mark + b'{"a":"x"}')
    assert (page.items, page.cleaned) == ((b'{"a":"x"}',), 0)
    with pytest.raises(UnusableAnswer):
        read_page(mark, Shape.ENVELOPE)


def test_pages_arrays_and_items_are_read() -> None:
    page = read_page(
        b'{"items":[{"a":9007199254740993}, {}],"next_cursor":"c","x":1}', Shape.ENVELOPE
    )
    assert (page.items, page.next_cursor) == ((b'{"a":9007199254740993}', b"{}"), "c")
    assert read_page(b'{"items":[],"next_cursor":""}', Shape.ENVELOPE).next_cursor is None
    assert read_page(b"[{}]", Shape.ARRAY).items == (b"{}",)
    assert read_item(b'{"id":1}').items == (b'{"id":1}',)
    for body in (b"[]", b"", b"null"):
        with pytest.raises(UnusableAnswer):
            read_item(body)
    with pytest.raises(UnusableAnswer, match="does not say which"):
        read_page(b'{"items":[],"next_cursor":null,"has_next_page":true}', Shape.ENVELOPE)
    last = b'{"items":[],"next_cursor":null,"has_next_page":false,"total_count":0}'
    assert read_page(last, Shape.ENVELOPE).next_cursor is None
    with pytest.raises(UnusableAnswer):
        read_page(b'{"items":[]}', Shape.ARRAY)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "slow down", errors.RateLimited),
        (500, "", errors.ServerFault),
        (503, "token", errors.ServerFault),
        (408, "Request timeout", errors.ServerFault),
        (425, "Too early", errors.ServerFault),
        (403, "Invalid or Revoked Token", errors.CredentialRefused),
        (403, "Expired token", errors.CredentialRefused),
        (401, "Authentication credentials are missing or invalid.", errors.CredentialRefused),
        (403, "Missing required scope", errors.NotAllowed),
        (401, "Must be cash admin", errors.NotAllowed),
        (403, "Your token lacks the scope cards.readonly", errors.NotAllowed),
        (403, "Invalid scope for this token", errors.NotAllowed),
        (403, "The token may not read this list", errors.NotAllowed),
        (403, "You do not have permission to perform this action.", errors.NotAllowed),
        (403, "Forbidden", errors.NotAllowed),
        (403, "Rate limit exceeded for this token", errors.RateLimited),
        (400, "API rate limit exceeded", errors.RateLimited),
        (404, "none", errors.NotFound),
        (400, "limit must be less than or equal to 100", errors.PageTooLarge),
        (400, "Invalid value for parameter 'limit'", errors.PageTooLarge),
        (400, "Page size must be at most 100", errors.PageTooLarge),
        (400, "credit limit exceeded", errors.Refused),
        (400, "monthly_limit must be at most 100", errors.Refused),
        (400, "time limit exceeded after 30 s", errors.Refused),
        (400, "bad", errors.Refused),
        (410, "none", errors.Refused),
        (422, "no", errors.Refused),
    ],
)
@pytest.mark.parametrize("form", ["type", "error_code"])
def test_what_brex_says_is_told_apart_by_its_words(
    status: int, message: str, kind: type[Exception], form: str
) -> None:
    body = json.dumps({form: "SOME_KIND", "message": message}).encode()
    error = classify(ErrorResponse(status, body, "trace-1", 3.0), "GET /x")
    assert type(error) is kind
    assert f"GET /x answered {status}" in str(error)
    assert "trace-1" in str(error)
    if isinstance(error, errors.Transient):
        assert error.retry_after == 3.0


@pytest.mark.parametrize("kind", ["TOKEN_EXPIRED", "INVALID_TOKEN", "REVOKED_API_KEY"])
def test_the_kind_of_an_error_tells_of_the_token_too(kind: str) -> None:
    body = json.dumps({"type": kind, "message": "Forbidden"}).encode()
    assert (
        type(classify(ErrorResponse(403, body, None, None), "GET /x")) is errors.CredentialRefused
    )


@pytest.mark.parametrize("status", [302, 304, 400, 401, 403, 404, 405, 410, 413, 414, 422, 451])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"<html>the token is invalid; rate limit exceeded</html>",
        b"404 page not found",
        b'"NOT_FOUND"',
        b'[{"type":"FORBIDDEN","message":"Invalid or Revoked Token"}]',
        b"{}",
        b'{"message":"Invalid or Revoked Token"}',
        b'{"type":"FORBIDDEN"}',
        b'{"type":null,"message":"Invalid or Revoked Token"}',
        b'{"type":"","message":"limit must be at most 100"}',
        b'{"type":"about:blank","title":"Forbidden","detail":"no scope"}',
        b'{"error":{"type":"FORBIDDEN","message":"Invalid or Revoked Token"}}',
        b'{"error_code":403,"message":"Must be admin"}',
        b'{"type":"FORBIDDEN","message":{"text":"no scope"}}',
        b'{"type":"FORBIDDEN","message":"Invalid or Rev',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_refusal_that_is_not_in_brexs_form_is_no_word_of_brex(status: int, body: bytes) -> None:
    error = classify(ErrorResponse(status, body, None, None), "GET /v2/users/x")
    assert type(error) is errors.UnusableAnswer
    assert "not Brex's form" in str(error)
    assert len(str(error)) < 600


def test_a_byte_order_mark_hides_no_word_of_brex() -> None:
    body = b'\xef\xbb\xbf{"type":"NOT_FOUND","message":"no such row"}'
    error = classify(ErrorResponse(404, body, None, None), "GET /x")
    assert (type(error), str(error)) == (errors.NotFound, "GET /x answered 404: no such row")


@pytest.mark.parametrize(
    ("asked", "told", "then"),
    [
        (1000, "limit must be between 1 and 100", 100),
        (1000, "limit must be between 1 and 1000", 500),
        (1000, "limit must be between 1 and 1,000", 500),
        (5000, "limit must be between 1 and 1,000", 1000),
        (1000, "Error 4003: limit must be at most 250", 250),
        (1000, "limit is too large", 500),
        (1000, "limit must be greater than 0", 500),
        (100, "limit must be less than or equal to 500", 50),
        (250, "limit 1000 is above 500 (code 30)", 30),
        (2, "limit must be between 1 and 1", 1),
        (1, "limit must be between 1 and 100", None),
    ],
)
def test_the_largest_smaller_number_is_taken_for_the_page_limit(
    asked: int, told: str, then: int | None
) -> None:
    body = json.dumps({"type": "BAD_REQUEST", "message": told}).encode()
    error = classify(ErrorResponse(400, body, None, None), "GET /x")
    assert isinstance(error, errors.PageTooLarge)
    assert smaller_page(asked, error.numbers) == then


def test_the_accounting_apis_own_form_is_brexs() -> None:
    body = b'{"error_code":"NOT_FOUND","message":"no such record"}'
    assert type(classify(ErrorResponse(404, body, None, None), "GET /x")) is errors.NotFound


async def _through(limiter: RateLimiter, clock: list[float], times: list[float]) -> None:
    async with limiter.slot():
        times.append(clock[0])


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=40), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_limit(gaps: list[float], most: int) -> None:
    clock, times = [0.0], list[float]()

    class Virtual(RateLimiter):
        async def _sleep(self, seconds: float) -> None:
            clock[0] += seconds

    async def main() -> None:
        limiter = Virtual(most, 1.0, lambda: clock[0])
        for gap in gaps:
            clock[0] += gap
            await _through(limiter, clock, times)

    asyncio.run(main())
    for i, at in enumerate(times[most:]):
        assert at - times[i] >= 1.0 - 1e-9


def test_a_pause_holds_everybody_back() -> None:
    clock, times = [0.0], list[float]()

    class Virtual(RateLimiter):
        async def _sleep(self, seconds: float) -> None:
            clock[0] += seconds

    limiter = Virtual(10, 1.0, lambda: clock[0])

    async def main() -> None:
        await limiter.pause(7)
        await limiter.pause(3)
        await _through(limiter, clock, times)

    asyncio.run(main())
    assert times == [7.0]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("1e9", None),
        ("\u0661", None),
        ("1.5", 1.5),
        ("inf", None),
        ("nan", None),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_anything_else_is_as_if_it_were_not_there(
    told: str | None, seconds: float | None
) -> None:
    assert asked_for(told) == seconds


def test_a_date_counts_from_the_answers_own_date() -> None:
    told, answered = "Fri, 27 Nov 2026 05:00:30 GMT", "Fri, 27 Nov 2026 05:00:00 GMT"
    assert asked_for(told, answered) == 30
    assert asked_for("Fri, 27 Nov 2026 05:00:00 GMT", told) == 0
    assert asked_for("Thu, 01 Jan 99999 00:00:00 GMT") is None


def test_no_pause_is_longer_than_two_minutes() -> None:
    clock = [0.0]
    limiter = RateLimiter(10, 1.0, lambda: clock[0])
    asyncio.run(limiter.pause(1795834000))
    assert limiter._wait() == 120
