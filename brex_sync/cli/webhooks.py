"""The commands about webhooks: Brex's endpoint and secrets, and what came of the events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from brex_sync.cli.common import ConnectionName
from brex_sync.connections.declared import Connection, find
from brex_sync.errors import SettingsError
from brex_sync.settings import Settings, load_settings
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.terminal import console
from brex_sync.webhooks.events import EVENT_TYPES

if TYPE_CHECKING:
    from brex_sync.brex.client import BrexClient
    from brex_sync.warehouse import Warehouse
    from brex_sync.webhooks.secrets import Secrets
    from brex_sync.webhooks.subscriptions import Subscription

Result = TypeVar("Result")
PARTNERS = "REFERRAL"
"""Events that only partners get."""

webhooks = typer.Typer(help="Have Brex tell of changes as they happen, and see what came of it.")
secrets = typer.Typer(help="What Brex signs events with.")
webhooks.add_typer(secrets, name="secrets")


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.add_typer(webhooks, name="webhooks")


@webhooks.command("register")
def register_endpoint(
    url: Annotated[
        str,
        typer.Option(help="Where Brex reaches the service; without a path, ours is added to it."),
    ],
    event: Annotated[
        list[str] | None,
        typer.Option("--event", help="Only this type of event; several may be given."),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Take the place of an endpoint that is somebody else's."),
    ] = False,
    connection: ConnectionName = None,
) -> None:
    """Have Brex send events to a URL, over https. Doing it again changes what differs.

    Another URL takes the place of the one that was registered from here before, and of no other.
    """
    from brex_sync.warehouse.events import webhook_secrets
    from brex_sync.webhooks import subscriptions

    with _opened(connection) as place:
        where = subscriptions.address(url, place.connection.name)
        events = event or _wanted(place)

        async def work(client: BrexClient) -> subscriptions.Registered:
            before = webhook_secrets.endpoint(place.warehouse)
            made = await subscriptions.register(client, where, events, before, take_over=take_over)
            webhook_secrets.remember_endpoint(place.warehouse, where)
            await _secrets(place).refresh(client)
            await _show_in_table(place, client, made.subscription.id)
            return made

        made = place.ask(work)
    told = f"{made.subscription.url}: {made.done.value}."
    console.print(told, highlight=False, soft_wrap=True)
    if made.replaced:
        told = f"It takes the place of {made.replaced}."
        console.print(told, highlight=False, soft_wrap=True)
    console.print(f"Events: {', '.join(made.subscription.event_types)}", highlight=False)


@webhooks.command("list")
def list_endpoints(connection: ConnectionName = None) -> None:
    """Show where Brex sends which events."""
    from rich.table import Table

    from brex_sync.warehouse.events import webhook_secrets
    from brex_sync.webhooks import subscriptions

    with _opened(connection) as place:
        found = place.ask(subscriptions.listed)
        here = webhook_secrets.endpoint(place.warehouse)
    table = Table("id", "url", "whose", "events", "status", box=None)
    for one in found:
        events = ", ".join(one.event_types)
        table.add_row(one.id, one.url, _whose(one, here), events, one.status)
    console.print(table if found else "Brex sends no events: `brex-sync webhooks register`.")


@webhooks.command()
def unregister(
    subscription: Annotated[
        str | None, typer.Argument(help="Its id; not needed for the one registered from here.")
    ] = None,
    connection: ConnectionName = None,
) -> None:
    """Have Brex send no more events to an endpoint. What came is processed all the same."""
    from brex_sync.warehouse.events import webhook_secrets
    from brex_sync.webhooks import subscriptions

    with _opened(connection) as place:

        async def work(client: BrexClient) -> str | None:
            found = await subscriptions.listed(client)
            here = webhook_secrets.endpoint(place.warehouse)
            ours = [one.id for one in found if subscriptions.is_ours(one, here)]
            if subscription is None and found and not ours:
                told = "; ".join(map(str, found))
                raise SettingsError(f"none was registered from here, so name one of {told}")
            key = subscription or next(iter(ours), None)
            if key is not None and await subscriptions.unregister(client, key):
                if key in ours:
                    webhook_secrets.remember_endpoint(place.warehouse, None)
                await _show_in_table(place, client, key)
                return key
            return None

        ended = place.ask(work)
    console.print(f"{ended} is ended." if ended else "There is none.", highlight=False)


def _whose(one: Subscription, here: str | None) -> str:
    """Who an endpoint is for, as far as that is known here."""
    from brex_sync.webhooks import subscriptions

    if one.group_id is not None:
        return f"group {one.group_id}"
    return "this service" if subscriptions.is_ours(one, here) else "somebody else"


@secrets.command()
def refresh(connection: ConnectionName = None) -> None:
    """Ask Brex for its secrets now. The service does so by itself when a signature fits none."""
    with _opened(connection) as place:
        found = place.ask(_secrets(place).refresh)
    console.print(f"{len(found)} live secrets are stored, sealed.", highlight=False)


@webhooks.command()
def replay(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    connection: ConnectionName = None,
) -> None:
    """Let an event wait to be worked off again, a parked one for example."""
    from brex_sync.warehouse.events import inbox

    with _opened(connection) as place:
        if not inbox.replay(place.warehouse, event):
            raise SettingsError(f"{place.connection.name} got no event {event}")
    console.print(f"{event} waits again.", highlight=False)


@webhooks.command()
def process(connection: ConnectionName = None) -> None:
    """Work off, once, the events that are due, without Dagster and the service."""
    from brex_sync.runtime.events import process_events, send_notifications
    from brex_sync.warehouse.events import inbox

    with _opened(connection) as place:
        count = asyncio.run(
            process_events(place.settings, place.connection, place.warehouse, seconds=3600)
        )
        asyncio.run(send_notifications(place.settings, place.warehouse.engine))
        parked = inbox.standing(place.warehouse).parked
    console.print(f"{count} events were taken up; {parked} are parked.", highlight=False)


@webhooks.command()
def status(connection: ConnectionName = None) -> None:
    """Show how many events came and what became of them. Exits with 1 if any was given up."""
    from rich.table import Table

    from brex_sync.warehouse.events import inbox, outbox, webhook_secrets

    with _opened(connection) as place:
        stands = inbox.standing(place.warehouse)
        parked = inbox.parked(place.warehouse)
        untold = outbox.not_taken(place.warehouse)
        here = webhook_secrets.endpoint(place.warehouse)
    console.print(f"Registered from here: {here or 'nothing'}.", highlight=False, soft_wrap=True)
    table = Table("received", "verified", "refused", "waiting", "done", "parked", box=None)
    numbers = (stands.received, stands.verified, stands.refused, stands.waiting)
    table.add_row(*(f"{n:,}" for n in (*numbers, stands.done, stands.parked)))
    console.print(table)
    for one in parked:
        console.print(f"parked: {one.id} ({one.type}): {one.note}", highlight=False)
    for url in untold:
        console.print(
            f"{url.url}: {url.waiting:,} notifications wait, {url.given_up:,} were given up: "
            f"{url.note or 'not tried yet'}",
            highlight=False,
        )
    raise typer.Exit(1 if stands.parked or any(url.given_up for url in untold) else 0)


@dataclass(frozen=True, slots=True)
class _Place:
    settings: Settings
    connection: Connection
    warehouse: Warehouse

    def ask(self, work: Callable[[BrexClient], Awaitable[Result]]) -> Result:
        """Does something with the connection's client."""
        from brex_sync.runtime.clients import open_client

        async def go() -> Result:
            async with open_client(self.settings, self.connection, self.warehouse.engine) as client:
                return await work(client)

        return asyncio.run(go())


