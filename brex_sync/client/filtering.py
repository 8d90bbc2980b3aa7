"""jq over Brex's answers, as long as jq does not change a number in them."""

import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path

from brex_sync.client.calls import decode
from brex_sync.errors import FilterError

CHILD = Path(__file__).with_name("jq_process.py")
DEADLINE = 10.0
"""Seconds in which a program must have done with one answer, or with one item of a list."""
STARTING = 120.0
"""Seconds in which its process must have come up."""
_OK = b"+"


class Filter:
    """A jq program, in a process of its own that sees neither our environment nor our memory.

    jq computes with doubles, so what no double holds is refused, not rounded. The process ends with
    the filter, or with ours.
    """

    def __init__(self, program: str) -> None:
        """Raises FilterError where it does not compile."""
        received, self._into = os.pipe()
        self._out, answered = os.pipe()
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", str(CHILD)],
            cwd="/",
            env=kept,
            stdin=received,
            stdout=answered,
            stderr=subprocess.DEVNULL,
        )
        os.close(received)
        os.close(answered)
        weakref.finalize(self, _end, self._process, self._into, self._out)
        self._send(program.encode("utf-8", "replace"))
        self._await_answer(STARTING)

    def results(self, text: bytes) -> list[str]:
        """What the program makes of a JSON text, one JSON text each.

        Raises:
            FilterError: it fails, takes too long or too much memory, or would be given a number
                that jq cannot hold.
        """
        self._send(text)
        ends = self._await_answer(DEADLINE)
        same, made = self._block(ends), self._block(ends)
        if decode(same) != decode(text):
            raise FilterError(
                "--jq: the answer has a number that jq would round; leave --jq out to see it"
            )
        return made.decode().split("\n")

    def close(self) -> None:
        """Ends the process; a call that waits for its results raises FilterError."""
        self._process.kill()
        self._process.wait()

    def _send(self, block: bytes) -> None:
        try:
            left = memoryview(len(block).to_bytes(8, "big") + block)
            while left:
                left = left[os.write(self._into, left) :]
        except BrokenPipeError:
            raise self._ended() from None

    def _await_answer(self, seconds: float) -> float:
        """Waits for an answer that it did well; until when the rest of it must have come."""
        ends = time.monotonic() + seconds
        if self._read(1, ends) != _OK:
            raise FilterError(f"--jq: {_line(self._block(ends).decode())}")
        return ends

    def _block(self, ends: float) -> bytes:
        return self._read(int.from_bytes(self._read(8, ends), "big"), ends)

    def _read(self, size: int, ends: float) -> bytes:
        read = bytearray()
        while len(read) < size:
            left = max(0.0, ends - time.monotonic())
            ready, _, _ = select.select([self._out], [], [], left)
            if not ready:
                self.close()
                raise FilterError(
                    f"--jq: the program was not done with one answer within {DEADLINE:.0f} s, "
                    "and was ended: does it end at all?"
                )
            some = os.read(self._out, min(size - len(read), 1 << 20))
            if not some:
                raise self._ended()
            read += some
        return bytes(read)

    def _ended(self) -> FilterError:
        """Why the process has ended by itself: jq aborts where it gets no more memory."""
        code = self._process.wait()
        why = "it needs too much memory" if code else "it halted"
        return FilterError(f"--jq: the program was ended: {why}")


def _end(process: "subprocess.Popen[bytes]", *pipes: int) -> None:
    process.kill()
    process.wait()
    for pipe in pipes:
        os.close(pipe)


def _line(said: str) -> str:
    first, *rest = (line.strip() for line in said.splitlines() if line.strip())
    return f"{first} {' '.join(rest[:1])}".strip() if rest and first.endswith(":") else first
