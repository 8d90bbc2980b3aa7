"""The command that writes a month's report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import find
from brex_sync.settings import load_settings
from brex_sync.terminal import console


def register(cli: typer.Typer) -> None:
    """Adds the command of this module."""
    cli.command()(report)


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, HTML.")],
    month: Annotated[
        str | None, typer.Option(help="The month, YYYY-MM; the one under way by default.")
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Write the company's page of a month as one file that opens offline and can be mailed.

    It holds names and amounts: only its owner may read it. A file that is there is replaced.
    """
    from brex_sync.databases import databases, open_database
    from brex_sync.pages.filters import parse_month
    from brex_sync.pages.report import month_report, write

    settings = load_settings()
    chosen = find(settings, connection)
    first = parse_month(month) if month else None
    with databases(settings) as (ready, _), open_database(ready, prepared=True) as engine:
        made = month_report(ready, chosen, engine, first)
    write(output, made.html)
    size = output.stat().st_size / 1000
    console.print(f"{output}: {size:,.0f} kB", highlight=False, soft_wrap=True)
