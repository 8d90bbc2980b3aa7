"""The command line: parses what people ask for and prints what came of it."""

import asyncio
import logging
from datetime import UTC, date, datetime
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
from brex_sync.credentials import now_utc
from brex_sync.embedded import EmbeddedPostgresError
from brex_sync.health import Level, health
from brex_sync.printing import print_report, print_status, progress
from brex_sync.receiver import NoReceiver
from brex_sync.sandbox import World
from brex_sync.sandbox.oauth import create_brex
from brex_sync.sandbox.server import PortTaken, bind, serve, url_of
from brex_sync.settings import Settings, SettingsError, load_settings
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import UnknownStream, select
from brex_sync.sync.report import Report
from brex_sync.up import UpError, run_everything
from brex_sync.vault import VaultError
from brex_sync.warehouse import credentials
from brex_sync.warehouse.roles import statements
from brex_sync.warehouse.runs import StreamStatus
from brex_sync.warehouse.runs import status as stream_status
from brex_sync.warehouse.tables import TableMismatch

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
    stream: Annotated[
        list[str] | None,
        typer.Option(help="Only this stream, even a deselected one; several may be given."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every list from its beginning.")
    ] = False,
    accept_deletions: Annotated[
        bool,
        typer.Option(
            "--accept-deletions",
            help="Mark missing rows as deleted, however many they are.",
        ),
    ] = False,
    connection: ConnectionName = None,
) -> None:
    """Sync once, now, without Dagster. Exits with 0 only if every stream was read to its end."""
    settings = load_settings()
    chosen = find(settings, connection)
    streams = _streams(stream) if stream else brex.streams_of(settings, chosen)
    with brex.databases(settings) as (ready, _), brex.sandbox_if_needed(ready, chosen):
        report = asyncio.run(
            _sync(ready, chosen, streams, full, accept_deletions, insist=bool(stream))
        )
    print_report(console, report)
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
            row = credentials.read(engine, one.name)
            stands = health(one, row, now_utc())
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
    try:
        day = date.fromisoformat(today) if today else datetime.now(UTC).date()
    except ValueError:
        raise SettingsError(f"--today {today}: expected a date such as 2026-11-24") from None
    listener = bind(port)
    world = World(seed, day, months, card_transactions, live, expenses=expenses)
    print(url_of(listener), flush=True)
    serve(create_brex(world, latency=latency, rate_limit=rate_limit or None), listener)


async def _sync(
    settings: Settings,
    connection: Connection,
    streams: list[Stream],
    full: bool,
    accept_deletions: bool,
    insist: bool,
) -> Report:
    with progress(console, [s.name for s in streams]) as show:
        async with brex.open_sync(
            settings,
            connection,
            progress=show,
            full=full,
            accept_deletions=accept_deletions,
            insist=insist,
        ) as run:
            return await run.run(streams)


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
