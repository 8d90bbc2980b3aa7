"""A way to Postgres that breaks once, in the middle of what is sent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from brex_sync_tests.waiting import HANGS

BLOCK = 65536


class Way:
    """Passes bytes on to a port of this machine; cuts a connection once so many were sent."""

    def __init__(self, port: int, after: int) -> None:
        self._port, self._after = port, after
        self.cut = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                for source, target, sending in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pass, args=(source, target, sending), daemon=True
                    ).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass(self, source: socket.socket, target: socket.socket, sending: bool) -> None:
        sent = 0
        with suppress(OSError), source, target:
            while block := source.recv(BLOCK):
                sent += len(block) if sending else 0
                if sent > self._after and not self.cut:
                    self.cut += 1
                    source.shutdown(socket.SHUT_RDWR)
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(block)


@contextmanager
def cutting(port: int, after: int) -> Iterator[Way]:
    """A way to `port` that is cut once `after` bytes went through a connection."""
    way = Way(port, after)
    thread = threading.Thread(target=way.serve, daemon=True)
    thread.start()
    try:
        yield way
    finally:
        way.close()
        thread.join(timeout=HANGS)
