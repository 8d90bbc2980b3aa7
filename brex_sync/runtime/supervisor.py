"""Everything started together, watched, and stopped together."""

import errno
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from rich.console import Console

from brex_sync.connections import alerts
from brex_sync.connections.declared import Connection, load_connections
from brex_sync.connections.health import Level
from brex_sync.databases import databases
from brex_sync.embedded import Server
from brex_sync.errors import ChildEnded, CodeNotLoaded, NoDatabase, PortTaken, UpError
from brex_sync.folders import make_home, make_private
from brex_sync.guarding import FILE as TOKEN_FILE
from brex_sync.guarding import ui_token
from brex_sync.http_server import HOST, bind
from brex_sync.runtime import parts
from brex_sync.runtime.children import Children, end_leftovers
from brex_sync.runtime.health import keep_connection_alive
from brex_sync.runtime.readiness import answers, has_loaded, listens
from brex_sync.settings import Configuration, Settings
from brex_sync.web.auth import Auth

CHECKOUT = Path(__file__).parents[2]
HANGS = 600.0
"""Seconds in which a part that lives must be ready: a slow machine takes a minute or two."""
TELL_EVERY = 30.0
"""Seconds after which it is said again what is waited for."""


class _Stopped(Exception):
    """Ctrl-C, or a request to terminate."""


def run_everything(settings: Settings, port: int | None, console: Console) -> None:
    """Starts all parts, tells where they are, and stops them on SIGINT or SIGTERM.

    Raises:
        UpError, SettingsError, EmbeddedPostgresError: a part cannot be started, or ended.
    """
    port = port or settings.ui_port
    settings = settings.model_copy(update={"ui_port": port})
    connections = load_connections(settings)
    _check_checkout()
    alerts.check(settings)
    with ExitStack() as stack:
        known = _make_home(settings.home) or settings.dagster_url is not None
        stack.enter_context(_only_one(settings.home))
        end_leftovers(settings.home)
        _check_free(port, "`brex-sync up --port` or BREX_SYNC_PORT")
        _check_free(settings.service_port, "BREX_SYNC_SERVICE_PORT")
        stack.enter_context(_signals())
        try:
            ready, server = stack.enter_context(databases(settings, dagster=True))
            sockets = Path(stack.enter_context(TemporaryDirectory(prefix="brex-sync-")))
            children = Children(settings.home, CHECKOUT)
            stack.callback(children.stop)
            for connection in connections:
                if _needs_sandbox(settings, connection):
                    children.start("sandbox", parts.sandbox(settings), parts.without_ours())
                    break
            for connection in connections:
                _attend(ready, connection, console)
            environment = parts.environment(ready)
            if known:
                _recover(children, environment, console)
            _start(children, console, settings, environment, port, sockets / "code")
            _tell(console, port, connections, server, settings)
            _watch(children, server, settings.home)
        except (ChildEnded, CodeNotLoaded, NoDatabase) as ended:
            raise UpError(str(ended)) from None
        except _Stopped:
            console.print("Stopping …")


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


def _make_home(home: Path) -> bool:
    """Makes what is missing; whether Dagster was ever started with it."""
    configuration = home / "dagster" / "dagster.yaml"
    try:
        known = configuration.exists()
        make_home(home)
        make_private(home / "logs")
        make_private(home / "dagster")
        shutil.copyfile(CHECKOUT / "dagster.yaml", configuration)
    except OSError as error:
        raise UpError(
            f"cannot write to {home} ({error.strerror}); set BREX_SYNC_HOME to a folder of yours"
        ) from None
    return known


def _check_checkout() -> None:
    if not (CHECKOUT / "dagster.yaml").is_file():
        raise UpError(f"dagster.yaml is not in {CHECKOUT}: run brex-sync from a checkout")


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
    health = keep_connection_alive(settings, connection)
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


