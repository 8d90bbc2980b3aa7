"""The commands that write files for other tools: exports, and a dbt package."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import find
from brex_sync.errors import SettingsError
from brex_sync.runtime.formats import Format
from brex_sync.settings import load_settings
from brex_sync.terminal import errors, say

LATE = timedelta(minutes=10)
"""A transaction that is open for longer is named: what changed since it began is not exported."""


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(export)
    cli.command("dbt-package")(write_dbt_package)


def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")],
    form: Annotated[
        Format, typer.Option("--format", help="Parquet for a data lake, CSV for the rest.")
    ] = Format.PARQUET,
    table: Annotated[
        list[str] | None, typer.Option(help="A table or view; repeat for several.")
    ] = None,
    mart: Annotated[list[str] | None, typer.Option(help="A mart; repeat for several.")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Start over instead of adding what changed.")
    ] = False,
    for_spreadsheets: Annotated[
        bool,
        typer.Option(
            "--for-spreadsheets",
            help="With CSV: put an apostrophe before texts that a spreadsheet runs as formulas.",
        ),
    ] = False,
    connection: ConnectionName = None,
) -> None:
    """Write tables and marts to Parquet or CSV files, without losing a digit.

    Without --table and --mart, every table is written. Run again, it adds a file per table with
    the rows that changed since; the files of views and marts are replaced.
    """
    from brex_sync.databases import databases, open_database
    from brex_sync.marts.session import schema_of
    from brex_sync.runtime.export import Export
    from brex_sync.warehouse.export import relation, relations

    if for_spreadsheets and form is not Format.CSV:
        raise SettingsError("--for-spreadsheets goes with --format csv")
    settings = load_settings()
    name = find(settings, connection).name
    with databases(settings) as (ready, _), open_database(ready, prepared=True) as engine:
        exporting = Export(engine, output, form, for_spreadsheets)
        wanted = [(name, one) for one in table or ()]
        wanted += [(schema_of(name), one) for one in mart or ()]
        for schema, one in wanted or [(name, one) for one in relations(engine, name)]:
            found = relation(engine, schema, one)
            if not found.columns:
                there = ", ".join(relations(engine, schema)) or "nothing yet: sync first"
                raise SettingsError(f"there is no {schema}.{one}; there is {there}")
            done = exporting.run(found, full=full)
            written = f"{done.rows:,} rows to {done.path}" if done.path else "nothing changed"
            say(f"{schema}.{one}: {written}")
            if done.until and datetime.now(UTC) - done.until > LATE:
                errors.print(
                    f"{schema}.{one}: changes since {done.until:%Y-%m-%d %H:%M} UTC are left to "
                    "the next export: a transaction of the same role has been open since then",
                    style="yellow",
                )


def write_dbt_package(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")],
    connection: ConnectionName = None,
) -> None:
    """Write a dbt package with a connection's tables as sources: descriptions, tests, freshness."""
    from brex_sync.cron import longest_gap
    from brex_sync.runtime.dbt_package import Package, write
    from brex_sync.runtime.marts import marts_of
    from brex_sync.runtime.streams import streams_of

    settings = load_settings()
    found = find(settings, connection)
    gap = longest_gap(settings.schedule)
    marts = tuple(marts_of(settings).marts.values())
    package = Package(found.name, tuple(streams_of(settings, found)), marts, 2 * gap, 3 * gap)
    for path in write(package, output):
        say(str(path))
