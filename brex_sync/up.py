"""Everything started together, watched, and stopped together."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from pydantic import SecretStr
from rich.console import Console

from brex_sync import app as brex
from brex_sync.connections.declared import Connection, declared_in, load_connections
from brex_sync.connections.health import Level
from brex_sync.databases import databases
from brex_sync.embedded import Server
from brex_sync.serving import PortTaken, bind
from brex_sync.settings import ENV_FILE, Configuration, Settings, env_file
from brex_sync.warehouse.database import with_driver

CHECKOUT = Path(__file__).parent.parent
HOST = "127.0.0.1"
READY_SECONDS = 120.0
STOP_SECONDS = 20.0


class UpError(Exception):
    """Something keeps the whole from starting or running; the message says what to do."""


class _Stopped(Exception):
    """Ctrl-C, or a request to terminate."""


def run_everything(settings: Settings, port: int | None, console: Console) -> None:
    """Starts all parts, tells where they are, and stops them on SIGINT or SIGTERM.

    Raises:
        UpError, SettingsError, EmbeddedPostgresError: a part cannot be started, or ended.
    """
    port = port or settings.ui_port
    connections = load_connections(settings)
    _check_checkout()
    with ExitStack() as stack:
        _make_home(settings.home)
        stack.enter_context(_only_one(settings.home))
        _end_leftovers(settings.home)
        _check_free(port, "`brex-sync up --port` or BREX_SYNC_PORT")
        _check_free(settings.service_port, "BREX_SYNC_SERVICE_PORT")
        stack.enter_context(_signals())
        try:
            ready, server = stack.enter_context(databases(settings, dagster=True))
            children = _Children(settings.home)
            stack.callback(children.stop)
            for connection in connections:
                if _needs_sandbox(settings, connection):
                    children.start("sandbox", _sandbox_command(settings), _without_ours())
                    break
            for connection in connections:
                _attend(ready, connection, console)
            console.print("Starting Dagster, which takes a few seconds …")
            environment = _environment(ready)
            children.start("dagster", _dagster_command(port), environment)
            children.start("service", _service_command(settings), environment)
            _await(f"http://{HOST}:{port}/server_info", "Dagster", children)
            _await(f"http://{HOST}:{settings.service_port}/health", "the service", children)
            _tell(console, port, connections, server, settings)
            children.watch()
        except _Stopped:
            console.print("Stopping …")


class _Children:
    """The processes of this start, noted in a file so that the next start can end them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        logs = self._home / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        pids = {p.pid: psutil.Process(p.pid).create_time() for p in self._running.values()}
        _note(self._home).write_text(json.dumps(pids))

    def check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self._home / "logs" / f"{name}.log"
                raise UpError(f"{name} ended by itself; the reason is in {log}")

    def watch(self) -> None:
        while True:
            self.check()
            time.sleep(1)

    def stop(self) -> None:
        for process in reversed(self._running.values()):
            _end(process.pid)
        _note(self._home).unlink(missing_ok=True)


def _end(pid: int) -> None:
    """Ends a process and all that it started: kindly, then not."""
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    leader.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def _note(home: Path) -> Path:
    return home / "up.children"


