"""Limits on what one client takes of a server: size and time of a request's head, connections."""

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
    """uvicorn's HTTP protocol with these limits. Each server uses its own subclass (`bounded`).

    `waiting` are the server's connections without a complete request, the longest waiting first.
    """

    waiting: dict["Bounded", None]
    most: int = CONNECTIONS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a connection, and closes the longest waiting one if there are too many."""
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._answering = 0
        self._await_head()
        if len(self.connections) > self.most:
            longest = next(iter(self.waiting))
            longest._stop_waiting()
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Removes the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receives bytes; a head, or anything outside a body, must stay within its limit."""
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
        """Starts the time limit of the body."""
        self._in_head = False
        self._answering += 1
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Receives a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the time limit: the request is complete."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Starts the time limit of the next head."""
        self._answering -= 1
        if not self._answering:
            self._await_head()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection to the WebSocket protocol."""
        self._stop_waiting()
        super().handle_websocket_upgrade()

    def _await_head(self) -> None:
        self._in_head, self._received, self._body = True, 0, 0
        self._stop_waiting()
        self.waiting[self] = None
        self._wait(HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Starts the time limit of what comes next."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._refuse, _SLOW)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, answer: bytes) -> None:
        """Closes the connection, with a response if none has been started."""
        if self._in_head and self._received:
            self.transport.write(answer)
        self._stop_waiting()
        self.transport.close()


def bounded() -> type[Bounded]:
    """The protocol class of one server, with at most half as many connections as open files
    allowed.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS if files == resource.RLIM_INFINITY else min(CONNECTIONS, files // 2)
    return type("BoundedHere", (Bounded,), {"waiting": {}, "most": most})
