"""The parts put together for whoever runs them: the command line and Dagster alike."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import sqlalchemy as sa
import tenacity

from brex_sync.brex.client import BrexClient, Endpoint
from brex_sync.connections.alerts import tell_once
from brex_sync.connections.connect import ready_vault
from brex_sync.connections.credentials import Credentials, Session, now_utc
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import Health, Level, health, with_lost
from brex_sync.connections.limits import limiter
from brex_sync.connections.vault import open_vault
from brex_sync.databases import open_engine
from brex_sync.errors import (
    ActionNeeded,
    BrexError,
    PostgresError,
    SettingsError,
    TokenEndpointUnavailable,
    UnknownStream,
)
from brex_sync.folders import make_home
from brex_sync.sandbox import World, create_app
from brex_sync.serving import bind, running_on
from brex_sync.settings import Configuration, Settings
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import select
from brex_sync.sync import turns
from brex_sync.sync.reading import Options, Progress
from brex_sync.sync.report import StreamReport
from brex_sync.sync.run import Sync
from brex_sync.sync.turns import Turn
from brex_sync.warehouse import credentials as credential_table
from brex_sync.warehouse import inbox, runs, unavailable, workflow_runs
from brex_sync.warehouse.run_log import RunKind
from brex_sync.warehouse.runs import LastRun
from brex_sync.warehouse.tables import prepare_internal
from brex_sync.webhooks import notify
from brex_sync.webhooks.processing import Desk, process
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.run import Outcome, Performer
from brex_sync.workflows.waiting import go_on

log = logging.getLogger(__name__)

REFRESHES = 4
"""How often a sync tries to get its first token, where Brex is out of reach or failing."""


@contextmanager
def sandbox_if_needed(settings: Settings, connection: Connection) -> Iterator[None]:
    """Runs the sandbox in this process while the block does, if it is wanted and isn't running."""
    url = urlsplit(connection.api_url)
    ours = (url.hostname, url.port) == ("127.0.0.1", settings.sandbox_port)
    if connection.configuration is not Configuration.SANDBOX or not ours or _listens(url.port or 0):
        yield
        return
    app = create_app(World(today=sandbox_day(settings)))
    with running_on(app, bind(settings.sandbox_port)):
        yield


def sandbox_day(settings: Settings) -> date:
    """The day on which the sandbox's history ends: the first it was used in this home."""
    note = settings.home / "sandbox-day"
    try:
        return date.fromisoformat(note.read_text().strip())
    except (OSError, ValueError):
        today = datetime.now(UTC).date()
        make_home(settings.home)
        note.write_text(today.isoformat())
        return today


def streams_of(settings: Settings, connection: Connection) -> list[Stream]:
    """The streams to sync of a connection: those it declares, else those the settings name.

    Raises:
        SettingsError: a name is no stream's.
    """
    named = [name.strip() for name in settings.streams.split(",") if name.strip()]
    try:
        return select(connection.streams or named)
    except UnknownStream as error:
        raise SettingsError(f"streams of connection {connection.name}: {error}") from None


def credentials_of(settings: Settings, connection: Connection, engine: sa.Engine) -> Credentials:
    """The credential of a connection, in a warehouse whose internal tables are made ready."""
    prepare_internal(engine)
    return Credentials(connection, engine, open_vault(settings.home, settings.encryption_key))


def stand(settings: Settings, connection: Connection, engine: sa.Engine) -> Health:
    """How a connection's credential stands, by what the warehouse knows of it."""
    row = credential_table.read(engine, connection.name)
    found = health(connection, row, now_utc(), runs.last_read(engine, connection.name))
    chosen = {stream.name for stream in streams_of(settings, connection)}
    lost = unavailable.lost(engine, connection.name)
    return with_lost(found, [name for name in lost if name in chosen])


def last_run(engine: sa.Engine, connection: Connection) -> LastRun | None:
    """The connection's last run; interrupted, where its process is known to be gone."""
    run = runs.last_run(engine, connection.name)
    if run and run.state == "running" and turns.was_left(engine, connection.name, run.run_id):
        return replace(run, state="interrupted")
    return run


def attend(settings: Settings, connection: Connection) -> Health:
    """Keeps a connection's credential alive if it is due, and alerts if a person must act.

    Raises:
        PostgresError: the warehouse could not be asked.
    """
    engine = open_engine(settings)
    try:
        credentials = credentials_of(settings, connection, engine)
        try:
            credentials.keep_alive()
            found = stand(settings, connection, engine)
        except BrexError as error:
            log.warning("%s: %s", connection.name, error)
            found = stand(settings, connection, engine)
        except SettingsError as error:
            found = Health(connection.name, Level.ACTION, str(error), "UNKNOWN")
        tell_once(settings, engine, found)
    finally:
        engine.dispose()
    return found


@asynccontextmanager
async def open_client(
    settings: Settings, connection: Connection, engine: sa.Engine, *, for_syncs: bool = False
) -> AsyncIterator[BrexClient]:
    """A client of one connection, which shares its credential and limit with all other processes.

    The credential is proved, or renewed where it is due, before anything else. Where requests run
    short, those of syncs go first.

    Raises:
        BrexError: there is no credential to be had; ActionNeeded if only a person can help.
        SettingsError: it is not set.
        VaultError: the stored secrets cannot be opened.
    """
    session = await _session(settings, connection, engine)
    async with BrexClient(
        Endpoint(connection.api_url, session.token, session.renew),
        limiter(connection, engine, for_syncs=for_syncs),
    ) as client:
        yield client