def _end_leftovers(home: Path) -> None:
    """Ends what a killed earlier start left running; a reused process id is left alone."""
    try:
        pids = json.loads(_note(home).read_text())
    except (OSError, ValueError):
        return
    for pid, created in pids.items():
        try:
            same = abs(psutil.Process(int(pid)).create_time() - created) < 1
        except psutil.NoSuchProcess:
            continue
        if same:
            _end(int(pid))


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    with (home / "up.lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except OSError:
            raise UpError(
                f"brex-sync up is running already with {home}; stop it, or set BREX_SYNC_HOME"
            ) from None
        yield


@contextmanager
def _signals() -> Iterator[None]:
    """SIGINT and SIGTERM stop everything, even where they came to us ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, lambda *_: None)
        raise _Stopped

    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, stop)
    yield


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "logs").mkdir(exist_ok=True)
        (home / "dagster").mkdir(exist_ok=True)
        shutil.copyfile(CHECKOUT / "dagster.yaml", home / "dagster" / "dagster.yaml")
    except OSError as error:
        raise UpError(
            f"cannot write to {home} ({error.strerror}); set BREX_SYNC_HOME to a folder of yours"
        ) from None


def _check_checkout() -> None:
    for name in ("dagster.yaml", "workspace.yaml"):
        if not (CHECKOUT / name).is_file():
            raise UpError(f"{name} is not in {CHECKOUT}: run brex-sync from a checkout")


def _check_free(port: int, choice: str) -> None:
    try:
        bind(port).close()
    except PortTaken:
        raise UpError(f"port {port} is in use; choose another with {choice}") from None


def _attend(settings: Settings, connection: Connection, console: Console) -> None:
    """Renews what is due before anything syncs; what a person must mend is said and not waited
    for, since the other connections go on."""
    if connection.configuration is Configuration.SANDBOX:
        return
    health = brex.attend(settings, connection)
    if health.level is not Level.WELL:
        console.print(f"{connection.name}: {health.told}", style="yellow", highlight=False)


def _needs_sandbox(settings: Settings, connection: Connection) -> bool:
    ours = f"http://{HOST}:{settings.sandbox_port}"
    if connection.configuration is not Configuration.SANDBOX or connection.api_url != ours:
        return False
    with socket.socket() as probe:
        if probe.connect_ex((HOST, settings.sandbox_port)) == 0:
            raise UpError(
                f"port {settings.sandbox_port}, meant for the sandbox, is in use; "
                "set BREX_SYNC_SANDBOX_PORT to another"
            )
    return True


def _sandbox_command(settings: Settings) -> list[str]:
    day = brex.sandbox_day(settings).isoformat()
    port = str(settings.sandbox_port)
    return [sys.executable, "-m", "brex_sync", "sandbox", "--port", port, "--today", day]


def _dagster_command(port: int) -> list[str]:
    dagster = str(Path(sys.executable).with_name("dagster"))
    return [dagster, "dev", "--host", HOST, "--port", str(port), "--workspace", "workspace.yaml"]


def _service_command(settings: Settings) -> list[str]:
    port = str(settings.service_port)
    return [sys.executable, "-m", "brex_sync", "serve", "--port", port]


def _without_ours() -> dict[str, str]:
    """The environment for a child that needs no setting and no secret of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}


def _environment(settings: Settings) -> dict[str, str]:
    """Our own environment, with what Dagster and its runs need to find the databases.

    No secret of Brex's is added: those of a `.env` file are read from there, by its path.
    """
    declared = declared_in(settings)
    return {
        **os.environ,
        **({"BREX_SYNC_CONNECTIONS": str(declared.absolute())} if declared else {}),
        ENV_FILE: str(env_file().absolute()),
        "BREX_SYNC_HOME": str(settings.home),
        "BREX_SYNC_DATABASE_URL": _plain(settings.database_url, "psycopg"),
        "DAGSTER_POSTGRES_URL": _plain(settings.dagster_url, "psycopg2"),
        "DAGSTER_HOME": str(settings.home / "dagster"),
        "PYTHONUNBUFFERED": "1",
    }


def _plain(url: SecretStr | None, driver: str) -> str:
    if url is None:
        raise UpError("no database is set")
    return with_driver(url.get_secret_value(), driver).render_as_string(hide_password=False)


def _await(url: str, who: str, children: _Children) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        children.check()
        try:
            with urlopen(url, timeout=5):  # noqa: S310
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise UpError(f"{who} did not answer at {url} within {READY_SECONDS:.0f} s")


def _tell(
    console: Console,
    port: int,
    connections: list[Connection],
    server: Server | None,
    settings: Settings,
) -> None:
    first = connections[0]
    source = "the sandbox" if first.configuration is Configuration.SANDBOX else first.api_url
    psql = server.psql("brex") if server else 'psql "$BREX_SYNC_DATABASE_URL"'
    lines = (
        "",
        f"Dagster UI   http://{HOST}:{port}",
        f"SQL          {psql}",
        f"Service      http://{HOST}:{settings.service_port} (webhooks, proxy, workflows)",
        f"Syncing      {', '.join(c.name for c in connections)} from {source}, "
        f"on the schedule {settings.schedule!r}; what was never synced is at once",
        "",
        "Next: watch the run in the UI, then ask, for example:",
        f"  select * from {first.name}.transactions order by posted_at_date desc limit 10;",
        "Another Brex account: `brex-sync connect`; the README tells the three ways.",
        "Ctrl-C stops everything; the data stays.",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
