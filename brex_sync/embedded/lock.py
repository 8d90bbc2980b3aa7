"""File locks between processes; the kernel lets go of a killed owner's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock at `path` and hold it, alone, inside the block."""
    descriptor = _open(path)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Membership:
    """One user's share in something that many use, and the last one puts away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def join(self) -> None:
        """Take a share, if there is none yet."""
        if self._descriptor is None:
            self._descriptor = _open(self._path)
            flock(self._descriptor, LOCK_SH)

    def is_last(self) -> bool:
        """Whether nobody else has a share. Ask only on the way out: a share may be lost by it."""
        if self._descriptor is None:
            return False
        try:
            flock(self._descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def leave(self) -> None:
        """Give the share back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
