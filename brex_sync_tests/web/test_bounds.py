"""What one client may take of a server: tried on a real one, with raw sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from brex_sync import bounds
from brex_sync.http_server import running
from brex_sync_tests.waiting import HANGS

HEAD = b"GET /x HTTP/1.1\r\nHost: localhost\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    if scope["type"] != "http":
        return
    try:
        body = await Request(scope, receive).body()
    except ClientDisconnect:
        return
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.fixture
def port() -> Iterator[int]:
    with running(echo) as url:
        yield urlsplit(url).port or 0


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(port: int, opened: ExitStack, sent: bytes = b"") -> socket.socket:
    line = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=HANGS))
    line.sendall(sent)
    return line


def answer(line: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    try:
        while some := line.recv(65536):
            found += some
    except ConnectionError:
        pass
    return found


def asked(port: int, opened: ExitStack, head: bytes, body: bytes = b"") -> bytes:
    line = connect(port, opened)
    try:
        line.sendall(head + b"Connection: close\r\n\r\n" + body)
    except ConnectionError:
        pass
    return answer(line)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X-Long: " + b"x" * 66_000 + b"\r\n",
        HEAD + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(70)),
        b"GET /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: localhost\r\n",
    ],
    ids=["one header", "many headers", "a target"],
)
def test_a_head_has_at_most_64_kib(port: int, opened: ExitStack, head: bytes) -> None:
    told = asked(port, opened, head)
    assert not told or told.startswith(b"HTTP/1.1 431 "), "a reset may overtake it"
    assert asked(port, opened, HEAD).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("piece", [1 << 10, 1 << 16, 1 << 20])
def test_a_head_that_never_ends_is_not_taken(port: int, opened: ExitStack, piece: int) -> None:
    line, sent = connect(port, opened, HEAD), 0
    with suppress(ConnectionError):
        while sent < 64 << 20:
            line.sendall(b"X-A: " + b"x" * piece + b"\r\n")
            sent += piece
    assert sent < 16 << 20


def test_a_large_head_and_its_body_are_taken(port: int, opened: ExitStack) -> None:
    head = HEAD.replace(b"GET", b"POST") + b"X-Long: " + b"x" * 60_000 + b"\r\n"
    body = b"y" * 200_000
    head += b"Content-Length: %d\r\n" % len(body)
    assert asked(port, opened, head, body).endswith(b"200000")


def test_each_request_of_a_connection_has_its_own_head(port: int, opened: ExitStack) -> None:
    line = connect(port, opened)
    long = HEAD + b"X-Long: " + b"x" * 40_000 + b"\r\n"
    for _ in range(3):
        line.sendall(long + b"\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    line.sendall((long + b"\r\n") * 2 + long + b"Connection: close\r\n\r\n")
    assert answer(line).count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, HEAD + b"X-A: 1\r\n"])
def test_a_head_must_come_in_time(
    port: int, opened: ExitStack, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.2)
    told = answer(connect(port, opened, sent))
    assert told.startswith(b"HTTP/1.1 408 ") if sent else told == b""


def test_so_must_the_next_one(
    port: int, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.5)
    line = connect(port, opened, HEAD + b"\r\n")
    assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    line.sendall(HEAD)
    assert answer(line).startswith(b"HTTP/1.1 408 ")


def test_bytes_that_drip_do_not_prolong_it(
    port: int, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.4)
    line, began = connect(port, opened, HEAD), time.monotonic()
    with suppress(ConnectionError):
        while time.monotonic() - began < HANGS:
            line.sendall(b"x")
            time.sleep(0.02)
    assert time.monotonic() - began < HANGS


def test_a_body_must_come_in_time(
    port: int, opened: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.2)
    head = HEAD.replace(b"GET", b"POST") + b"Content-Length: 10\r\n\r\n"
    assert answer(connect(port, opened, head + b"123")) == b""


def test_a_body_in_small_chunks_is_taken_and_endless_trailers_are_not(
    port: int, opened: ExitStack
) -> None:
    head = HEAD.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n"
    assert asked(port, opened, head, b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n").endswith(b"100000")
    line, sent = connect(port, opened, head + b"\r\n3\r\nabc\r\n0\r\n"), 0
    with suppress(ConnectionError):
        while sent < 64 << 20:
            line.sendall(b"X-A: " + b"x" * 10_000 + b"\r\n")
            sent += 10_000
    assert sent < 16 << 20


@pytest.mark.parametrize(
    "slow", [HEAD, HEAD.replace(b"GET", b"POST") + b"Content-Length: 9\r\n\r\nx"]
)
def test_clients_that_do_not_finish_keep_nobody_out(
    monkeypatch: pytest.MonkeyPatch, opened: ExitStack, slow: bytes
) -> None:
    monkeypatch.setattr(bounds, "CONNECTIONS", 20)
    with running(echo) as url:
        port = urlsplit(url).port or 0
        clients = [connect(port, opened, slow) for _ in range(60)]
        for _ in range(5):
            assert asked(port, opened, HEAD).startswith(b"HTTP/1.1 200 ")
        assert answer(clients[0]) == b""
        opened.close()


@pytest.mark.parametrize(
    "hosts",
    [
        [], [b""], [b"localhost", b"localhost"], [b"localhost", b"evil.com"], [b"x@127.0.0.1"],
        [b"localhost:80:80"], [b"localhost:x"], [b"localhost:99999"], [b"local host"], [b"[::1"],
        [b"localhost, evil.com"], [b"http://localhost"], [b"localhost/"], [b"\xc3\xa9vil.com"],
        [b"evil.com#localhost"], [b"localhost%00"], [b"localhost\\"],
    ],
)  # fmt: skip
def test_a_request_names_one_host_plainly(port: int, opened: ExitStack, hosts: list[bytes]) -> None:
    lines = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    assert asked(port, opened, b"GET / HTTP/1.1\r\n" + lines).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("host", [b"localhost", b"127.0.0.1:1", b"[::1]:80", b"a-b.example.com"])
def test_a_plain_host_is_taken(port: int, opened: ExitStack, host: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n"
    assert asked(port, opened, head).startswith(b"HTTP/1.1 200 ")