@asynccontextmanager
async def open_performer(
    settings: Settings, connection: Connection, engine: sa.Engine
) -> AsyncIterator[Performer]:
    """Whoever performs the workflows of one connection. Raises what `open_client` does."""
    async with open_client(settings, connection, engine) as client:
        vault = await asyncio.to_thread(ready_vault, settings, engine)
        yield Performer(connection.name, client, engine, vault)


async def resume_waiting(
    settings: Settings,
    connection: Connection,
    engine: sa.Engine,
    workflows: Mapping[str, Workflow],
) -> list[tuple[str, Outcome | str]]:
    """Goes on with the workflows of a connection that wait and are due, as `waiting.go_on` does.

    Raises:
        BrexError, SettingsError, VaultError: there is no credential; they go on waiting.
        PostgresError: the warehouse failed.
    """
    if not await asyncio.to_thread(workflow_runs.due, engine, connection.name):
        return []
    async with open_performer(settings, connection, engine) as performer:
        return await go_on(performer, workflows)


def _silent(report: StreamReport) -> None:
    pass


_REGULAR = Options()


@asynccontextmanager
async def open_sync(
    settings: Settings,
    connection: Connection,
    *,
    progress: Progress = _silent,
    run_id: str | None = None,
    kind: RunKind = RunKind.MANUAL,
    options: Options = _REGULAR,
) -> AsyncIterator[Sync]:
    """A sync of one connection, ready to run, with its client and its pool of the warehouse.

    The credential is proved, or renewed where it is due, before anything else. The
    overlaps set for streams take the place of the one in `options`.

    Raises:
        SettingsError: no warehouse is set.
        BrexError: there is no credential to be had; ActionNeeded if only a person can help.
        VaultError: the stored secrets cannot be opened.
    """
    engine = open_engine(settings)

    def options_of(stream: Stream) -> Options:
        days = settings.overlap_days.get(stream.name)
        return options if days is None else replace(options, overlap=timedelta(days=days))

    try:
        async with open_client(settings, connection, engine, for_syncs=True) as client:
            yield Sync(
                connection.name,
                client,
                engine,
                options_of=options_of,
                progress=progress,
                run_id=run_id or str(uuid4()),
                kind=kind,
                tell=notify.targets(settings),
            )
    finally:
        await asyncio.to_thread(_tell_of_faults, settings, connection, engine)
        await send_notifications(settings, engine)
        engine.dispose()


@asynccontextmanager
async def turn(
    settings: Settings,
    connection: Connection,
    run_id: str,
    started_by: str,
    wait: Callable[[str], None] | None = None,
) -> AsyncIterator[None]:
    """Has a connection to itself while the block lasts; `wait` is told whom it waits for.

    Raises:
        Busy: another run has it, and `wait` is None.
        SettingsError: no warehouse is set.
    """
    engine = open_engine(settings)
    try:
        await asyncio.to_thread(prepare_internal, engine)
        async with Turn(connection.name, run_id, started_by).taken(engine, wait):
            yield
    finally:
        engine.dispose()


def _tell_of_faults(settings: Settings, connection: Connection, engine: sa.Engine) -> None:
    """Alerts of what only a person can mend, where no sensor looks after the connection."""
    try:
        found = stand(settings, connection, engine)
        if found.level is Level.ACTION:
            tell_once(settings, engine, found)
    except PostgresError as error:
        log.warning("%s: its state could not be read: %s", connection.name, type(error).__name__)


async def process_events(
    settings: Settings, connection: Connection, engine: sa.Engine, seconds: float = 30.0
) -> int:
    """Works off the webhook events that are due, for about so long; answers how many it were.

    Raises:
        BrexError, SettingsError, VaultError: there is no credential; the events go on waiting.
        PostgresError: the warehouse failed.
    """
    if not await asyncio.to_thread(inbox.are_due, engine, connection.name):
        return 0
    async with open_client(settings, connection, engine) as client:
        return await process(desk_of(settings, connection, engine, client), seconds)


def desk_of(
    settings: Settings, connection: Connection, engine: sa.Engine, client: BrexClient
) -> Desk:
    """Where a connection's events are worked off."""
    streams = frozenset(stream.name for stream in streams_of(settings, connection))
    return Desk(connection.name, client, engine, streams, notify.targets(settings))


async def send_notifications(settings: Settings, engine: sa.Engine, seconds: float = 20.0) -> None:
    """Sends what is due; what isn't taken, or can't be sent now, waits in the outbox."""
    try:
        await notify.deliver(engine, settings, seconds)
    except PostgresError as error:
        log.warning("notifications were not sent: Postgres: %s", type(error).__name__)


async def _session(settings: Settings, connection: Connection, engine: sa.Engine) -> Session:
    credentials = await asyncio.to_thread(credentials_of, settings, connection, engine)
    try:
        await asyncio.to_thread(credentials.keep_alive)
    except ActionNeeded:
        raise
    except BrexError as error:
        log.warning("%s: not renewed: %s", connection.name, error)
    session = Session(credentials)
    async for attempt in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(TokenEndpointUnavailable),
        stop=tenacity.stop_after_attempt(REFRESHES),
        wait=tenacity.wait_random_exponential(2, 30),
        reraise=True,
    ):
        with attempt:
            await session.token()
    return session


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
