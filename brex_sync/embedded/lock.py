"""File locks between processes; the kernel releases those of a killed process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Waits for the lock at `path` and holds it exclusively inside the block."""
    descriptor = _open(path)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Membership:
    """A process's membership among all users of a resource; the last one to leave shuts it down."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def join(self) -> None:
        """Joins, unless already joined."""
        if self._descriptor is None:
            self._descriptor = _open(self._path)
            flock(self._descriptor, LOCK_SH)

    def is_last(self) -> bool:
        """Whether there is no other member. Call it only before leaving: it may give up the
        membership.
        """
        if self._descriptor is None:
            return False
        try:
            flock(self._descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def leave(self) -> None:
        """Leaves."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
