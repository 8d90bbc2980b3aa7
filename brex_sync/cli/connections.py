"""The commands that connect Brex accounts, list them, and take them back."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING, Annotated

import typer

from brex_sync.connections.declared import (
    DEFAULT_NAME,
    Connection,
    Entry,
    connection_of,
    load_connections,
    overrides,
)
from brex_sync.connections.editing import declare, entry_of, undeclare
from brex_sync.errors import SettingsError, UnknownStream
from brex_sync.settings import Configuration, Settings, load_settings
from brex_sync.streams import Stream
from brex_sync.streams.selection import select
from brex_sync.terminal import console, say

if TYPE_CHECKING:
    from brex_sync.brex.oauth import Consent
    from brex_sync.connections import connect as connecting
    from brex_sync.connections.connect import Connected
    from brex_sync.connections.health import Health
    from brex_sync.warehouse.credentials import Credential

MINUTES = 10
"""How long a person may take to consent."""
STYLES = {"WELL": "green", "WARNING": "yellow", "ACTION": "red"}
"""By a Level's name."""


connections = typer.Typer(
    help="List the connections and how each stands; exits with 0 only if none needs a person.",
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(help="The connection: its schema, and its assets' prefix.")]


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(connect)
    cli.command()(disconnect)
    cli.add_typer(connections, name="connections")


def connect(
    name: Name = DEFAULT_NAME,
    configuration: Annotated[
        Configuration | None,
        typer.Option(help="brex or brex-staging (OAuth), or brex-api-key (a user token)."),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address; paste where it leads to.")
    ] = False,
    login: Annotated[
        bool, typer.Option("--login", help="Let Brex ask who you are, even if it knows.")
    ] = False,
    import_refresh_token: Annotated[
        bool,
        typer.Option(
            "--import-refresh-token",
            help="Read a refresh token from a prompt or standard input; it is used up by it.",
        ),
    ] = False,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Leave the API key in this variable, instead of asking for it."),
    ] = None,
    stream: Annotated[
        list[str] | None,
        typer.Option(help="Ask for this stream's scope alone; may be given several times."),
    ] = None,
    workflows: Annotated[
        bool,
        typer.Option("--workflows", help="Ask for what the workflows need, too, yours included."),
    ] = False,
) -> None:
    """Connect a Brex account, or repair a connection that Brex refuses.

    For brex and brex-staging a browser opens at Brex. For brex-api-key the user token is read from
    a prompt without echo, or from standard input.
    """
    from brex_sync.brex.oauth import Tokens
    from brex_sync.connections import connect as connecting
    from brex_sync.connections.connect import wanted_scopes
    from brex_sync.databases import databases
    from brex_sync.runtime.streams import streams_of
    from brex_sync.workflows import load
    from brex_sync.workflows.declare import scopes_of

    settings = load_settings()
    entry = _entry(settings, name, configuration, api_key_env)
    connection = connection_of(settings, name, entry)
    streams = _streams(stream) if stream else streams_of(settings, connection)
    needed = scopes_of(load(settings.workflow_modules).values()) if workflows else ()
    scopes = wanted_scopes(streams, needed)

    def obtain() -> Tokens | str:
        if connection.application is None:
            return connection.token or _secret("User token (bxt_…)")
        if import_refresh_token:
            return connecting.by_refresh_token(connection, _secret("Refresh token"))
        ask = _pasted if no_browser else _browsed(connection)
        return connecting.by_consent(connection, scopes, login, ask)

    with databases(settings) as (ready, _):
        done = connecting.establish(ready, connection, obtain)
        declare(ready, name, entry)
    _print_connected(connection, done)


@connections.callback()
def list_connections(context: typer.Context) -> None:
    """List the connections and how each stands; exits with 0 only if none needs a person."""
    from brex_sync.connections.credentials import now_utc
    from brex_sync.connections.health import Level, health
    from brex_sync.databases import databases, open_database
    from brex_sync.warehouse import credentials as table

    if context.invoked_subcommand is not None:
        return
    settings = load_settings()
    with databases(settings) as (ready, _), open_database(ready) as engine:
        found = [(c, table.read(engine, c.name)) for c in load_connections(ready)]
    stand = [health(c, row, now_utc()) for c, row in found]
    for (connection, row), one in zip(found, stand, strict=True):
        _print_connection(connection, row, one)
    raise typer.Exit(1 if any(one.level is Level.ACTION for one in stand) else 0)


@connections.command("rotate-key")
def rotate_key() -> None:
    """Seal the stored secrets with a new key, while syncs run."""
    from brex_sync.connections import connect as connecting
    from brex_sync.databases import databases

    settings = load_settings()
    with databases(settings) as (ready, _):
        count = connecting.rotate_key(ready)
    console.print(f"The secrets of {count} connections are sealed with the new key.")


