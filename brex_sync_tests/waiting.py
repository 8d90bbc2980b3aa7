"""How long a test waits before it calls something hung. Never a measure of speed."""

import time
from collections.abc import Callable

HANGS = 600.0
"""Seconds: long enough for one busy, slow core, and shorter than the timeout of a test."""


def wait_until(true: Callable[[], object], told: str = "it never came to be") -> None:
    """Returns once `true` is; fails with `told` where that hangs."""
    end = time.monotonic() + HANGS
    while not true():
        assert time.monotonic() < end, told
        time.sleep(0.02)
