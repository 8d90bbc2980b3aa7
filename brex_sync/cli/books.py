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
    from brex_sync.warehouse import Warehouse


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
    with _books(connection) as warehouse:
        closes.close(warehouse, first, day)
        print_closes(console, warehouse.schema, closes.closed(warehouse))


def reopen(
    month: Annotated[str, typer.Argument(help="The month, YYYY-MM.")],
    connection: ConnectionName = None,
) -> None:
    """Open a closed month again: nothing that changes in it is late."""
    from brex_sync.warehouse.state import closes

    with _books(connection) as warehouse:
        if not closes.reopen(warehouse, _month(month)):
            raise SettingsError(f"{month} is not closed in {warehouse.schema}")
        print_closes(console, warehouse.schema, closes.closed(warehouse))


def list_closes(connection: ConnectionName = None) -> None:
    """Show the closed months, and how much changed in each since."""
    from brex_sync.warehouse.state import closes

    with _books(connection) as warehouse:
        print_closes(console, warehouse.schema, closes.closed(warehouse))


@contextmanager
def _books(connection: str | None) -> Iterator[Warehouse]:
    """The connection's warehouse, made ready."""
    from brex_sync.databases import databases, open_warehouse
    from brex_sync.warehouse.prepare.tables import prepare

    settings = load_settings()
    name = find(settings, connection).name
    with databases(settings) as (ready, _), open_warehouse(ready, name) as warehouse:
        prepare(warehouse, STREAMS.values(), VIEWS.values())
        yield warehouse


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()
    except ValueError:
        raise SettingsError(f"{text!r} is no month such as 2026-10") from None
