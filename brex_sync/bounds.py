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
"""At once. One more takes the place of the one that has waited longest with no whole head."""

_CLOSING = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_SLOW = b"HTTP/1.1 408 Request Timeout" + _CLOSING
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large" + _CLOSING


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol within these bounds. Each server takes a subclass of its own.

    `idle` are the server's connections without a whole head, the longest waiting first.
    """

    idle: dict["Bounded", None]
    most: int = CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection, and lets another go where there are too many."""
        super().connection_made(transport)
        self._head, self._answering = 0, 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._await_head()
        if len(self.connections) > self.most:
            longest = next(iter(self.idle))
            longest._stop_waiting()
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._stop_waiting()
        self._end_body()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes, of a head no more than it may have."""
        room = HEAD_BYTES - self._head
        if self in self.idle and len(data) > room:
            super().data_received(data[:room])
            if self in self.idle:
                self._head += room
                self._refuse(_LARGE)
                return
            data = data[room:]
        super().data_received(data)
        if self in self.idle:
            self._head += len(data)

    def on_headers_complete(self) -> None:
        """A head is there; its body is to follow in time."""
        self._stop_waiting()
        self._answering += 1
        self._end_body()
        self._body_timer = self.loop.call_later(BODY_SECONDS, self._refuse, _SLOW)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there."""
        self._end_body()
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
        self._end_body()
        super().handle_websocket_upgrade()

    def _await_head(self) -> None:
        self._head = 0
        self.idle[self] = None
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, _SLOW)

    def _stop_waiting(self) -> None:
        self.idle.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _refuse(self, answer: bytes) -> None:
        """Ends the connection, with an answer where none is under way."""
        if self in self.idle and self._head:
            self.transport.write(answer)
        self._stop_waiting()
        self.transport.close()


def bounded() -> type[Bounded]:
    """The protocol of one server, with no more connections than half of the files we may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)
    return type("BoundedHere", (Bounded,), {"idle": {}, "most": most})
