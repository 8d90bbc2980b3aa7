"""SIGKILL of any process of `brex-sync up`, or of all, at any moment: the next start heals it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from brex_sync.http_server import running
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.conftest import Rig, end_leases
from brex_sync_tests.e2e.conftest import Up, await_ready, free_port, start, stop
from brex_sync_tests.e2e.test_up import LAUNCH
from brex_sync_tests.engine.crashing import account, change, rig_of
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.waiting import HANGS, wait_until

EVERYTHING = "everything"
SIGNS = {
    "daemon": ("dagster._daemon", "run"),
    "UI": ("brex_sync.orchestration.ui", "--port"),
    "code server's parent": ("code-server", "start"),
    "code server": ("api", "grpc"),
    "worker": ("spawn_main", "--multiprocessing-fork"),
    "service": ("brex_sync", "serve"),
}
"""Processes by what must be on their command line."""
VICTIMS = ("up", *SIGNS, "Postgres")
MOMENTS = 10


class Whole:
    """`brex-sync up` over a Brex in this process, as often as it is started and killed."""

    def __init__(self, home: Path, url: str, gate: "Gate", rig: Rig) -> None:
        self.home, self.rig, self._gate = home, rig, gate
        self._fixed = {
            "BREX_CONFIGURATION": "sandbox",
            "BREX_API_URL": url,
            "BREX_SYNC_PG_PORT": str(free_port()),
            "BREX_SYNC_SERVICE_PORT": str(free_port()),
        }
        self.up: Up | None = None
        self._process: subprocess.Popen[str] | None = None
        self._green_before = 0

    def begin(self) -> None:
        """Starts everything, and waits until it says that it is ready."""
        self._process = start(self.home, "--port", str(free_port()), **self._fixed)
        self.up = await_ready(self._process, self.home)
        host, port, _, user, password = (self.home / "pgpass").read_text().split()[0].split(":")
        self.rig.engine.dispose()
        self.rig.engine = open_engine(f"postgresql://{user}:{password}@{host}:{port}/brex")

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            stop(self._process)
        self.rig.engine.dispose()

    def launch(self) -> None:
        assert self.up is not None
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "brex_sync",
            "jobName": "brex_sync",
            "assetCheckSelection": [],
        }
        params = {"selector": selector, "runConfigData": {}}
        launched = self.up.graphql(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched

    def kill_at(self, victim: str, request: int) -> None:
        """Kills it once so many requests have come from now on; returns when it is dead."""
        self._green_before = self.green()
        killed = self._gate.arm(request, lambda: self._kill(victim))
        wait_until(killed.is_set, f"no request came at which to kill {victim}")

    def _kill(self, victim: str) -> None:
        chosen = list(self.victims(victim))
        assert chosen, f"there is no {victim}"
        for process in chosen:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(chosen, timeout=HANGS)

    def victims(self, victim: str) -> Iterator[psutil.Process]:
        assert self.up is not None
        top = psutil.Process(self.up.process.pid)
        family = top.children(recursive=True)
        server = (self.home / "postgres" / "postmaster.pid").read_text().split()[0]
        postmaster = psutil.Process(int(server))
        if victim == EVERYTHING:
            yield from (top, postmaster, *family, *postmaster.children())
        elif victim == "up":
            yield top
        elif victim == "Postgres":
            yield postmaster
        else:
            yield from (p for p in family if all(s in _line(p) for s in SIGNS[victim]))

    def heal(self) -> float:
        """What a person does: nothing, while it runs; else starts it again. Returns the seconds
        until a run was green that followed on the kill."""
        assert self.up is not None
        began = time.monotonic()
        wait_until(lambda: self.up.process.poll() is not None or self._is_green())
        if self.up.process.poll() is not None:
            said, _ = self.up.process.communicate()
            assert "Traceback" not in said, said
            self.begin()
        # No process of before the kill is left, so nobody keeps these: as if 45 s had passed.
        end_leases(self.rig.engine)
        wait_until(self._is_green, "no green run followed")
        return time.monotonic() - began

    def green(self) -> int:
        return len(self._runs(["SUCCESS"]))

    def _is_green(self) -> bool:
        try:
            under_way = self._runs(["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
            return not under_way and self.green() > self._green_before
        except Exception:
            return False

    def _runs(self, statuses: list[str]) -> list[Any]:
        assert self.up is not None
        query = """query($statuses: [RunStatus!]) { runsOrError(filter: {statuses: $statuses}) {
            ... on Runs { results { runId jobName } } } }"""
        found = self.up.graphql(query, statuses=statuses)["runsOrError"]["results"]
        return [run for run in found if run["jobName"] == "brex_sync"]

    def assert_well(self) -> None:
        """The warehouse equals Brex, and neither the log nor `status` knows of anything else."""
        assert_equal(self.rig)
        states = {row[0] for row in self.rig.rows("SELECT state FROM brex_sync.runs")}
        assert "running" not in states
        assert "finished" in states
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
        environment = kept | self._fixed | {"BREX_SYNC_HOME": str(self.home)}
        asked = subprocess.run(
            [sys.executable, "-m", "brex_sync", "status"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANGS,
        )
        assert asked.returncode == 0, asked.stdout + asked.stderr


class Gate:
    """Stands before Brex, and strikes at a request."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._left = 0
        self._strike: Callable[[], object] = lambda: None
        self._done = threading.Event()

    def arm(self, request: int, strike: Callable[[], object]) -> threading.Event:
        self._done = threading.Event()
        self._strike, self._left = strike, request
        return self._done

    def _at_last(self) -> None:
        try:
            self._strike()
        finally:
            self._done.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._left:
            self._left -= 1
            if not self._left:
                threading.Thread(target=self._at_last, daemon=True).start()
        await self._app(scope, receive, send)


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@contextmanager
def whole(home: Path, unused: Any) -> Iterator[Whole]:
    rig = rig_of(unused, account())
    gate = Gate(rig.app)
    with running(gate) as url:
        started = Whole(home, url, gate, rig)
        try:
            yield started
        finally:
            started.end()


