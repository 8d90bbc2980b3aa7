"""The commands that bring a connection's tables up to date, and tell how they stand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from brex_sync import cron, processes
from brex_sync.cli.common import ConnectionName, parse_day
from brex_sync.cli.connections import print_health
from brex_sync.cli.printing import (
    print_differences,
    print_marts,
    print_report,
    print_standing,
    print_status,
    progress,
)
from brex_sync.connections.declared import Connection, find, load_connections
from brex_sync.errors import ConnectionBusy, SettingsError, UnknownStream
from brex_sync.settings import Settings, load_settings
from brex_sync.streams.declare import Stream
from brex_sync.streams.selection import select
from brex_sync.terminal import console, errors

if TYPE_CHECKING:
    from brex_sync.marts.standing import MartStanding
    from brex_sync.sync.read.reading import Options
    from brex_sync.sync.report import Report
    from brex_sync.warehouse import Warehouse
    from brex_sync.warehouse.state.run_log import RunKind

StreamNames = Annotated[
    list[str] | None,
    typer.Option("--stream", help="Only this stream, even a deselected one; several may be given."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="If another run has the connection, begin once that has ended."),
]
AcceptDeletions = Annotated[
    bool,
    typer.Option("--accept-deletions", help="Mark missing rows as deleted, however many they are."),
]


BUSY = 3
"""Exit code of a command that finds its connection taken by another run."""


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
    wait: Wait = False,
    connection: ConnectionName = None,
) -> None:
    """Sync once, now, without Dagster.

    Exits with 0 if every stream was read to its end, with 3 if another run has the connection,
    else with 1.
    """
    from brex_sync.sync.read.reading import Options
    from brex_sync.warehouse.state.run_log import RunKind

    options = Options(full=full, accept_deletions=accept_deletions)
    report = _run(stream, connection, options, RunKind.MANUAL, wait=wait)
    raise typer.Exit(0 if report.finished else 1)


def reconcile(
    stream: StreamNames = None,
    since: Annotated[
        str | None, typer.Option(help="Only rows from this date on, YYYY-MM-DD; all by default.")
    ] = None,
    accept_deletions: AcceptDeletions = False,
    wait: Wait = False,
    connection: ConnectionName = None,
) -> None:
    """Compare every row with Brex, mend what differs, and show it; nothing should.

    Lists are brought up to date first, so that what is merely new does not count. Exits with 0 if
    every stream was compared to its end, whatever differed, and with 3 if another run has the
    connection.
    """
    from brex_sync.sync.read.reading import Options
    from brex_sync.warehouse.state.run_log import RunKind

    options = Options(compare=True, since=parse_day(since), accept_deletions=accept_deletions)
    report = _run(stream, connection, options, RunKind.RECONCILE, wait=wait)
    print_differences(console, report)
    raise typer.Exit(0 if report.finished else 1)


def backfill(
    since: Annotated[
        str | None,
        typer.Option("--from", help="From this date on, YYYY-MM-DD; from the beginning if not."),
    ] = None,
    stream: StreamNames = None,
    wait: Wait = False,
    connection: ConnectionName = None,
) -> None:
    """Read transactions, and all that is read by date, again from a date or from the beginning.

    Each list is brought up to date first. Interrupted, or taken over by the schedule, it is gone
    on with where it was, by this command or by the next sync. Exits with 1, and reads nothing, if
    the date is in the future or no stream named is read by date; with 3 if another run has the
    connection.
    """
    from brex_sync.sync.read.reading import Options
    from brex_sync.warehouse.state.run_log import RunKind

    options = Options(backfill=True, since=parse_day(since))
    report = _run(stream, connection, options, RunKind.BACKFILL, wait=wait)
    raise typer.Exit(0 if report.finished else 1)


def status(connection: ConnectionName = None) -> None:
    """Show, per stream, when it last synced, through which date, and how many rows are live.

    Tells the last run, its state and its first error too. Exits with 1, and says why, if a stream
    was never synced or not within two intervals of its schedule, if the last run failed or was
    interrupted, if rows are in quarantine or may be gone, or if someone must act.
    """
    from brex_sync.databases import databases, open_database
    from brex_sync.warehouse import Warehouse

    settings = load_settings()
    chosen = [find(settings, connection)] if connection else load_connections(settings)
    with databases(settings) as (ready, _), open_database(ready) as engine:
        well = [_print_stand(ready, one, Warehouse(engine, one.name)) for one in chosen]
    raise typer.Exit(0 if all(well) else 1)


def _print_stand(settings: Settings, connection: Connection, warehouse: Warehouse) -> bool:
    """Prints how a connection stands; whether nothing needs a person's eye."""
    from brex_sync.connections.health import Level
    from brex_sync.runtime.health import check_health, last_run
    from brex_sync.runtime.streams import streams_of
    from brex_sync.sync import standing
    from brex_sync.warehouse.database import clock
    from brex_sync.warehouse.status.runs import status as stream_status

    streams = streams_of(settings, connection)
    rows = [stream_status(warehouse, stream) for stream in streams]
    run = last_run(warehouse)
    pairs = zip(streams, rows, strict=True)
    faults = standing.faults(pairs, run, cron.longest_gap(settings.schedule), clock(warehouse))
    print_status(console, connection.name, rows)
    reached = f"Reached by {connection.configuration} at {connection.api_url}"
    console.print(reached, highlight=False)
    print_standing(console, run, faults)
    stands = check_health(settings, connection, warehouse)
    print_health(stands)
    return not faults and stands.level is not Level.ACTION


