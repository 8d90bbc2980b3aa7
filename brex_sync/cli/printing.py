"""What the command line shows: progress while it goes, tables at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from brex_sync.terminal import Terminal

if TYPE_CHECKING:
    from rich.table import Table

    from brex_sync.marts.standing import MartStanding
    from brex_sync.sync.read import reading
    from brex_sync.sync.report import Report, StreamReport
    from brex_sync.warehouse.state.closes import Close
    from brex_sync.warehouse.status.runs import LastRun, StreamStatus

LINES_EVERY = 1.0
"""Seconds between two lines about a stream, at least."""
WIDTH = 132
"""Characters a table may take: a line that a narrow terminal wraps still says everything."""
COLUMNS = ("fetched", "inserted", "updated", "unchanged", "deleted", "quarantined", "requests")


@contextmanager
def progress(console: Console, streams: Iterable[str]) -> Iterator[reading.Progress]:
    """A bar per stream on a terminal, a line per page otherwise; yields what to tell it by."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        yield _lines(console)
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
        console=console,
    )
    with bars:
        tasks = {name: bars.add_task(name, total=None) for name in streams}

        def show(report: StreamReport) -> None:
            if report.stream not in tasks:
                tasks[report.stream] = bars.add_task(report.stream, total=None)
            ended = report.state != "finished" or report.synced_through is not None
            total = max(report.fetched, 1) if ended else None
            done = total if ended else report.fetched
            bars.update(tasks[report.stream], completed=done, total=total)

        yield show


def print_marts(console: Console, marts: Mapping[str, MartStanding]) -> None:
    """How many marts are up to date, and below it which are not and which do not tie."""
    faulty = {name: stand.fault for name, stand in marts.items() if stand.fault}
    current = f"{len(marts) - len(faulty)} of {len(marts)} marts are up to date."
    console.print(current, highlight=False)
    for name, fault in faulty.items():
        console.print(f"{name}: {fault}", style="red", highlight=False, markup=False)
    for name, stand in marts.items():
        for tie, tied in stand.broken.items():
            told = f"{name}: {tied.broken} rows break the tie {tie}"
            console.print(told, style="yellow", highlight=False, markup=False)


def print_report(console: Console, report: Report) -> None:
    """The table at the end of a sync, and below it what went wrong."""
    table = _table(report.connection)
    for name in (*COLUMNS, "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("synced through", no_wrap=True)
    for stream in report.streams.values():
        counts = stream.counts()
        table.add_row(
            stream.stream,
            *(f"{counts[name]:,}" for name in COLUMNS),
            f"{stream.seconds:.1f}",
            str(stream.synced_through or stream.state),
        )
    _print_whole(console, table)
    for stream in report.streams.values():
        for sentence in (stream.error, stream.doubt):
            if sentence:
                console.print(f"{stream.stream}: {sentence}", style="red", highlight=False)
        if stream.unavailable:
            told = f"{stream.stream} is unavailable: {stream.unavailable}"
            console.print(told, style="yellow", highlight=False)
        for notice in stream.notices:
            console.print(f"{stream.stream}: {notice}", style="yellow", highlight=False)


def print_differences(console: Console, report: Report) -> None:
    """What a reconciliation found and mended, stream by stream, and the keys of the rows."""
    for stream in report.streams.values():
        if stream.differed is not None:
            console.print(f"{stream.stream}: {stream.differed}", highlight=False)
            for difference in stream.differed.shown:
                console.print(f"    {difference}", highlight=False, soft_wrap=True)


def print_status(console: Console, connection: str, rows: Sequence[StreamStatus]) -> None:
    """How each stream of a connection stands."""
    from brex_sync.sync.standing import state_of

    table = _table(connection)
    for name in ("last synced (UTC)", "through"):
        table.add_column(name, no_wrap=True)
    for name in ("live rows", "quarantined"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in rows:
        table.add_row(
            row.stream,
            _minute(row.synced_at),
            str(row.synced_through or "-"),
            f"{row.live:,}",
            f"{row.quarantined:,}",
            state_of(row),
        )
    _print_whole(console, table)
    for row in rows:
        if row.unavailable:
            console.print(f"{row.stream} is unavailable: {row.unavailable}", highlight=False)
        for one in (*row.refused, *filter(None, [row.doubt])):
            console.print(f"{row.stream}: {one}", highlight=False)


def print_standing(console: Console, run: LastRun | None, faults: Iterable[str]) -> None:
    """The last run, and what needs a person's eye."""
    from brex_sync.sync.standing import told

    last = told(run) if run else "No run is known"
    console.print(last, highlight=False, soft_wrap=True)
    for fault in faults:
        console.print(f"Not well: {fault}", style="red", highlight=False, soft_wrap=True)


def print_closes(console: Console, connection: str, months: Iterable[Close]) -> None:
    """The closed months of a connection, and how many rows changed in each after its close."""
    table = _table(connection, first="month")
    table.add_column("closed on (UTC)", no_wrap=True)
    table.add_column("late changes", justify="right", no_wrap=True)
    for one in months:
        table.add_row(f"{one.month:%Y-%m}", str(one.closed_on), f"{one.late:,}")
    console.print(table, highlight=False)


def _print_whole(console: Console, table: Table) -> None:
    """Prints a table no narrower than it must be to say everything."""
    width = max(WIDTH, console.width)
    wide = Terminal(file=console.file, width=width, force_terminal=console.is_terminal)
    wide.print(table)


def _lines(console: Console) -> reading.Progress:
    printed: dict[str, tuple[int, int]] = {}
    told: dict[str, float] = {}

    def show(report: StreamReport) -> None:
        reached, now = (report.fetched, report.requests), time.monotonic()
        if printed.get(report.stream) == reached:
            return
        ended = report.synced_through is not None or report.state != "finished"
        if ended or now - told.get(report.stream, -LINES_EVERY) >= LINES_EVERY:
            printed[report.stream], told[report.stream] = reached, now
            line = f"{report.stream}: {report.fetched:,} rows fetched, {report.requests} requests"
            console.print(line, highlight=False)

    return show


def _table(connection: str, first: str = "stream") -> Table:
    """A table with its first column, as wide as it needs, whatever the terminal."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), title=f"Connection {connection}")
    table.title_justify = "left"
    table.add_column(first, no_wrap=True)
    return table


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
