"""The command line: parses what people ask for and prints what came of it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, NoReturn

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.logging import RichHandler

from brex_sync import app as brex
from brex_sync.brex.errors import BrexError
from brex_sync.cli import connections as connection_commands
from brex_sync.connect import ConnectError
from brex_sync.connections import Connection, find, load_connections
from brex_sync.embedded import EmbeddedPostgresError
from brex_sync.health import Level
from brex_sync.printing import print_closes, print_differences, print_report, print_status, progress
from brex_sync.receiver import NoReceiver
from brex_sync.sandbox import World
from brex_sync.sandbox.oauth import create_brex
from brex_sync.sandbox.server import PortTaken, bind, serve, url_of
from brex_sync.settings import Settings, SettingsError, load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import UnknownStream, select
from brex_sync.sync.reading import Options
from brex_sync.sync.report import Report
from brex_sync.up import UpError, run_everything
from brex_sync.vault import VaultError
from brex_sync.warehouse import closes
from brex_sync.warehouse.roles import statements
from brex_sync.warehouse.run_log import RunKind
from brex_sync.warehouse.runs import StreamStatus
from brex_sync.warehouse.runs import status as stream_status
from brex_sync.warehouse.tables import TableMismatch, prepare

FORESEEN = (
    BrexError,
    ConnectError,
    EmbeddedPostgresError,
    NoReceiver,
    PortTaken,
    SettingsError,
    TableMismatch,
    UpError,
    VaultError,
)

cli = typer.Typer(
    name="brex-sync",
    help="Brings a company's Brex account into Postgres and keeps it current.\n\n"
    "Start with `brex-sync up`: it needs no Brex account (a sandbox stands in for one) and no "
    "Postgres. Settings come from the environment and from a .env file; the README lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
connection_commands.register(cli)
console = Console()
errors = Console(stderr=True)

ConnectionName = Annotated[
    str | None, typer.Option("--connection", help="Which connection; the first by default.")
]

StreamNames = Annotated[
    list[str] | None,
    typer.Option("--stream", help="Only this stream, even a deselected one; several may be given."),
]
AcceptDeletions = Annotated[
    bool,
    typer.Option("--accept-deletions", help="Mark missing rows as deleted, however many they are."),
]


@cli.command()
def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the Dagster UI (3000, or BREX_SYNC_PORT).")
    ] = None,
) -> None:
    """Start everything: Postgres, the sandbox if there is no Brex account, Dagster, a first sync.

    Runs until Ctrl-C, which stops all of it; the data stays, and the next start goes on.
    """
    run_everything(load_settings(), port, console)


@cli.command()
def sync(
    stream: StreamNames = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every list from its beginning.")
    ] = False,
    accept_deletions: AcceptDeletions = False,
    connection: ConnectionName = None,
) -> None:
    """Sync once, now, without Dagster. Exits with 0 only if every stream was read to its end."""
    report = _run(stream, connection, Options(full=full, accept_deletions=accept_deletions))
    raise typer.Exit(0 if report.finished else 1)


@cli.command()
def reconcile(
    stream: StreamNames = None,
    since: Annotated[
        str | None, typer.Option(help="Only rows from this date on, YYYY-MM-DD; all by default.")
    ] = None,
    accept_deletions: AcceptDeletions = False,
    connection: ConnectionName = None,
) -> None:
    """Compare every row with Brex, mend what differs, and show it; nothing should.

    Lists are brought up to date first, so that what is merely new does not count. Exits with 0 if
    every stream was compared to its end, whatever differed.
    """
    options = Options(compare=True, since=_day(since), accept_deletions=accept_deletions)
    report = _run(stream, connection, options, RunKind.RECONCILE)
    print_differences(console, report)
    raise typer.Exit(0 if report.finished else 1)


@cli.command()
def backfill(
    since: Annotated[
        str | None,
        typer.Option("--from", help="From this date on, YYYY-MM-DD; from the beginning if not."),
    ] = None,
    stream: StreamNames = None,
    connection: ConnectionName = None,
) -> None:
    """Read transactions, and all that is read by date, again from a date or from the beginning.

    Each list is brought up to date first. Interrupted, or taken over by the schedule, it is gone
    on with where it was, by this command or by the next sync.
    """
    options = Options(backfill=True, since=_day(since))
    report = _run(stream, connection, options, RunKind.BACKFILL)
    raise typer.Exit(0 if report.finished else 1)


@cli.command()
def status(connection: ConnectionName = None) -> None:
    """Show, per stream, when it last synced, through which date, and how many rows are live.

    Exits with 0 only if every stream has synced and nothing needs attention.
    """
    settings = load_settings()
    chosen = [find(settings, connection)] if connection else load_connections(settings)
    with brex.databases(settings) as (ready, _):
        engine = brex.open_engine(ready)
        well = True
        for one in chosen:
            rows = [stream_status(engine, one.name, s) for s in brex.streams_of(ready, one)]
            print_status(console, one.name, rows)
            console.print(f"Reached by {one.configuration} at {one.api_url}", highlight=False)
            stands = brex.stand(ready, one, engine)
            connection_commands.print_health(stands)
            well &= stands.level is not Level.ACTION
            well &= all(map(_is_well, rows))
        engine.dispose()
    raise typer.Exit(0 if well else 1)


@cli.command()
def roles() -> None:
    """Print the SQL that makes a writer and a reader in a Postgres of yours.

    The embedded server has them already. Give them passwords (\\password in psql), and put the
    writer into BREX_SYNC_DATABASE_URL.
    """
    print(statements())


@cli.command()
def close(
    month: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    on: Annotated[
        str | None, typer.Option(help="Last day that still counts, YYYY-MM-DD; today by default.")
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Say that a month's books are closed: what changes in it later is in late_changes."""
    first, day = _month(month), _day(on) or datetime.now(UTC).date()
    if day < (first + timedelta(days=32)).replace(day=1):
        raise SettingsError(f"{month} is not over on {day}; close it on a later day with --on")
    with _books(connection) as (engine, name):
        closes.close(engine, name, first, day)
        print_closes(console, name, closes.closed(engine, name))


