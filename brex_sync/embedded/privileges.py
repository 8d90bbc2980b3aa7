"""The account that runs the server: the current one, or an unprivileged one if that is root, which
Postgres refuses.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from brex_sync.embedded.system_errors import OTHERWISE
from brex_sync.errors import EmbeddedPostgresError

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """An account of this machine. `uid` and `gid` are None for the current one."""

    uid: int | None = None
    gid: int | None = None

    def __str__(self) -> str:
        return f" as user id {self.uid}" if self.switched else ""

    @property
    def switched(self) -> bool:
        """Whether this is not the current account."""
        return self.uid is not None

    def run(
        self, *command: str | Path, text: str = "", output: IO[bytes] | int = subprocess.PIPE
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command as this account, in its own session, with an empty environment.

        `text` is its standard input; its output and errors go to `output`. Raises OSError if it
        cannot be run.
        """
        return subprocess.run(  # noqa: S603 - every caller names the program itself
            [str(word) for word in command],
            check=False,
            input=text,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=_environment(),
            umask=0o077,
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=[] if self.switched else None,
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account can pass through `folder` and all of its parents."""
        return self.run("/bin/sh", "-c", 'cd "$1"', "sh", folder).returncode == 0

    def write(self, path: Path, text: str, *, append: bool = False) -> None:
        """Writes a file as this account, so that a link it planted cannot redirect root's write.

        Raises EmbeddedPostgresError if this account cannot write it.
        """
        into = ">>" if append else ">"
        done = self.run("/bin/sh", "-c", f'cat {into} "$1"', "sh", path, text=text)
        if done.returncode:
            raise EmbeddedPostgresError(f"cannot write {path}: {done.stdout}")

    def make_folder(self, path: Path) -> None:
        """Creates a folder that only this account can use."""
        path.mkdir(mode=0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def choose_account(data: Path) -> Account:
    """The account that runs the server: the current one; for root the owner of `data`, or an
    unprivileged account.

    Raises EmbeddedPostgresError for root on a machine without such an account.
    """
    if os.geteuid() != 0:
        return Account()
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "Postgres does not run as root, and there is no user 'postgres' or 'nobody' here to run it "
        f"as: add one (useradd --system postgres), run as an ordinary user, or {OTHERWISE}"
    )


def make_passable(folder: Path) -> None:
    """Creates `folder` if it is missing; everyone can pass through it, only root can add files."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **kept}
