"""The command `brex-sync workflow …` in a process of its own, killed at a chosen request."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from brex_sync.http_server import running
from brex_sync_tests import commands
from brex_sync_tests.conftest import Rig
from brex_sync_tests.waiting import HANGS


class When(Enum):
    """At which moment of a request its sender is killed."""

    BEFORE = "before Brex sees it"
    AFTER = "after Brex did it, before the answer comes"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    said: str


def command(
    rig: Rig,
    home: Path,
    *words: str,
    kill: tuple[int, When] | None = None,
    keys: str | None = None,
    **environment: str,
) -> Ended:
    """Runs the command against the rig; it is killed at its nth request, counted from 1.

    With `keys` it is at a terminal, where somebody types them.
    """
    terminal, keyboard = os.openpty()
    if keys is not None:
        os.write(terminal, keys.encode())
    gate = _Gate(rig.app, kill)
    with running(gate) as url:
        child = commands.start(
            "workflow",
            *words,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))},
                "BREX_SYNC_HOME": str(home),
                "BREX_SYNC_DATABASE_URL": rig.engine.url.render_as_string(hide_password=False),
                "BREX_CONFIGURATION": "sandbox",
                "BREX_API_URL": url,
                "COLUMNS": "200",
                **environment,
            },
            stdin=subprocess.DEVNULL if keys is None else keyboard,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        gate.strike = child.kill
        try:
            said, _ = child.communicate(timeout=HANGS)
        finally:
            child.kill()
            os.close(terminal)
            os.close(keyboard)
    return Ended(child.returncode, said)


class _Gate:
    """Stands before the sandbox, and kills whoever asks when it is time."""

    def __init__(self, app: Any, kill: tuple[int, When] | None) -> None:
        self._app, self._kill = app, kill
        self._came = 0
        self.strike: Callable[[], object] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._came += 1
        if self._kill == (self._came, When.BEFORE):
            self.strike()
            return

        async def answer(message: Any) -> None:
            if self._kill == (self._came, When.AFTER):
                self.strike()
            else:
                await send(message)

        await self._app(scope, receive, answer)
