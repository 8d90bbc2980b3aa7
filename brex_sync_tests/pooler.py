"""Debian's PgBouncer in transaction mode, as strict as it comes: nothing that a client asks for at
its start is ignored, few sessions are shared by all, and no statement is kept for anybody."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

SETTINGS = """
[databases]
* = host={host} port={port} user={user} password={password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
ignore_startup_parameters =
server_reset_query =
"""


@contextmanager
def pooled(server: Any, sessions: int = 4) -> Iterator[Callable[[str], str]]:
    """Runs a pooler before a server; yields what turns a URL of the server into one through it."""
    folder = Path(tempfile.mkdtemp(prefix="brex-sync-pooler-"))
    given = folder / "pgbouncer.ini"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        listen = probe.getsockname()[1]
    given.write_text(
        SETTINGS.format(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            listen=listen,
            sessions=sessions,
        )
    )
    user = _unprivileged()
    for path in (folder, given):
        os.chown(path, user.pw_uid, user.pw_gid)
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(given)], user=user.pw_uid, stdout=log, stderr=log)
    try:
        _await(process, listen, folder / "log")
        yield lambda url: url.replace(f":{urlsplit(url).port}/", f":{listen}/")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _unprivileged() -> Any:
    """PgBouncer does not run as root."""
    return pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam("nobody")


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    while process.poll() is None:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="any", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())
