"""The commands that say which months' books are closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console

from brex_sync import app as brex
from brex_sync.connections import find
from brex_sync.printing import print_closes
from brex_sync.settings import SettingsError, load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse import closes
from brex_sync.warehouse.tables import prepare

console = Console()
Month = Annotated[str, typer.Argument(help="The month, YYYY-MM.")]
ConnectionName = Annotated[
    str | None, typer.Option("--connection", help="Which connection; the first by default.")
]


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(close)
    cli.command()(reopen)
    cli.command("closes")(list_closes)


def close(
    month: Month,
    on: Annotated[
        str | None, typer.Option(help="Last day that still counts, YYYY-MM-DD; today by default.")
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Say that a month's books are closed: what changes in it later is in late_changes."""
    first, day = _month(month), day_of(on) or datetime.now(UTC).date()
    if day < (first + timedelta(days=32)).replace(day=1):
        raise SettingsError(f"{month} is not over on {day}; close it on a later day with --on")
    with _books(connection) as (engine, name):
        closes.close(engine, name, first, day)
        print_closes(console, name, closes.closed(engine, name))


def reopen(month: Month, connection: ConnectionName = None) -> None:
    """Open a closed month again: nothing that changes in it is late."""
    with _books(connection) as (engine, name):
        if not closes.reopen(engine, name, _month(month)):
            raise SettingsError(f"{month} is not closed in {name}")
        print_closes(console, name, closes.closed(engine, name))


def list_closes(connection: ConnectionName = None) -> None:
    """Show the closed months, and how much changed in each since."""
    with _books(connection) as (engine, name):
        print_closes(console, name, closes.closed(engine, name))


def day_of(text: str | None) -> date | None:
    """The date a person wrote; None for nothing.

    Raises:
        SettingsError: it is none.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise SettingsError(f"{text!r} is no date such as 2026-11-24") from None


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise SettingsError(f"{text!r} is no month such as 2026-10") from None


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
