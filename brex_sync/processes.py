"""Identities of processes that other processes can check."""

import os
import socket
from pathlib import Path

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")
_SAME = 0.1
"""Seconds by which two readings of a process's start may differ."""


def me() -> str:
    """This process: its host, pid and start time."""
    started = psutil.Process().create_time()
    return f"{_place()} {os.getpid()} {started}"


def told() -> str:
    """This process, in words for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_alive(process: str) -> bool | None:
    """Whether a process identified by `me` still runs; None if it cannot be seen from here."""
    place, pid, started = process.rsplit(" ", 2)
    if place != _place():
        return None
    try:
        found = psutil.Process(int(pid))
        same = abs(found.create_time() - float(started)) < _SAME
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None


def _place() -> str:
    """The kernel's boot id and the pid namespace; the host name where neither exists."""
    try:
        return f"{_BOOT.read_text().strip()} {_PIDS.readlink()}"
    except OSError:
        return f"{socket.gethostname()} {int(psutil.boot_time())}"