def _run(
    names: list[str] | None,
    connection: str | None,
    options: Options,
    kind: RunKind,
    *,
    wait: bool,
) -> Report:
    """Syncs here and now, and prints what came of it.

    Raises:
        typer.Exit: another run has the connection; which, was printed.
    """
    from brex_sync.databases import databases
    from brex_sync.runtime.simulator import sandbox_if_needed
    from brex_sync.runtime.streams import streams_of
    from brex_sync.sync.asked import in_vain, partly_in_vain

    settings = load_settings()
    chosen = find(settings, connection)
    streams = _streams(names) if names else streams_of(settings, chosen)
    if told := in_vain(options, streams, datetime.now(UTC).date()):
        raise SettingsError(told)
    named = [stream for stream in streams if stream.name in (names or ())]
    if told := partly_in_vain(options, named):
        console.print(told, style="yellow", highlight=False, soft_wrap=True)
    with databases(settings) as (ready, _), sandbox_if_needed(ready, chosen):
        try:
            report, marts = asyncio.run(_sync(ready, chosen, streams, options, kind, wait=wait))
        except ConnectionBusy as busy:
            told = f"brex-sync: {busy}; nothing was done. `--wait` begins once that has ended"
            errors.print(told, style="red", highlight=False, soft_wrap=True)
            raise typer.Exit(BUSY) from None
    print_report(console, report)
    print_marts(console, marts)
    return report


async def _sync(
    settings: Settings,
    connection: Connection,
    streams: list[Stream],
    options: Options,
    kind: RunKind,
    *,
    wait: bool,
) -> tuple[Report, dict[str, MartStanding]]:
    from brex_sync.runtime.marts import keep_marts, marts_of
    from brex_sync.runtime.syncing import open_sync, turn
    from brex_sync.warehouse.state.run_log import RunKind

    run_id = str(uuid4())
    command = "sync" if kind is RunKind.MANUAL else kind
    started_by = f"`brex-sync {command}` ({processes.told()})"
    waiting = _print_wait if wait else None
    async with turn(settings, connection, run_id, started_by, waiting):
        with progress(console, [s.name for s in streams]) as show:
            async with open_sync(
                settings, connection, progress=show, run_id=run_id, kind=kind, options=options
            ) as run:
                report = await run.run(streams)
                return report, await run.warehouse.call(keep_marts, marts_of(settings))


def _print_wait(told: str) -> None:
    console.print(f"Waiting: {told} …", highlight=False, soft_wrap=True)


def _streams(names: list[str]) -> list[Stream]:
    try:
        return select(names)
    except UnknownStream as error:
        raise SettingsError(str(error)) from None
