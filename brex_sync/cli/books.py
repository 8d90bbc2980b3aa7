"""The commands by which a finance team closes its months."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from brex_sync.cli.common import ConnectionName, parse_day
from brex_sync.cli.printing import print_closes
from brex_sync.connections.declared import find
from brex_sync.errors import SettingsError
from brex_sync.settings import load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.terminal import console

if TYPE_CHECKING:
    import sqlalchemy as sa


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(close)
    cli.command()(reopen)
    cli.command("closes")(list_closes)


def close(
    month: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    on: Annotated[
        str | None, typer.Option(help="Last day that still counts, YYYY-MM-DD; today by default.")
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Say that a month's books are closed: what changes in it later is in late_changes."""
    from brex_sync.warehouse.state import closes

    first, day = _month(month), parse_day(on) or datetime.now(UTC).date()
    if day < (first + timedelta(days=32)).replace(day=1):
        raise SettingsError(f"{month} is not over on {day}; close it on a later day with --on")
    with _books(connection) as (engine, name):
        closes.close(engine, name, first, day)
        print_closes(console, name, closes.closed(engine, name))


def reopen(
    month: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    connection: ConnectionName = None,
) -> None:
    """Open a closed month again: nothing that changes in it is late."""
    from brex_sync.warehouse.state import closes

    with _books(connection) as (engine, name):
        if not closes.reopen(engine, name, _month(month)):
            raise SettingsError(f"{month} is not closed in {name}")
        print_closes(console, name, closes.closed(engine, name))


def list_closes(connection: ConnectionName = None) -> None:
    """Show the closed months, and how much changed in each since."""
    from brex_sync.warehouse.state import closes

    with _books(connection) as (engine, name):
        print_closes(console, name, closes.closed(engine, name))


@contextmanager
def _books(connection: str | None) -> Iterator[tuple[sa.Engine, str]]:
    """The warehouse, made ready, and the connection's name."""
    from brex_sync.databases import databases, open_engine
    from brex_sync.warehouse.prepare.tables import prepare

    settings = load_settings()
    name = find(settings, connection).name
    with databases(settings) as (ready, _):
        engine = open_engine(ready)
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
