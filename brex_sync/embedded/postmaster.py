"""The server process: finding it, starting it, stopping it."""

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from brex_sync.embedded.cluster import Cluster
from brex_sync.embedded.credentials import HOST
from brex_sync.embedded.system_errors import DISK_FULL
from brex_sync.errors import EmbeddedPostgresError

WAIT = 120.0  # seconds, for a start that recovers from a crash, or for a stop
EXIT_WAIT = 10.0  # seconds, from the end of the stop to the end of the process
ORPHANS_WAIT = 15.0  # seconds, for the children of a killed server to notice
LOG_SIZE = 5_000_000  # bytes, from which the log is set aside
PORTS_TRIED = 200


@dataclass(frozen=True)
class Postmaster:
    """A live server process on a data directory."""

    pid: int
    port: int
    ready: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """The server that runs on `data`; None if there is none, or if its pid belongs to another
    program now.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4 or not _is_postgres_on(int(lines[0]), data):
        return None
    return Postmaster(int(lines[0]), int(lines[3]), "ready" in lines[-1])


def await_postmaster(data: Path) -> Postmaster | None:
    """As find_postmaster, but waits for a server that is starting or stopping."""
    deadline = time.monotonic() + WAIT
    while (found := find_postmaster(data)) and not found.ready:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"Postgres (process {found.pid}) neither starts nor stops: end it, then try again"
            )
        time.sleep(0.05)
    return found


def start_postmaster(cluster: Cluster, port: int, log: Path) -> str | None:
    """Starts the server on `port`. Returns None, or the line of its log that says why it failed."""
    cluster.configure(port)
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    deadline = time.monotonic() + ORPHANS_WAIT
    while failure := _try_start(cluster, log):
        if "shared memory block" not in failure or time.monotonic() > deadline:
            return failure
        time.sleep(0.2)
    return None


def stop_postmaster(cluster: Cluster) -> None:
    """Stops the server, if it runs, and waits until its process has ended and its port is free.

    Raises EmbeddedPostgresError if it does not stop.
    """
    running = find_postmaster(cluster.data)
    if not running:
        return
    done = _pg_ctl(cluster, "stop", "-m", "fast")
    deadline = time.monotonic() + EXIT_WAIT
    while _is_alive(running.pid):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"Postgres on {cluster.data} did not stop: {done.stdout}")
        time.sleep(0.005)


def free_port(first: int) -> int:
    """The first free TCP port from `first` on."""
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        if is_free(port):
            return port
    raise EmbeddedPostgresError(f"no TCP port is free from {first} on: choose another")


def is_free(port: int) -> bool:
    """Whether a server can listen on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def trim_log(log: Path) -> None:
    """Moves a long log to a second file, and empties it for a server that may be writing to it."""
    if log.exists() and log.stat().st_size > LOG_SIZE:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def _is_postgres_on(pid: int, data: Path) -> bool:
    try:
        command = psutil.Process(pid).cmdline()
    except (psutil.Error, ValueError):
        return False
    return bool(command) and Path(command[0]).name == "postgres" and str(data) in command


def _is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def _try_start(cluster: Cluster, log: Path) -> str | None:
    trim_log(log)
    with log.open("ab") as output:
        begin = output.tell()
        done = _pg_ctl(cluster, "start", output=output)
    if not done.returncode:
        return None
    with log.open("rb") as written:
        written.seek(begin)
        return _reason(written.read().decode(errors="replace"))


def _pg_ctl(
    cluster: Cluster, action: str, *options: str, output: IO[bytes] | int = subprocess.PIPE
) -> "subprocess.CompletedProcess[str]":
    return cluster.account.run(
        *(cluster.binaries / "pg_ctl", action, "--pgdata", cluster.data),
        *("--silent", "--wait", "--timeout", str(round(WAIT)), *options),
        output=output,
    )


def _reason(printed: str) -> str:
    lines = [line.split("] ", 1)[-1] for line in printed.splitlines() if line.strip()]
    if any(DISK_FULL in line for line in lines):
        return f"the disk is full ({DISK_FULL})"
    telling = [line for line in lines if line.startswith(("FATAL", "PANIC"))]
    return (telling or lines or ["it said nothing"])[-1]
