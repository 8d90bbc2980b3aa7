"""What one client may take of a server: bytes and time of a request's head, and connections."""

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""The request line and the headers, together."""
HEAD_SECONDS = 15.0
"""From a connection, or the answer before, to the end of a head."""
BODY_SECONDS = 120.0
"""From the end of a head to the end of its body."""
CONNECTIONS = 512
"""At once. One more takes the place of the one that has waited longest with no whole request."""
MOST_FRAMING = 16
"""Bytes besides each byte of a body: small chunks have five, and a trailer none to speak of."""

_CLOSING = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_SLOW = b"HTTP/1.1 408 Request Timeout" + _CLOSING
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _CLOSING


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol within these bounds. Each server takes a subclass of its own.

    `waiting` are the server's connections without a whole request, the longest waiting first.
    """

    waiting: dict["Bounded", None]
    most: int = CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection, and lets another go where there are too many."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._answering = 0
        self._await_head()
        if len(self.connections) > self.most:
            longest = next(iter(self.waiting))
            longest._stop_waiting()
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes: of a head, and of what is no body, no more than there may be."""
        room = HEAD_BYTES - self._received
        if self._in_head and len(data) > room:
            super().data_received(data[:room])
            if self._in_head:
                self._received += room
                self._refuse(_LARGE)
                return
            data = data[room:]
        super().data_received(data)
        if self in self.waiting:
            self._received += len(data)
            if self._received > 2 * HEAD_BYTES + MOST_FRAMING * self._body:
                self._refuse(_LARGE)

    def on_headers_complete(self) -> None:
        """A head is there; its body is to follow in time."""
        self._in_head = False
        self._answering += 1
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of a body is there."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A whole request is there."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is sent; the next head is to follow in time."""
        self._answering -= 1
        if not self._answering:
            self._await_head()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Another protocol takes over."""
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def _await_head(self) -> None:
        self._in_head, self._received, self._body = True, 0, 0
        self._stop_waiting()
        self.waiting[self] = None
        self._wait(HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Waits for so long for what is to come now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._refuse, _SLOW)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, answer: bytes) -> None:
        """Ends the connection, with an answer where none is under way."""
        if self._in_head and self._received:
            self.transport.write(answer)
        self._stop_waiting()
        self.transport.close()


def bounded() -> type[Bounded]:
    """The protocol of one server, with no more connections than half of the files we may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)
    return type("BoundedHere", (Bounded,), {"waiting": {}, "most": most})
