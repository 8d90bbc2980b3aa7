"""The one exception of this package, and how failures of the system become it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OTHERWISE = "set BREX_SYNC_DATABASE_URL to a Postgres of yours"
DISK_FULL = "No space left on device"


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; one line says what happened and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
