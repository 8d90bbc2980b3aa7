"""The embedded server as a context manager that several processes share."""

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from brex_sync.embedded import ownership
from brex_sync.embedded.binaries import find_binaries
from brex_sync.embedded.cluster import Cluster
from brex_sync.embedded.credentials import (
    HOST,
    PassfileEntry,
    new_password,
    read_passfile,
    write_passfile,
)
from brex_sync.embedded.lock import Membership, exclusive
from brex_sync.embedded.postmaster import (
    await_postmaster,
    free_port,
    is_free,
    start_postmaster,
    stop_postmaster,
    trim_log,
)
from brex_sync.embedded.privileges import choose_account
from brex_sync.embedded.server import Server
from brex_sync.embedded.system_errors import explained
from brex_sync.errors import EmbeddedPostgresError
from brex_sync.folders import make_home, make_private

PREFERRED_PORT = 54329
SHARED = Path("/var/lib/brex-sync")  # for root, where home is closed to the user it switches to

STARTS = 20
"""Tries to start where others take the port that was just free."""
NO_PORT = "could not create any TCP/IP sockets"
"""What Postgres says of such a port, even if it is free again by then."""


class EmbeddedPostgres:
    """A Postgres server with its files in `home`, which runs while any process uses it.

    Any number of processes can use the same home; the first starts the server, the last stops it.
    `port` is the preferred TCP port, and `bin_dir` a folder of PostgreSQL programs that replaces
    the wheel's.
    """

    def __init__(self, home: Path, *, port: int | None = None, bin_dir: Path | None = None) -> None:
        self._home = Path(os.path.abspath(home))
        self._port = port
        self._bin_dir = bin_dir
        self._users = Membership(self._home / "postgres.users")
        self._cluster: Cluster | None = None

    def start(self) -> Server:
        """Joins the server's users, and starts it (creating its databases) if it does not run.

        Raises EmbeddedPostgresError if it cannot be started.
        """
        with explained(self._home):
            make_home(self._home)
            with self._alone():
                self._users.join()
                try:
                    return self._bring_up()
                except BaseException:
                    self._leave()
                    raise

    def stop(self) -> None:
        """Leaves the server's users, and stops it if there are no others.

        Raises EmbeddedPostgresError if it does not stop.
        """
        if self._users.held:
            with explained(self._home), self._alone():
                self._leave()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _passfile(self) -> Path:
        return self._home / "pgpass"

    @property
    def _log(self) -> Path:
        return self._home / "logs" / "postgres.log"

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self._home / "postgres.lock")

    def _leave(self) -> None:
        try:
            if self._cluster and self._users.is_last():
                stop_postmaster(self._cluster)
        finally:
            self._users.leave()

    def _bring_up(self) -> Server:
        self._cluster = cluster = self._find_cluster()
        cluster.discard_unfinished()
        if cluster.exists:
            cluster.check_version()
        credentials = self._credentials(cluster)
        if not cluster.exists:
            cluster.create(credentials.password)
        running = await_postmaster(cluster.data)
        trim_log(self._log)
        if running:
            credentials = self._remember(replace(credentials, port=running.port))
        else:
            credentials = self._launch(cluster, credentials)
        server = Server(
            HOST,
            credentials.port,
            credentials.user,
            credentials.password,
            self._passfile,
            cluster.binaries / "psql",
        )
        owned = ownership.prepare(server)
        self._remember(replace(credentials, user=owned.user))
        return owned

    def _find_cluster(self) -> Cluster:
        link = self._home / "postgres"
        account = choose_account(link)
        return Cluster(link, account, find_binaries(self._bin_dir, account, SHARED), SHARED)

    def _credentials(self, cluster: Cluster) -> PassfileEntry:
        known = read_passfile(self._passfile)
        if not known and cluster.exists:
            raise EmbeddedPostgresError(
                f"{self._passfile}, which has the password of {cluster.link}, is gone: bring it "
                "back, or move the folder away and sync afresh"
            )
        return known or self._remember(PassfileEntry(self._port or PREFERRED_PORT, new_password()))

    def _remember(self, credentials: PassfileEntry) -> PassfileEntry:
        if credentials != read_passfile(self._passfile):
            write_passfile(self._passfile, credentials)
        return credentials

    def _launch(self, cluster: Cluster, credentials: PassfileEntry) -> PassfileEntry:
        """Starts the server on the preferred or remembered port, or the next free one."""
        make_private(self._log.parent)
        wanted = self._port or credentials.port
        for _ in range(STARTS):
            port = free_port(wanted)
            failure = start_postmaster(cluster, port, self._log)
            if failure is None:
                return self._remember(replace(credentials, port=port))
            if is_free(port) and NO_PORT not in failure:
                break
        raise EmbeddedPostgresError(f"Postgres did not start: {failure}; see {self._log}")
