"""`brex-sync serve` on its own, with a Postgres of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from brex_sync_tests.e2e.conftest import free_port
from brex_sync_tests.waiting import HANGS


def _postmasters(home: Path) -> list[int]:
    """The Postgres servers whose data lie in a home."""
    data = str((home / "postgres").resolve())
    named = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres"]
    return [p.pid for p in named if any(data in word for word in _words(p))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize(
    "ending", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.crash)]
)
def test_a_service_that_is_ended_leaves_nothing_running(tmp_path: Path, ending: int) -> None:
    home, port = tmp_path / "home", free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
    environment |= {"BREX_SYNC_HOME": str(home), "BREX_SYNC_PG_PORT": str(free_port())}
    command = [sys.executable, "-m", "brex_sync", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as process:
        deadline = time.monotonic() + HANGS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                health = httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        assert health.json() == {"status": "up"}
        assert _postmasters(home)
        process.send_signal(ending)
        process.wait(timeout=HANGS)
    assert _postmasters(home) == []
