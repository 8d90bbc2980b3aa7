"""Folders that only their owner can use, whatever the umask."""

import errno
import os
import stat
from pathlib import Path

from brex_sync.errors import FolderError

PRIVATE = 0o700
PASSABLE = 0o711
"""Root's home: the user that root runs Postgres as passes through it."""


def make_home(home: Path) -> None:
    """Creates the home and its missing parents. An existing home keeps its permissions.

    Raises:
        FolderError: it cannot be created, or others could replace files in it.
    """
    try:
        _make(home, PASSABLE if os.geteuid() == 0 else PRIVATE)
        found = home.stat()
    except OSError as error:
        raise _refusal(error, home) from None
    if os.geteuid() != 0 and found.st_uid not in (os.geteuid(), 0):
        raise FolderError(errno.EPERM, "it belongs to another user", str(home))
    if found.st_mode & stat.S_IWOTH:
        raise FolderError(errno.EPERM, "every user of this machine may write to it", str(home))


def make_private(folder: Path) -> None:
    """Creates a folder in the home that others cannot enter; changes the mode of an existing one.

    Raises:
        FolderError: it cannot be created, or its mode cannot be changed.
    """
    try:
        _make(folder, PRIVATE)
        if stat.S_IMODE(folder.stat().st_mode) & ~PRIVATE:
            folder.chmod(PRIVATE)
    except OSError as error:
        raise _refusal(error, folder) from None


def _make(folder: Path, mode: int) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        try:
            one.mkdir(mode)
        except FileExistsError:
            continue
        one.chmod(mode)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def _refusal(error: OSError, folder: Path) -> FolderError:
    return FolderError(error.errno, error.strerror, str(folder))
