"""Reading answers, telling faults apart, and staying below the rate limit."""

import asyncio
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.brex import errors
from brex_sync.brex.client import _seconds
from brex_sync.brex.errors import Fault, UnusableAnswer, classify
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.brex.strict_json import clean, read_item, read_page
from brex_sync.streams.declare import Shape

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
        (401, "", errors.CredentialRefused),
        (403, "Invalid or Revoked Token", errors.CredentialRefused),
        (403, "Missing required scope", errors.NotAllowed),
        (401, "Must be cash admin", errors.NotAllowed),
        (403, "Your token lacks the scope cards.readonly", errors.NotAllowed),
        (404, "none", errors.NotFound),
        (404, "", errors.UnusableAnswer),
        (400, "limit must be less than or equal to 100", errors.PageTooLarge),
        (400, "bad", errors.Refused),
        (302, "", errors.Refused),
    ],
)
def test_faults_are_told_apart(status: int, message: str, kind: type[Exception]) -> None:
    body = json.dumps({"type": "X", "message": message}).encode() if message else b""
    error = classify(Fault(status, body, "trace-1", 3.0), "GET /x")
    assert type(error) is kind
    assert f"GET /x answered {status}" in str(error)
    assert "trace-1" in str(error)
    if isinstance(error, errors.RateLimited | errors.ServerFault):
        assert error.retry_after == 3.0
    if isinstance(error, errors.PageTooLarge):
        assert error.allowed == 100


@pytest.mark.parametrize(
    "body",
    [
        b"<html>404</html>",
        b"404 page not found",
        b'"NOT_FOUND"',
        b"[]",
        b"{}",
        b'{"message":"no"}',
        b'{"type":"a"}',
    ],
)
def test_what_a_gateway_does_not_find_is_no_word_of_brex_on_a_row(body: bytes) -> None:
    error = classify(Fault(404, body, None, None), "GET /v2/users/x")
    assert type(error) is errors.UnusableAnswer
    assert "not Brex's form" in str(error)


def test_the_accounting_apis_own_form_is_brexs() -> None:
    body = b'{"error_code":"NOT_FOUND","message":"no such record"}'
    assert type(classify(Fault(404, body, None, None), "GET /x")) is errors.NotFound


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
    assert _seconds(told) == seconds