@contextmanager
def _opened(name: str | None) -> Iterator[_Place]:
    """The connection and its warehouse, made ready; with the sandbox, where that is Brex."""
    from brex_sync.databases import databases, open_warehouse
    from brex_sync.runtime.simulator import sandbox_if_needed
    from brex_sync.warehouse.prepare.tables import prepare

    settings = load_settings()
    connection = find(settings, name)
    with (
        databases(settings) as (ready, _),
        sandbox_if_needed(ready, connection),
        open_warehouse(ready, connection.name) as warehouse,
    ):
        prepare(warehouse, STREAMS.values(), VIEWS.values())
        yield _Place(ready, connection, warehouse)


def _secrets(place: _Place) -> Secrets:
    from brex_sync.webhooks.secrets import Secrets

    return Secrets(place.settings, place.warehouse)


def _wanted(place: _Place) -> list[str]:
    """The types of event that concern what is synced and may be read."""
    from brex_sync.runtime.streams import streams_of
    from brex_sync.warehouse.state import unavailable

    synced = {stream.name for stream in streams_of(place.settings, place.connection)}
    return [
        one.name
        for one in EVENT_TYPES.values()
        if one.stream.name in synced
        and not one.name.startswith(PARTNERS)
        and unavailable.found(place.warehouse, one.stream.name) is None
    ]


async def _show_in_table(place: _Place, client: BrexClient, key: str) -> None:
    """Lets webhook_subscriptions show what was done."""
    from brex_sync.sync.read.refetch import refetch

    stream = STREAMS["webhook_subscriptions"]
    await refetch(client, place.warehouse, stream, [key])
