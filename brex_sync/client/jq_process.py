"""The process in which a jq program runs: apart, without our environment, and within limits.

It is started by its path, and imports nothing of ours. What it is sent and what it answers are
blocks of bytes behind their length: first the program, then JSON texts. It answers each with
`OK` or `FAILED` and the text; a JSON text with what jq makes of it unchanged as well.
"""

import os
import resource
import signal
import sys
from typing import BinaryIO

import jq

OK, FAILED = b"+", b"-"
MEMORY = 1 << 30
"""Bytes of address space."""
CPU_SECONDS = 20
"""For one text. The parent ends the process earlier; this limit is for when the parent is gone."""


def main() -> None:
    """Serves until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.clear()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, MEMORY)
    received, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        same = jq.compile(".")
        program = jq.compile(_block(received).decode())
    except ValueError as error:
        _answer(answers, FAILED, str(error))
        return
    _answer(answers, OK)
    while document := _block(received):
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS)
        try:
            text = document.decode()
            made = same.input_text(text).text(), program.input_text(text).text()
        except ValueError as error:
            _answer(answers, FAILED, str(error))
        else:
            _answer(answers, OK, *made)


def _limit(what: int, most: int) -> None:
    """Limits a resource, where the system can and allows it."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(what, (most, hard))
    except (OSError, ValueError):
        pass


def _block(received: BinaryIO) -> bytes:
    return received.read(int.from_bytes(received.read(8), "big"))


def _answer(answers: BinaryIO, how: bytes, *texts: str) -> None:
    answers.write(how)
    for text in texts:
        encoded = text.encode()
        answers.write(len(encoded).to_bytes(8, "big") + encoded)
    answers.flush()


if __name__ == "__main__":
    main()