FIRST, LATER = 120, 60
"""Requests that a first sync, and one after `change`, make at least."""


def at(requests: int, moment: int) -> int:
    """The request of a moment, of which there are ten."""
    return 1 + requests * moment // MOMENTS


def live_through(home: Path, unused: Any, first: tuple[str, int], later: tuple[str, int]) -> None:
    """A first sync and a later one, with a victim killed at a moment of each."""
    with whole(home, unused) as one:
        one.begin()
        one.kill_at(first[0], at(FIRST, first[1]))
        took = [one.heal()]
        one.assert_well()
        change(one.rig, back=10)
        one.launch()
        one.kill_at(later[0], at(LATER, later[1]))
        took.append(one.heal())
        one.assert_well()
        print(f"{first}, {later}: green after {took[0]:.0f} s, {took[1]:.0f} s")


@pytest.mark.crash
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("moment", range(0, MOMENTS, 2))
def test_everything_killed_at_any_moment_is_healed(
    tmp_path: Path, engine: Any, moment: int
) -> None:
    first, later = (EVERYTHING, moment), (EVERYTHING, moment + 1)
    live_through(tmp_path / "home", engine, first, later)


@pytest.mark.crash
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(len(VICTIMS)))
def test_any_process_killed_at_any_moment_is_healed(
    tmp_path: Path, engine: Any, number: int
) -> None:
    first = (VICTIMS[number], number + 1)
    later = (VICTIMS[(number + 4) % len(VICTIMS)], (number * 7 + 3) % MOMENTS)
    live_through(tmp_path / "home", engine, first, later)


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_the_sandbox_killed_in_mid_sync_is_started_again_with_everything(tmp_path: Path) -> None:
    ports = {n: str(free_port()) for n in ("BREX_SYNC_PG_PORT", "BREX_SYNC_SANDBOX_PORT")}
    home = tmp_path / "home"
    up = await_ready(start(home, "--port", str(free_port()), **ports), home)
    begun = "{runsOrError(filter: {statuses: [STARTED]}){... on Runs{results{runId}}}}"
    wait_until(lambda: up.graphql(begun)["runsOrError"]["results"])
    family = psutil.Process(up.process.pid).children()
    [sandbox] = [p for p in family if "sandbox" in p.cmdline()]
    sandbox.send_signal(signal.SIGKILL)
    said, _ = up.process.communicate(timeout=HANGS)
    assert "sandbox ended by itself" in said
    again = await_ready(start(home, "--port", str(free_port()), **ports), home)
    try:
        ended = "SELECT count(*) FROM brex_sync.runs WHERE state = 'finished'"
        wait_until(lambda: again.sql(ended) != [(0,)])
    finally:
        stop(again.process)