def disconnect(
    name: Name,
    forget: Annotated[
        bool, typer.Option("--forget", help="Only forget it here; revoke nothing at Brex.")
    ] = False,
) -> None:
    """Revoke a connection's tokens at Brex and forget them. The tables stay."""
    from brex_sync.connections import connect as connecting
    from brex_sync.connections.connect import Left
    from brex_sync.databases import databases

    settings = load_settings()
    with databases(settings) as (ready, _):
        left = connecting.disconnect(ready, name, revoke=not forget)
    declared = undeclare(settings, name)
    console.print(f"{name} is forgotten{', and revoked at Brex' if left is Left.REVOKED else ''}.")
    if left is Left.GRANT:
        console.print("What it was granted is still good: revoke it in the Brex dashboard.")
    if declared:
        console.print(f"Take out {declared} too, or it will be tried again.")


def print_health(one: Health) -> None:
    """One line on how a connection stands."""
    console.print(
        f"{one.connection}: {one.told}",
        style=STYLES[one.level.name],
        highlight=False,
        soft_wrap=True,
    )


def _entry(
    settings: Settings, name: str, configuration: Configuration | None, api_key_env: str | None
) -> Entry:
    """What will be declared: what is already, unless something else is asked for."""
    known = entry_of(settings, name)
    same = known is not None and configuration in (known.get("configuration"), None)
    if known is not None and same and api_key_env is None:
        return known
    chosen = configuration or (Configuration.API_KEY if api_key_env else settings.configuration)
    if chosen in (None, Configuration.SANDBOX):
        raise SettingsError(
            "say how to connect: --configuration brex or brex-staging (OAuth, for registered "
            "partners), or brex-api-key (a user token)"
        )
    entry: Entry = {"configuration": str(chosen)} | overrides(settings)
    return entry | ({"api_key_env": api_key_env} if api_key_env else {})


def _streams(names: list[str]) -> list[Stream]:
    try:
        return select(names)
    except UnknownStream as error:
        raise SettingsError(str(error)) from None


def _secret(what: str) -> str:
    """A secret from a prompt without echo, or from standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True)).strip()
    secret = sys.stdin.readline().strip()
    if not secret:
        raise SettingsError(f"expected on standard input: {what}")
    return secret


def _browsed(connection: Connection) -> connecting.Answer:
    """Opens the page in a browser and waits for it to come back."""
    from brex_sync.connections.callback import listening

    def ask(consent: Consent) -> str:
        redirect = connection.application.redirect_uri if connection.application else ""
        with listening(redirect, consent.state) as receiver:
            console.print("A browser opens at Brex; if none does, open this address:")
            say(consent.url)
            webbrowser.open(consent.url)
            return receiver.wait(MINUTES * 60)

    return ask


def _pasted(consent: Consent) -> str:
    """Prints the page's address and takes the address the person was sent back to."""
    console.print("Open this address in a browser, on any machine:")
    say(consent.url)
    console.print("You will be sent to an address that may show nothing. Paste it here:")
    return sys.stdin.readline().strip()


def _print_connected(connection: Connection, done: Connected) -> None:
    company = done.company.legal_name or "a company whose name the credential may not read"
    told = [f"{connection.name} is connected to {company.rstrip('.')}."]
    if done.scopes is not None:
        told.append(f"Granted: {', '.join(sorted(done.scopes)) or 'nothing'}")
    readable = [name for name, hidden in done.reach.items() if hidden is None]
    told.append(f"Can be synced: {', '.join(readable) or 'nothing'}")
    told += [f"Cannot be synced: {n}: {why}" for n, why in done.reach.items() if why]
    told.append(
        f"Next: `brex-sync sync --connection {connection.name}`, or reload the code location in "
        "the Dagster UI (Deployment)."
    )
    for line in told:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_connection(connection: Connection, row: Credential | None, one: Health) -> None:
    from rich.table import Table

    facts = Table(box=None, show_header=False, title=connection.name, title_justify="left")
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    known: dict[str, object] = {
        "configuration": f"{connection.configuration} at {connection.api_url}",
        "company": row.company_name or row.company_id if row else None,
        "state": one.state,
        "scopes": ", ".join(row.scopes) if row and row.scopes is not None else None,
        "access token ends": row.access_ends_at if row else None,
        "last used": row.used_at if row else None,
        "dies unless used": one.dies_on,
    }
    for label, value in known.items():
        shown = f"{value:%Y-%m-%d %H:%M} UTC" if hasattr(value, "hour") else str(value or "-")
        facts.add_row(label, shown)
    console.print(facts)
    print_health(one)
