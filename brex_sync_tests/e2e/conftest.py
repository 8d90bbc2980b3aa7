"""Everything that `make up` starts, started once for these tests."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from brex_sync_tests.waiting import HANGS

NEVER_IN_A_TEST = "0 0 29 2 *"
"""A schedule that would start a run at the full hour, in the middle of a test, is no help."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Up:
    """A running `brex-sync up`."""

    process: subprocess.Popen[str]
    home: Path
    url: str
    service: str

    @property
    def token(self) -> str:
        return (self.home / "ui-token").read_text().strip()

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        url = f"{self.url}/graphql"
        answer = httpx.post(url, json=body, headers=self.bearer, timeout=HANGS).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def run_status(self, run_id: str) -> str:
        query = "query($id: ID!){runOrError(runId: $id){... on Run{status}}}"
        return self.graphql(query, id=run_id)["runOrError"].get("status", "")

    def await_run(self, run_id: str) -> str:
        deadline = time.monotonic() + HANGS
        while time.monotonic() < deadline:
            if (status := self.run_status(run_id)) in ("SUCCESS", "FAILURE", "CANCELED"):
                return status
            time.sleep(1)
        raise AssertionError(f"run {run_id} did not end")

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        host, port, database, user, password = (
            (self.home / "pgpass").read_text().strip().splitlines()[0].split(":")
        )
        with psycopg.connect(
            host=host, port=port, user=user, password=password, dbname="brex"
        ) as db:
            assert database in ("*", "brex")
            return db.execute(query).fetchall()


def start(
    home: Path, *arguments: str, cwd: Path | None = None, **variables: str
) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "BREX_SYNC_HOME": str(home),
        "BREX_SYNC_PG_PORT": str(free_port()),
        "BREX_SYNC_SANDBOX_PORT": str(free_port()),
        "BREX_SYNC_SERVICE_PORT": str(free_port()),
        "BREX_SYNC_SCHEDULE": NEVER_IN_A_TEST,
    }
    for name in ("BREX_API_KEY", "BREX_CONFIGURATION", "BREX_SYNC_DATABASE_URL"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "brex_sync", "up", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | variables,
        cwd=cwd,
    )


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=HANGS)
    return output


def await_ready(process: subprocess.Popen[str], home: Path) -> Up:
    """The whole, once it has said where it is."""
    assert process.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + HANGS
    while time.monotonic() < deadline:
        lines.append(line := process.stdout.readline())
        if "Ctrl-C stops everything" in line or not line:
            break
    told = "".join(lines)
    url = re.search(r"Dagster UI +(http://127\.0\.0\.1:\d+)", told)
    service = re.search(r"Service +(http://127\.0\.0\.1:\d+)", told)
    assert url is not None, told
    assert service is not None, told
    return Up(process, home, url[1], service[1])


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("up") / "home"
    process = start(home, "--port", str(free_port()))
    try:
        yield await_ready(process, home)
    finally:
        if process.poll() is None:
            stop(process)