@cli.command()
def reopen(
    month: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    connection: ConnectionName = None,
) -> None:
    """Open a closed month again: nothing that changes in it is late."""
    with _books(connection) as (engine, name):
        if not closes.reopen(engine, name, _month(month)):
            raise SettingsError(f"{month} is not closed in {name}")
        print_closes(console, name, closes.closed(engine, name))


@cli.command("closes")
def list_closes(connection: ConnectionName = None) -> None:
    """Show the closed months, and how much changed in each since."""
    with _books(connection) as (engine, name):
        print_closes(console, name, closes.closed(engine, name))


@cli.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free one.")] = 8642,
    seed: Annotated[int, typer.Option(help="Another seed makes another company.")] = 7,
    months: Annotated[int, typer.Option(help="Months of history.")] = 14,
    card_transactions: Annotated[int, typer.Option(help="How many card transactions.")] = 12_000,
    expenses: Annotated[
        int | None,
        typer.Option(help="How many expenses; by default one per card transaction, up to 12,000."),
    ] = None,
    today: Annotated[
        str | None, typer.Option(help="Last day of the history, YYYY-MM-DD; today by default.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Let money move and people change as time passes.")
    ] = False,
    latency: Annotated[float, typer.Option(help="Seconds every answer is late.")] = 0.0,
    rate_limit: Annotated[
        int, typer.Option(help="Requests allowed per 60 s; 0 for any number.")
    ] = 1000,
) -> None:
    """Run the simulated Brex on its own.

    Its user token is bxt_sandbox, its OAuth issuer is at /oauth2/default, with client id
    brex_sync_sandbox and secret sandbox_secret.
    """
    day = _day(today) or datetime.now(UTC).date()
    listener = bind(port)
    world = World(seed, day, months, card_transactions, live, expenses=expenses)
    print(url_of(listener), flush=True)
    serve(create_brex(world, latency=latency, rate_limit=rate_limit or None), listener)


def _run(
    names: list[str] | None,
    connection: str | None,
    options: Options,
    kind: RunKind = RunKind.MANUAL,
) -> Report:
    """Syncs here and now, and prints what came of it."""
    settings = load_settings()
    chosen = find(settings, connection)
    streams = _streams(names) if names else brex.streams_of(settings, chosen)
    options = replace(options, insist=bool(names) or options.full)
    with brex.databases(settings) as (ready, _), brex.sandbox_if_needed(ready, chosen):
        report = asyncio.run(_sync(ready, chosen, streams, options, kind))
    print_report(console, report)
    return report


async def _sync(
    settings: Settings,
    connection: Connection,
    streams: list[Stream],
    options: Options,
    kind: RunKind,
) -> Report:
    with progress(console, [s.name for s in streams]) as show:
        async with brex.open_sync(
            settings, connection, progress=show, kind=kind, options=options
        ) as run:
            return await run.run(streams)


@contextmanager
def _books(connection: str | None) -> Iterator[tuple[sa.Engine, str]]:
    """The warehouse, made ready, and the connection's name."""
    settings = load_settings()
    name = find(settings, connection).name
    with brex.databases(settings) as (ready, _):
        engine = brex.open_engine(ready)
        try:
            prepare(engine, name, STREAMS.values(), VIEWS.values())
            yield engine, name
        finally:
            engine.dispose()


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise SettingsError(f"{text!r} is no month such as 2026-10") from None


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise SettingsError(f"{text!r} is no date such as 2026-11-24") from None


def _is_well(row: StreamStatus) -> bool:
    """Whether nothing needs attention; what a credential may not read is no fault of the sync."""
    return bool(row.unavailable or (row.synced_at and not row.quarantined and not row.withheld))


def _streams(names: list[str]) -> list[Stream]:
    try:
        return select(names)
    except UnknownStream as error:
        raise SettingsError(str(error)) from None


def main() -> NoReturn:
    """The console command; what can be foreseen ends in one line, not in a traceback."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_path=False, show_time=False)],
    )
    try:
        cli()
    except FORESEEN as error:
        errors.print(f"brex-sync: {error}", style="red", highlight=False, soft_wrap=True)
    except sa.exc.OperationalError as error:
        first = str(error.orig).strip().partition("\n")[0]
        errors.print(f"brex-sync: Postgres: {first}", style="red", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(1)
