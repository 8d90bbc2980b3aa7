"""Reads regular files of a folder, and refuses links and devices."""

import errno
import os
import stat
from pathlib import Path

from brex_sync.errors import UnfitFile


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """Returns the content of the regular file `name` in `folder` itself.

    The file that is checked is the file that is read, even if it is replaced in between.

    Raises:
        UnfitFile: there is no such file, it is a link or no regular file, it is empty, or it has
            more than `most` bytes.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            file = os.open(name, flags, dir_fd=there)
        finally:
            os.close(there)
        with open(file, "rb") as opened:
            regular = stat.S_ISREG(os.fstat(file).st_mode)
            content = opened.read(most + 1) if regular else b""
    except OSError as error:
        unknown = f"it cannot be read: {error.strerror}"
        raise UnfitFile(_REASONS.get(error.errno or 0, unknown)) from None
    if not regular:
        raise UnfitFile("it is no regular file")
    if not content or len(content) > most:
        raise UnfitFile(f"it is empty, or has more than the {most >> 20} MB that Brex takes")
    return content


_REASONS = {
    errno.EISDIR: "there is no such file in the folder",
    errno.ENOENT: "there is no such file in the folder",
    errno.ELOOP: "it is a link: put the file itself into the folder",
    errno.EACCES: "it cannot be read",
    errno.ENXIO: "it is no regular file",
}
