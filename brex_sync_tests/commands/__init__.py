"""The command line in processes of its own, without importing it anew for each.

A server imports `brex_sync.cli` once per test process and forks for each command. What a test
holds is a light process that lends the command its streams, folder and environment, passes
signals on, ends with its exit code, and takes it along when it is killed.
"""

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]


def start(*words: str, **options: Any) -> subprocess.Popen[str]:
    """Starts `brex-sync` with these words; the options are those of `Popen`."""
    if not hasattr(os, "pidfd_open"):
        command = [sys.executable, "-m", "brex_sync", *words]
    else:
        command = [sys.executable, "-I", "-S", str(HERE / "light.py"), _server(), *words]
    return subprocess.Popen(command, text=True, **options)


@cache
def _server() -> str:
    """The socket of this process's server, which ends with this process."""
    socket = os.path.join(tempfile.mkdtemp(prefix="brex-sync-commands-"), "socket")
    server = subprocess.Popen(
        [sys.executable, "-m", "brex_sync_tests.commands.server", socket],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.stdin.close)
    return socket
