"""The command line: parses what people ask for and prints what came of it."""

import logging
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer
from rich.logging import RichHandler

from brex_sync.cli import (
    books,
    connections,
    exporting,
    reporting,
    requests,
    roles,
    starting,
    syncing,
    webhooks,
    workflows,
)
from brex_sync.errors import BrexSyncError
from brex_sync.terminal import errors, show_crash

cli = typer.Typer(
    name="brex-sync",
    help="Brings a company's Brex account into Postgres and keeps it current.\n\n"
    "Start with `brex-sync up`: it needs no Brex account (a sandbox stands in for one) and no "
    "Postgres. Settings come from the environment and from a .env file; the README lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for commands in (
    starting,
    syncing,
    connections,
    books,
    exporting,
    reporting,
    webhooks,
    requests,
    workflows,
    roles,
):
    commands.register(cli)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Ends the process so that what it started is stopped first."""
    raise SystemExit(128 + number)


def main() -> NoReturn:
    """The console command; what can be foreseen ends in one line, not in a traceback."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_path=False, show_time=False)],
    )
    signal.signal(signal.SIGTERM, _terminate)
    sys.excepthook = show_crash
    try:
        cli()
    except BrexSyncError as error:
        errors.print(f"brex-sync: {error}", style="red", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(1)