def _start(
    children: Children,
    console: Console,
    settings: Settings,
    environment: dict[str, str],
    port: int,
    code: Path,
) -> None:
    """Starts Dagster's parts and the service, and waits until they are ready.

    `code` is where the code server is to listen. Whoever can connect there runs code as us, so the
    folder is for us alone.
    """
    workspace = parts.write_workspace(settings, code)
    wait = partial(_await, children, console)
    console.print("Starting Dagster, which takes a few seconds …")
    children.start("code-server", parts.code_server(code), environment)
    children.start("service", parts.service(settings), parts.without_dagsters(environment))
    wait("Dagster to load brex_sync", partial(listens, code))
    children.start("daemon", parts.daemon(workspace), environment)
    children.start("ui", parts.ui(port, workspace), environment)
    ui, token = f"http://{HOST}:{port}", ui_token(settings)
    wait("Dagster's UI", partial(answers, f"{ui}/server_info", token))
    wait("Dagster's UI to find brex_sync", partial(has_loaded, ui, token))
    wait("the service", partial(answers, f"http://{HOST}:{settings.service_port}/health"))


def _recover(children: Children, environment: dict[str, str], console: Console) -> None:
    """Ends the runs that an earlier start left, so that they are tried again and block nothing."""
    ended = children.run("recovery", parts.recovery(), environment)
    if ended is None:
        log = "logs/recovery.log"
        console.print(f"Runs that were cut off could not be ended yet: see {log}", style="yellow")
    elif ended != "0":
        console.print(f"Runs that were cut off, and are tried again: {ended}")


def _await(children: Children, console: Console, what: str, is_ready: Callable[[], bool]) -> None:
    """Waits for as long as the processes live, and what is waited for does not hang."""
    began = told = time.monotonic()
    while not is_ready():
        children.check()
        now = time.monotonic()
        if now - began > HANGS:
            raise UpError(f"waited {HANGS:.0f} s for {what}, in vain; the logs may tell why")
        if now - told > TELL_EVERY:
            told = now
            console.print(f"Waiting for {what}, since {now - began:.0f} s …")
        time.sleep(0.5)


def _watch(children: Children, server: Server | None, home: Path) -> None:
    """Returns never.

    Raises:
        UpError, ChildEnded: a part has ended.
    """
    while True:
        children.check()
        if server is not None and _is_gone(server):
            log = home / "logs" / "postgres.log"
            raise UpError(f"Postgres ended by itself; the reason is in {log}")
        time.sleep(1)


def _is_gone(server: Server) -> bool:
    with socket.socket() as probe:
        probe.settimeout(10)
        return probe.connect_ex((server.host, server.port)) == errno.ECONNREFUSED


def _tell(
    console: Console,
    port: int,
    connections: list[Connection],
    server: Server | None,
    settings: Settings,
) -> None:
    first = connections[0]
    source = "the sandbox" if first.configuration is Configuration.SANDBOX else first.api_url
    reader = None if settings.database_url else server
    psql = reader.psql("brex") if reader else 'psql "$BREX_SYNC_DATABASE_URL"'
    lines = (
        "",
        *_of_page(settings),
        *_of_ui(port, settings),
        f"SQL          {psql}",
        *_of_password(reader),
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


def _of_page(settings: Settings) -> list[str]:
    """Where the company's page is; the address with the token logs the browser in."""
    token = f"?token={ui_token(settings)}" if settings.ui_auth is Auth.TOKEN else ""
    return [f"Page         http://{HOST}:{settings.service_port}/{token}"]


def _of_ui(port: int, settings: Settings) -> list[str]:
    """Where the UI is, and how one is let in."""
    ui = f"Dagster UI   http://{HOST}:{port}"
    if settings.ui_auth is Auth.TOKEN:
        return [
            f"{ui}/?token={ui_token(settings)}",
            f"             (logs this browser in for a day; the token is in "
            f"{settings.home / TOKEN_FILE})",
        ]
    if settings.ui_auth is Auth.PROXY:
        return [
            f"{ui}, for whom the reverse proxy at {settings.ui_auth_from} names in "
            f"{settings.ui_auth_header}"
        ]
    return [
        ui,
        "             WARNING: without a login (BREX_SYNC_UI_AUTH=none), whoever reaches port "
        f"{port} of this machine",
        "             can start everything that Dagster offers, also what spends or ends something",
    ]


def _of_password(reader: Server | None) -> list[str]:
    """That psql will ask for a password, where somebody gave the reader one."""
    if reader is None or reader.opens:
        return []
    return [
        f"             (psql asks for the password that somebody gave {reader.user}; "
        "`brex-sync roles reset-password reader` makes a new one, which it then need not ask for)"
    ]
