"""Real servers in temporary homes, and what it takes to put them away again."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from brex_sync.embedded import Server
from brex_sync.embedded import postgres as embedded
from brex_sync.embedded.postmaster import find_postmaster
from brex_sync_tests.waiting import HANGS

SHOWN_AT_FIRST_START: set[str] = set()  # words of all command lines while `made_home` was made

OWNER = """
import sys
from pathlib import Path
from brex_sync.embedded import EmbeddedPostgres
from brex_sync_tests.waiting import HANGS
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


class Owner:
    """Another process that uses the server of a home, until told to leave or killed."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def port(self) -> int:
        """Wait until the server is up and say its port."""
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate(timeout=HANGS)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=HANGS)


def query(server: Server, statement: str, database: str = "brex") -> list[tuple[object, ...]]:
    """What the server answers to a statement, over TCP with the password."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody collected does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def server_pid(home: Path) -> int:
    """The process id of the server of `home`, which must be running."""
    found = find_postmaster((home / "postgres").resolve())
    assert found
    return found.pid


def kill_server(home: Path) -> None:
    """End a server that a test left behind."""
    if left := find_postmaster((home / "postgres").resolve()):
        os.kill(left.pid, signal.SIGKILL)
        while is_alive(left.pid):
            time.sleep(0.01)


def put_away(home: Path) -> None:
    """End a server that a test left behind, and remove all its files."""
    kill_server(home)
    shutil.rmtree((home / "postgres").resolve(), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def open_folder() -> Path:
    """A temporary folder that everybody may pass through, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="brex-sync-test-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    """A home in which nothing was made yet."""
    folder = open_folder()
    yield folder / "home"
    put_away(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A home whose server has run once."""
    folder = open_folder()
    owner = Owner(folder / "home")
    assert owner.process.stdout
    while not select.select([owner.process.stdout], [], [], 0.01)[0]:
        for process in psutil.process_iter(["cmdline"]):
            SHOWN_AT_FIRST_START.update(process.info["cmdline"] or [])
    owner.leave()
    yield folder / "home"
    put_away(folder / "home")
    shutil.rmtree(folder)


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    """A home whose server has run before and is stopped; the tests share it, one at a time."""
    passfile = made_home / "pgpass"
    before = passfile.read_text()
    yield made_home
    passfile.write_text(before)
    passfile.chmod(0o600)
    kill_server(made_home)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for root's folder in /var/lib."""
    folder = open_folder()
    monkeypatch.setattr(embedded, "SHARED", folder / "brex-sync")
    yield folder / "brex-sync"
    shutil.rmtree(folder)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that only its owner may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="brex-sync-test-"))
    assert folder.stat().st_mode & 0o777 == 0o700
    yield folder
    shutil.rmtree(folder)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about running as root")
