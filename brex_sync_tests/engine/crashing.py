"""Runs of the command `brex-sync sync` to which something is done at a chosen moment."""

import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from brex_sync.http_server import running
from brex_sync.sandbox import World, create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests import commands
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import card, day, person, spent
from brex_sync_tests.waiting import HANGS

PAGE = 50
LEAVER = "leaver"
CARDS = "/v2/transactions/card/primary"


@dataclass(frozen=True, slots=True)
class Moment:
    """When to strike: so many seconds after a request, counted from 1, came in."""

    request: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit code, what it said, and how many requests it made."""

    code: int
    said: str
    requests: int


def account() -> World:
    """A company of a thousand card transactions, and someone who leaves without having spent: what
    an expense shows of its user is as of when it was read."""
    world = create_world(card_transactions=1000)
    world.collection("users").add(person(LEAVER))
    return world


def rig_of(engine: Any, world: World) -> Rig:
    """A rig whose Brex refuses pages of more than fifty rows, so that most lists have several."""
    rig = Rig(engine, world)
    for path in (CARDS, "/v2/transactions/cash/*", "/v2/users", "/v2/cards"):
        rig.faults.add(Fault(FaultKind.SMALL_PAGES, path, times=None, limit=PAGE))
    return rig


def change(rig: Rig, *, back: int) -> None:
    """Edits, additions and deletions everywhere, of transactions between 0 and `back` days old."""
    transactions = rig.world.collection("card_transactions")
    recent = [t["id"] for t in transactions.items() if t["posted_at_date"] >= day(rig.world, back)]
    for key in recent[::7]:
        transactions.edit(key, description="edited")
    for i in range(120):
        transactions.add(spent(f"new{i:03d}", day(rig.world, i % 10)))
    rig.world.collection("users").add(person("new"))
    rig.world.collection("users").delete(LEAVER)
    rig.world.collection("cards").add(card("new", "new"))
    rig.world.collection("cards").delete(rig.world.collection("cards").rows().ids[60])


def command(
    rig: Rig, home: Path, *options: str, moment: Moment | None = None, strike: Any = None
) -> Ended:
    """Runs the command against the rig; at `moment`, `strike` is called with the process."""
    gate = _Gate(rig.app, moment)
    before = len(rig.requests)
    with running(gate) as url:
        child = commands.start(
            "sync",
            *options,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))},
                "BREX_SYNC_HOME": str(home),
                "BREX_SYNC_DATABASE_URL": rig.engine.url.render_as_string(hide_password=False),
                "BREX_CONFIGURATION": "sandbox",
                "BREX_API_URL": url,
                "COLUMNS": "200",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        gate.strike = lambda: strike(child)
        try:
            said, _ = child.communicate(timeout=HANGS)
        finally:
            child.kill()
            gate.wait()
    return Ended(child.returncode, said, len(rig.requests) - before)


class _Gate:
    """Stands before the sandbox and strikes when it is time."""

    def __init__(self, app: Any, moment: Moment | None) -> None:
        self._app, self._moment = app, moment
        self._came = 0
        self._timer: threading.Timer | None = None
        self.strike: Callable[[], object] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._came += scope["type"] == "http"
        if self._moment and self._came == self._moment.request:
            self._timer = threading.Timer(self._moment.seconds, lambda: self.strike())
            self._timer.start()
        await self._app(scope, receive, send)

    def wait(self) -> None:
        if self._timer:
            self._timer.join(timeout=HANGS)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a list was read when its reader was killed."""

    open: bool
    pages: int
    full: bool
    known: bool


def standings(rig: Rig) -> dict[tuple[str, str], Standing]:
    """By stream and slice."""
    found = rig.rows(
        "SELECT stream, slice, window_open, window_pages, window_scope, watermark "
        "FROM brex_sync.checkpoints"
    )
    return {
        (stream, slice_): Standing(opened, pages, scope == "full", watermark is not None)
        for stream, slice_, opened, pages, scope, watermark in found
    }


def requests_allowed(standing: Standing | None, pages: int, overlap: int | None) -> int:
    """What the run after a kill may ask of a list: what was not committed, one page more, and
    the overlap.

    `pages` are those of the whole list, `overlap` those of its overlap, None without a filter.
    """
    if standing is None or not (standing.open and standing.pages):
        return 1 + (overlap if overlap and standing and standing.known else pages)
    window = pages if standing.full or overlap is None else overlap
    return 1 + window - standing.pages + (overlap or 0)


def pages_of(rig: Rig, name: str, first: str = "") -> int:
    """Pages of a list, or of what is dated `first` or later in it; hidden users have their own."""
    items = rig.world.collection(name).items()
    hidden = [i for i in items if name == "users" and i["status"] in ("DELETED", "ARCHIVED")]
    shown = [i for i in items if i not in hidden and i.get("posted_at_date", first) >= first]
    pages = max(1, ceil(len(shown) / PAGE))
    return pages + max(1, ceil(len(hidden) / PAGE)) if name == "users" else pages
