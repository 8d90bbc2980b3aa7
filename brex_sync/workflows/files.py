"""Files of a folder, read so that neither a link nor a device stands for one."""

import errno
import os
import stat
from pathlib import Path

from brex_sync.errors import UnfitFile


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """The content of the regular file `name` in `folder` itself.

    The file that is looked at is the file that is read, whatever is put in its place meanwhile.

    Raises:
        UnfitFile: there is none, it is a link or no regular file, or it has no byte or more than
            `most`.
    """
    asked = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            file = os.open(name, asked, dir_fd=there)
        finally:
            os.close(there)
        with open(file, "rb") as opened:
            regular = stat.S_ISREG(os.fstat(file).st_mode)
            content = opened.read(most + 1) if regular else b""
    except OSError as error:
        said = f"it cannot be read: {error.strerror}"
        raise UnfitFile(_REASONS.get(error.errno or 0, said)) from None
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
