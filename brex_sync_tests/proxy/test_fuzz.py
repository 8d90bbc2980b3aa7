"""Whatever is sent to the proxy: no fault of ours, no foreign host, no card number, no token."""

import re

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from brex_sync.brex.allowed import METHODS
from brex_sync_tests.proxy.conftest import BREX_TOKEN, LOCAL_TOKEN, Door

PLAIN = re.compile(r"/v[0-9]+(/[A-Za-z0-9._~=:,+-]+)+")
PIECES = [
    b"/", b"//", b"\\", b".", b"..", b"/../", b"%2e%2e", b"%2F", b"%252f", b"%70an", b"pan", b"PAN",
    b"v1", b"v2", b"users", b"cards", b"ncard_1", b";", b"?", b"#", b"@", b":80", b"http://", b"%",
    b"%00", b"\xef\xbc\x8f", b"\xff", b"=", b"~", b"limit=1", b"&", b"x" * 200, b"/proxy/brex",
]  # fmt: skip
HEADS = [
    b"/proxy/brex/v2/", b"/proxy/brex/v1/cards/", b"/proxy/brex", b"/proxy/", b"/proxy/brex//",
    b"/proxy/other/v2/", b"http://FOREIGN/proxy/brex/v2/", b"http://FOREIGN/v2/", b"//FOREIGN/v2/",
    b"/proxy/brex/http://FOREIGN/", b"/proxy/brex/@FOREIGN/", b"/proxy/brex/\\\\FOREIGN/", b"/",
]  # fmt: skip
NAMES = [
    b"Host", b"X-Forwarded-Host", b"Forwarded", b"X-Original-URL", b"X-Rewrite-URL", b"Connection",
    b"X-HTTP-Method-Override", b"Authorization", b"Idempotency-Key", b"Content-Type", b"Cookie",
    b"Content-Encoding", b"Accept", b"Accept-Encoding", b"Range", b"TE", b"Proxy-Authorization",
    b"Location", b"If-None-Match", b"User-Agent", b"X-Brex-Trace-Id", b"Destination", b"Via",
]  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [b"FOREIGN", b"/v2/cards/x/pan", b"DELETE", b"application/json", b"gzip", b"close", b""]
    ),
    st.binary(max_size=30).map(lambda value: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value)),
)
METHOD = st.one_of(
    st.sampled_from([m.encode() for m in METHODS]),
    st.sampled_from([b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"get"]),
)
WILD = st.tuples(
    st.sampled_from(HEADS),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=4)), max_size=8).map(
        b"".join
    ),
).map(lambda pair: re.sub(rb"[\x00-\x20\x7f]", b"", b"".join(pair)))
NEARLY_PLAIN = st.tuples(
    st.lists(st.from_regex(rb"[a-zA-Z0-9._~=:,+-]{1,5}", fullmatch=True), min_size=1, max_size=3),
    st.sampled_from([b"", b"", b"?limit=1", b"?x=%00&y[]=%ff", b"/", b"/pan", b"/.", b"#x", b";x"]),
).map(lambda pair: b"/proxy/brex/v2/" + b"/".join(pair[0]) + pair[1])
TARGET = st.one_of(WILD, NEARLY_PLAIN)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)
BODY = st.one_of(st.just(b""), st.just(b"{}"), st.binary(max_size=50))


def sent(
    door: Door, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> bytes:
    """The answer to a request with the local token, everything else as given."""
    foreign = door.brex.elsewhere.removeprefix("http://").encode() or b"127.0.0.1:9"
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1"]
    lines += [b"Authorization: Bearer " + LOCAL_TOKEN.encode(), b"Connection: close"]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"Content-Length: %d" % len(body)] if body else []
    return door.raw(b"\r\n".join(lines).replace(b"FOREIGN", foreign) + b"\r\n\r\n" + body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@settings(max_examples=500)
@given(METHOD, TARGET, HEADERS, BODY)
def test_whatever_is_sent_reaches_brex_plainly_or_not_at_all(
    door: Door, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert_plain_or_refused(door, method, target, headers, body)


@pytest.mark.history
@pytest.mark.timeout(3600)
@settings(max_examples=5000)
@given(METHOD, TARGET, HEADERS, BODY)
def test_much_that_is_sent_reaches_brex_plainly_or_not_at_all(
    door: Door, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert_plain_or_refused(door, method, target, headers, body)


def assert_plain_or_refused(
    door: Door, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    door.brex.asked.clear()
    answer = sent(door, method, target, headers, body)
    assert status(answer) < 500
    assert BREX_TOKEN.encode() not in answer
    assert not door.foreign.asked
    event(f"reached Brex: {bool(door.brex.asked)}")
    for asked, path_and_query, got, _ in door.brex.asked:
        path = path_and_query.partition("?")[0]
        assert asked.encode() == method
        assert PLAIN.fullmatch(path)
        assert f"/proxy/brex{path}".encode() in target
        assert not {"pan", ".", ".."} & set(path.lower().split("/"))
        assert got["host"] == door.accounts.connections["brex"].api_url.removeprefix("http://")
        assert got["authorization"] == f"Bearer {BREX_TOKEN}"


@settings(max_examples=100)
@given(METHOD, TARGET, HEADERS, BODY)
def test_with_brex_away_it_is_a_refusal_or_502(
    nowhere: Door, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    assert status(sent(nowhere, method, target, headers, body)) in {*range(400, 500), 502}


@pytest.mark.parametrize("target", [b"/proxy/brex/v2/users", b"/proxy/brex/v2/users/me?limit=1"])
def test_the_fuzzer_s_plain_requests_do_reach_brex(door: Door, target: bytes) -> None:
    answer = sent(door, b"GET", target, [], b"")
    assert status(answer) == 200
    assert door.brex.asked[0][1].encode() == target.removeprefix(b"/proxy/brex")
