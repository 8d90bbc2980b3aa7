"""The processes that `brex-sync up` starts: found and ended again, however it itself ended."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil

from brex_sync.errors import ChildEnded

STOP_SECONDS = 20.0
"""How long a process may take to end by itself."""
MARK = "_BREX_SYNC_STARTED_BY"
"""An environment variable that names the start. Every descendant has it, also one whose parents
were killed, and whatever session it is in."""


class Children:
    """The processes of this start, noted in a file by which the next start can find them."""

    def __init__(self, home: Path, folder: Path) -> None:
        self._home = home
        self._folder = folder
        self._mark = str(uuid4())
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._created: dict[int, float] = {}
        self._write_note()

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Starts a process that is to run until `stop`, with its output in the logs."""
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=self._folder,
                env=environment | {MARK: self._mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running[name] = process
        self._created[process.pid] = psutil.Process(process.pid).create_time()
        self._write_note()

    def run(self, name: str, command: list[str], environment: dict[str, str]) -> str | None:
        """Runs a process to its end; what it printed last, or None if it failed."""
        self.start(name, command, environment)
        code = self._running.pop(name).wait()
        lines = self._log(name).read_text(errors="replace").splitlines() or [""]
        return None if code else lines[-1]

    def check(self) -> None:
        """Raises ChildEnded where one has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ChildEnded(f"{name} ended by itself; the reason is in {self._log(name)}")

    def stop(self) -> None:
        """Ends all of them, with everything that they started."""
        _end_all(self._mark, {process.pid for process in self._running.values()})
        for process in self._running.values():
            process.wait()
        _note(self._home).unlink(missing_ok=True)

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    def _write_note(self) -> None:
        note = _note(self._home)
        partial = note.with_suffix(".new")
        partial.write_text(json.dumps({"mark": self._mark, **self._created}))
        partial.replace(note)


def end_leftovers(home: Path) -> None:
    """Ends what an earlier start left running; a reused process id is left alone."""
    try:
        noted = json.loads(_note(home).read_text())
        mark = noted.pop("mark", None)
    except (OSError, ValueError):
        return
    _end_all(mark, {int(pid) for pid, created in noted.items() if _is_same(int(pid), created)})


def _is_same(pid: int, created: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - created) < 1
    except psutil.NoSuchProcess:
        return False


def _end_all(mark: str | None, leaders: set[int]) -> None:
    """Ends the processes of a start: kindly, those above the others first; then not."""
    family = {*_marked(mark), *_under(leaders)}
    pids = {process.pid for process in family}
    for process in family:
        if _parent_of(process) not in pids:
            _signal(process, kill=False)
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in {*alive, *_marked(mark)}:
        _signal(process, kill=True)
    psutil.wait_procs({*alive, *_marked(mark)}, timeout=5)


def _marked(mark: str | None) -> Iterator[psutil.Process]:
    """The processes that bear the mark, wherever they are."""
    for process in psutil.process_iter() if mark else ():
        if process.pid != os.getpid() and _mark_of(process) == mark:
            yield process


def _under(leaders: set[int]) -> Iterator[psutil.Process]:
    """The processes noted, and those below them: where no environment can be read."""
    for pid in leaders:
        try:
            leader = psutil.Process(pid)
            yield from (leader, *leader.children(recursive=True))
        except psutil.NoSuchProcess:
            continue


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _parent_of(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.Error:
        pass


def _note(home: Path) -> Path:
    return home / "up.children"
