"""Failures of the system as an EmbeddedPostgresError."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brex_sync.errors import EmbeddedPostgresError

OTHERWISE = "set BREX_SYNC_DATABASE_URL to a Postgres of yours"
DISK_FULL = "No space left on device"


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turn what the system refuses inside the block into an EmbeddedPostgresError about `home`."""
    try:
        yield
    except OSError as refused:
        raise EmbeddedPostgresError(_advice(refused, home)) from refused


def _advice(refused: OSError, home: Path) -> str:
    where = refused.filename or home
    if refused.errno == errno.ENOSPC:
        return f"the disk of {where} is full: make room, or choose another folder than {home}"
    return (
        f"cannot use {where} ({refused.strerror}): make {home} a folder you can write to, "
        f"choose another, or {OTHERWISE}"
    )
