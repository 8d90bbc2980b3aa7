"""The commands that bring a connection's tables up to date, and tell how they stand."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from brex_sync import app as brex
from brex_sync.cli.common import ConnectionName, console, parse_day
from brex_sync.cli.connections import print_health
from brex_sync.cli.printing import print_differences, print_report, print_status, progress
from brex_sync.connections.declared import Connection, find, load_connections
from brex_sync.connections.health import Level
from brex_sync.databases import databases, open_engine
from brex_sync.settings import Settings, SettingsError, load_settings
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import UnknownStream, select
from brex_sync.sync.asked import in_vain, partly_in_vain
from brex_sync.sync.reading import Options
from brex_sync.sync.report import Report
from brex_sync.warehouse.run_log import RunKind
from brex_sync.warehouse.runs import StreamStatus
from brex_sync.warehouse.runs import status as stream_status

StreamNames = Annotated[
    list[str] | None,
    typer.Option("--stream", help="Only this stream, even a deselected one; several may be given."),
]
AcceptDeletions = Annotated[
    bool,
    typer.Option("--accept-deletions", help="Mark missing rows as deleted, however many they are."),
]


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(sync)
    cli.command()(reconcile)
    cli.command()(backfill)
    cli.command()(status)


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
    options = Options(compare=True, since=parse_day(since), accept_deletions=accept_deletions)
    report = _run(stream, connection, options, RunKind.RECONCILE)
    print_differences(console, report)
    raise typer.Exit(0 if report.finished else 1)


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
    on with where it was, by this command or by the next sync. Exits with 1, and reads nothing, if
    the date is in the future or no stream named is read by date.
    """
    options = Options(backfill=True, since=parse_day(since))
    report = _run(stream, connection, options, RunKind.BACKFILL)
    raise typer.Exit(0 if report.finished else 1)


def status(connection: ConnectionName = None) -> None:
    """Show, per stream, when it last synced, through which date, and how many rows are live.

    Exits with 0 only if every stream has synced and nothing needs attention.
    """
    settings = load_settings()
    chosen = [find(settings, connection)] if connection else load_connections(settings)
    with databases(settings) as (ready, _):
        engine = open_engine(ready)
        well = True
        for one in chosen:
            rows = [stream_status(engine, one.name, s) for s in brex.streams_of(ready, one)]
            print_status(console, one.name, rows)
            console.print(f"Reached by {one.configuration} at {one.api_url}", highlight=False)
            stands = brex.stand(ready, one, engine)
            print_health(stands)
            well &= stands.level is not Level.ACTION
            well &= all(map(_is_well, rows))
        engine.dispose()
    raise typer.Exit(0 if well else 1)


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
    if told := in_vain(options, streams, datetime.now(UTC).date()):
        raise SettingsError(told)
    named = [stream for stream in streams if stream.name in (names or ())]
    if told := partly_in_vain(options, named):
        console.print(told, style="yellow", highlight=False, soft_wrap=True)
    with databases(settings) as (ready, _), brex.sandbox_if_needed(ready, chosen):
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


def _is_well(row: StreamStatus) -> bool:
    """Whether nothing needs attention; what a credential may not read is no fault of the sync."""
    return bool(row.unavailable or (row.synced_at and not row.quarantined and not row.doubted))


def _streams(names: list[str]) -> list[Stream]:
    try:
        return select(names)
    except UnknownStream as error:
        raise SettingsError(str(error)) from None
