"""jq over Brex's answers, as long as jq does not change a number in them."""

from collections.abc import Iterator
from typing import Any

import jq

from brex_sync.requests.calls import decode

_SAME: Any = jq.compile(".")


class FilterError(Exception):
    """A jq program, or what it was applied to, is no good; the message is one line."""


class Filter:
    """A jq program. It computes with doubles, so what no double holds is refused, not rounded."""

    def __init__(self, program: str) -> None:
        """Raises FilterError where it does not compile."""
        try:
            self._program: Any = jq.compile(program)
        except ValueError as error:
            raise FilterError(f"--jq: {_line(error)}") from None

    def results(self, text: bytes) -> Iterator[str]:
        """What the program makes of a JSON text, one JSON text each.

        Raises:
            FilterError: it fails, or would be given a number that jq cannot hold.
        """
        document = text.decode()
        try:
            same = _SAME.input_text(document).text()
            made = self._program.input_text(document).text()
        except ValueError as error:
            raise FilterError(f"--jq: {_line(error)}") from None
        if decode(same.encode()) != decode(text):
            raise FilterError(
                "--jq: the answer has a number that jq would round; leave --jq out to see it"
            )
        yield from made.split("\n")


def _line(error: ValueError) -> str:
    first, *rest = (line.strip() for line in str(error).splitlines() if line.strip())
    return f"{first} {' '.join(rest[:1])}".strip() if rest and first.endswith(":") else first
