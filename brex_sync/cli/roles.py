"""Commands about who may log in to the warehouse."""

from enum import StrEnum

import typer

from brex_sync.settings import load_settings
from brex_sync.terminal import console, say

commands = typer.Typer()


class Role(StrEnum):
    """Who has a password of their own."""

    WRITER = "writer"
    READER = "reader"
    DAGSTER = "dagster"


def register(cli: typer.Typer) -> None:
    """Adds the commands of this module."""
    cli.add_typer(commands, name="roles", invoke_without_command=True)


@commands.callback()
def roles(context: typer.Context) -> None:
    """Print the SQL that makes a writer and a reader in a Postgres of yours.

    The embedded server has them already. Give them passwords (\\password in psql), and put the
    writer into BREX_SYNC_DATABASE_URL.
    """
    from brex_sync.warehouse.schema.roles import statements

    if context.invoked_subcommand is None:
        say(statements())


@commands.command("reset-password")
def reset(role: Role) -> None:
    """Give a role of the embedded server a new password, and write it to its passfile."""
    from brex_sync.databases import reset_password

    server = reset_password(load_settings(), f"brex_{role}")
    console.print(
        f"{server.user} has a new password, in {server.passfile}. Restart what is running with the "
        "old one, `brex-sync up` for example.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
