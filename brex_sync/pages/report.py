"""The page of a month as one file, which needs nothing else and can be mailed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import NamedTemporaryFile

import sqlalchemy as sa

from brex_sync.connections.declared import Connection
from brex_sync.errors import BadFilter, SettingsError
from brex_sync.marts import questions
from brex_sync.marts.reader import filled_marts, read_only
from brex_sync.pages import formats
from brex_sync.pages.charts import Chart
from brex_sync.pages.context import PageContext
from brex_sync.pages.filters import Filters
from brex_sync.pages.freshness import read_freshness
from brex_sync.pages.links import NoLinks
from brex_sync.pages.model import Figure, Panel
from brex_sync.pages.overview import all_panels, overview
from brex_sync.pages.rendering import render, stylesheet
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class MonthReport:
    """The report of a month (its first day): `html` is the file.

    `figures` are its headlines, `charts` show the month's spend; `lacks` is a sentence that says
    why it has no spend, empty where it has some.
    """

    month: date
    html: str
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    lacks: str


def month_report(
    settings: Settings, connection: Connection, engine: sa.Engine, month: date | None
) -> MonthReport:
    """The report; of the month that is under way for None.

    Raises:
        BadFilter: the month has not begun.
        PostgresError: the warehouse cannot be asked.
    """
    freshness = read_freshness(settings, connection, Warehouse(engine, connection.name))
    with read_only(engine) as db:
        today = questions.today(db)
        first = month or today.replace(day=1)
        if first > today:
            raise BadFilter(f"The month {first:%Y-%m} has not begun.")
        question = Filters(connection.name, first).question(today)
        marts = filled_marts(db, connection.name)
        context = PageContext(db, question, NoLinks(), marts, today, freshness)
        panels = all_panels(context)
        spend = next(panel for panel in panels if panel.key == "spend")
        lacks = _lacks(context, spend)
        page = overview(context, connection, panels)
    html = render(
        "overview.html", title=page.title, page=page, links=(), all=False, style=stylesheet()
    )
    return MonthReport(first, html, page.figures, spend.charts, lacks)


def write(path: Path, html: str) -> None:
    """Writes a file that only its owner can read, whole or not at all. An existing one is replaced.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=path.name, delete=False
        ) as draft:
            draft.write(html)
        Path(draft.name).replace(path)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None


def _lacks(context: PageContext, spend: Panel) -> str:
    if spend.lacks:
        return spend.lacks
    [whole] = context.spend_by("all")
    month = formats.month(context.question.this.first)
    return "" if whole.lines else f"There is no spend in {month}."
