"""What several commands share: options, and how they read them."""

from datetime import date
from typing import Annotated

import typer

from brex_sync.errors import SettingsError

ConnectionName = Annotated[
    str | None, typer.Option("--connection", help="Which connection; the first by default.")
]


def parse_day(text: str | None) -> date | None:
    """The date a person wrote; None where they wrote none. Raises SettingsError."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise SettingsError(f"{text!r} is no date such as 2026-11-24") from None
