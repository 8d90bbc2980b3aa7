"""The data directory: its location, creation and settings."""

import os
import pwd
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from brex_sync.embedded.binaries import INSTEAD, Binaries
from brex_sync.embedded.credentials import HOST, OWNER
from brex_sync.embedded.privileges import Account, make_passable
from brex_sync.embedded.system_errors import DISK_FULL, OTHERWISE
from brex_sync.errors import EmbeddedPostgresError

SETTINGS_FILE = "brex_sync.conf"
SETTINGS = """\
# Written by brex_sync at every start. Use ALTER SYSTEM for settings of your own.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 100
max_locks_per_transaction = 512
shared_buffers = 128MB
fsync = on
max_wal_size = 1GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_error_verbosity = terse
log_min_error_statement = panic
"""
BUILTIN_LOCALE = ("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8")


@dataclass(frozen=True)
class Cluster:
    """A data directory at `link`, which may be a symbolic link to it, with the account and programs
    that run it.
    """

    link: Path
    account: Account
    binaries: Binaries
    shared: Path

    @property
    def data(self) -> Path:
        """The data directory itself."""
        return self.link.resolve()

    @property
    def exists(self) -> bool:
        """Whether it has been created. Raises EmbeddedPostgresError for a dangling link."""
        if self.link.is_symlink() and not self.data.exists():
            raise EmbeddedPostgresError(
                f"{self.link} points to {self.data}, which is gone: bring it back, or remove the "
                "link to begin with an empty database"
            )
        return self.link.exists()

    def create(self, password: str) -> None:
        """Creates the data directory elsewhere and moves it into place, so that it is never there
        in part.

        Raises EmbeddedPostgresError if initdb fails.
        """
        partial = self.link.with_name(f"{self.link.name}.new-{secrets.token_hex(4)}")
        if self.account.can_enter(self.link.parent):
            self.account.make_folder(partial)
        else:
            make_passable(self.shared)
            elsewhere = self.shared / secrets.token_hex(8)
            partial.symlink_to(elsewhere)
            self.account.make_folder(elsewhere)
        self._initdb(partial.resolve(), password)
        partial.rename(self.link)

    def discard_unfinished(self) -> None:
        """Removes what a killed start left.

        An initdb of that start may run on for a moment and then fails; the next start removes what
        it still wrote. A link to a folder outside the home is left alone.
        """
        for partial in self.link.parent.glob(f"{self.link.name}.new-*"):
            if partial.resolve().parent in (partial.parent.resolve(), self.shared):
                shutil.rmtree(partial.resolve(), ignore_errors=True)
            if not partial.exists():
                partial.unlink(missing_ok=True)

    def check_version(self) -> None:
        """Raises EmbeddedPostgresError if programs of another major version created the data."""
        version = self.data / "PG_VERSION"
        if not version.exists():
            raise EmbeddedPostgresError(f"{self.data} holds no Postgres data: move it away")
        made_by, major = version.read_text().strip(), str(self.binaries.major)
        if made_by != major:
            raise EmbeddedPostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, but {self.binaries.folder} is "
                f"{major}: set BREX_SYNC_PG_BIN to a PostgreSQL {made_by}, or move the folder "
                "away and sync afresh"
            )

    def configure(self, port: int) -> None:
        """Writes the settings for the next start of the server."""
        self.account.write(self.data / SETTINGS_FILE, SETTINGS.format(host=HOST, port=port))

    def _initdb(self, data: Path, password: str) -> None:
        _check_passwd_entry()
        piped = 'cat | "$0" "$@"'  # a pipe of the user's own, that /dev/stdin may open again
        done = self.account.run(
            *("/bin/sh", "-c", piped, self.binaries / "initdb", "--pgdata", data),
            *("--username", OWNER, "--pwfile", "/dev/stdin", "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
            *(BUILTIN_LOCALE if self.binaries.major >= 17 else ()),
            text=password + "\n",
        )
        if done.returncode:
            raise EmbeddedPostgresError(_initdb_failure(data, done.stdout))
        include = f"include = '{SETTINGS_FILE}'\n"
        self.account.write(data / "postgresql.conf", include, append=True)


def _check_passwd_entry() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise EmbeddedPostgresError(
            f"initdb needs a name for user id {os.geteuid()}, and /etc/passwd has none: add an "
            f"entry, run as another user, or {OTHERWISE}"
        ) from None


def _initdb_failure(data: Path, printed: str) -> str:
    if DISK_FULL in printed:
        return f"no room for the database in {data}: the disk is full"
    errors = [line for line in printed.splitlines() if "error" in line or "FATAL" in line]
    return f"initdb failed in {data} ({(errors or ['it did not say why'])[-1]}): {INSTEAD}"
