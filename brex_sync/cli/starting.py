"""The commands that start something which runs until Ctrl-C."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from brex_sync.cli.common import parse_day
from brex_sync.settings import load_settings
from brex_sync.terminal import console, say


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.command()(up)
    cli.command()(serve)
    cli.command()(sandbox)


def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the Dagster UI (3000, or BREX_SYNC_PORT)."),
    ] = None,
) -> None:
    """Start everything: Postgres, the sandbox if there is no Brex account, Dagster, a first sync.

    Runs until Ctrl-C, which stops all of it; the data stays, and the next start goes on.
    """
    from brex_sync.runtime.supervisor import run_everything

    run_everything(load_settings(), port, console)


def serve(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on (8787, or BREX_SYNC_SERVICE_PORT)."),
    ] = None,
) -> None:
    """Run the web service: webhooks from Brex, and requests of programs on this machine.

    Only /webhooks is meant for the internet: point a reverse proxy or a tunnel at it alone. All
    else asks for the token in BREX_SYNC_HOME/service-token. `brex-sync up` runs it too.
    """
    from brex_sync.databases import databases
    from brex_sync.http_server import bind, url_of
    from brex_sync.service import server as service

    settings = load_settings()
    listener = bind(port or settings.service_port)
    with databases(settings) as (ready, _):
        console.print(f"Service      {url_of(listener)}", highlight=False)
        service.serve(ready, listener)


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 8642,
    seed: Annotated[int, typer.Option(help="Another seed makes another company.")] = 7,
    months: Annotated[int, typer.Option(help="Months of history.")] = 14,
    card_transactions: Annotated[int, typer.Option(help="How many card transactions.")] = 12_000,
    expenses: Annotated[
        int | None,
        typer.Option(help="How many expenses; by default one per card transaction, up to 12,000."),
    ] = None,
    today: Annotated[
        str | None, typer.Option(help="Last day of the history, YYYY-MM-DD; today by default.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Let money move and people change as time passes.")
    ] = False,
    lively: Annotated[
        bool,
        typer.Option(
            "--lively/--plain",
            help="Add subscriptions, claims, bills and transfers to come to these numbers, or not.",
        ),
    ] = True,
    latency: Annotated[float, typer.Option(help="Seconds every answer is late.")] = 0.0,
    rate_limit: Annotated[
        int, typer.Option(help="Requests allowed per 60 s; 0 for any number.")
    ] = 1000,
) -> None:
    """Run the simulated Brex on its own.

    Its user token is bxt_sandbox, its OAuth issuer is at /oauth2/default, with client id
    brex_sync_sandbox and secret sandbox_secret.
    """
    from brex_sync import http_server as serving
    from brex_sync.http_server import bind, url_of
    from brex_sync.sandbox import create_world
    from brex_sync.sandbox.oauth import create_brex

    day = parse_day(today) or datetime.now(UTC).date()
    listener = bind(port)
    world = create_world(
        seed, day, months, card_transactions, live, expenses=expenses, lively=lively
    )
    say(url_of(listener))
    serving.serve(create_brex(world, latency=latency, rate_limit=rate_limit or None), listener)
