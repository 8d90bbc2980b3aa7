"""The page of a month as one file, which needs nothing else and can be mailed."""

from datetime import date

import sqlalchemy as sa

from brex_sync.connections.declared import Connection
from brex_sync.errors import BadFilter
from brex_sync.marts import questions
from brex_sync.marts.reader import filled_marts, read_only
from brex_sync.pages.context import PageContext
from brex_sync.pages.filters import Filters
from brex_sync.pages.freshness import read_freshness
from brex_sync.pages.links import NoLinks
from brex_sync.pages.overview import all_panels, overview
from brex_sync.pages.rendering import render, stylesheet
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse


def month_report(
    settings: Settings, connection: Connection, engine: sa.Engine, month: date | None
) -> str:
    """The report as HTML; of the month that is under way for None.

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
        page = overview(context, connection, all_panels(context))
    return render(
        "overview.html", title=page.title, page=page, links=(), all=False, style=stylesheet()
    )
