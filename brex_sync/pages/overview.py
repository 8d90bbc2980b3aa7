"""The page as a whole: its filters, its headlines and its panels."""

from collections.abc import Iterator, Sequence

from brex_sync.connections.declared import Connection
from brex_sync.errors import BadFilter
from brex_sync.marts import questions
from brex_sync.marts.questions import NOBODY_S
from brex_sync.pages import formats
from brex_sync.pages.context import PageContext
from brex_sync.pages.filters import Filters, months_before
from brex_sync.pages.model import Banner, Choice, Option, Overview, Panel
from brex_sync.pages.panels import PANELS, build
from brex_sync.settings import Configuration

MONTHS = 24
"""Months that can be chosen."""


def overview(
    context: PageContext,
    connection: Connection,
    panels: Sequence[Panel],
    choices: Sequence[Choice] = (),
) -> Overview:
    """Everything that the page shows; without choices nothing can be filtered."""
    first = context.question.this.first
    return Overview(
        title=f"{connection.name}, {formats.month(first)}",
        subtitle=_subtitle(context),
        made_at=formats.moment(context.freshness.at),
        figures=[panel.headline for panel in panels if panel.headline],
        panels=panels,
        choices=choices,
        banners=list(_banners(context, connection)),
    )


def all_panels(context: PageContext) -> list[Panel]:
    """Every panel, in order."""
    return [build(context, key) for key in PANELS]


def choices(context: PageContext, filters: Filters, connections: Sequence[str]) -> list[Choice]:
    """The filters with what can be chosen, for the month and the connection.

    Raises:
        BadFilter: a person or a department is chosen that there is none of.
    """
    found = [_months(context, filters)]
    if len(connections) > 1:
        found.insert(
            0, Choice("connection", "Connection", _options(connections, filters.connection))
        )
    if "people" in context.marts:
        found += [_departments(context, filters), _people(context, filters)]
    if "spend" in context.marts:
        currencies = questions.currencies(context.db, context.question)
        chosen = filters.currency
        if chosen and chosen not in currencies:
            currencies.append(chosen)
        every = "All, as USD equivalents"
        found.append(Choice("currency", "Currency", _options(currencies, chosen), every))
    return found


def _months(context: PageContext, filters: Filters) -> Choice:
    this = context.today.replace(day=1)
    months = [months_before(this, number) for number in range(MONTHS)]
    if filters.month not in months:
        months.append(filters.month)
    return Choice(
        "month",
        "Month",
        [Option(f"{one:%Y-%m}", formats.month(one), one == filters.month) for one in months],
    )


def _departments(context: PageContext, filters: Filters) -> Choice:
    names = questions.departments(context.db, filters.connection)
    if filters.department not in (None, NOBODY_S, *names):
        raise BadFilter(f"No department is called {filters.department!r}.")
    options = [
        *_options(names, filters.department),
        Option(NOBODY_S, "No department", filters.department == NOBODY_S),
    ]
    return Choice("department", "Department", options, "All")


def _people(context: PageContext, filters: Filters) -> Choice:
    everybody = questions.people(context.db, filters.connection)
    if filters.person not in (None, *(row.user_id for row in everybody)):
        raise BadFilter(f"No person has the id {filters.person!r}.")
    options = [
        Option(row.user_id, row.name or row.user_id, row.user_id == filters.person)
        for row in everybody
    ]
    return Choice("person", "Person", options, "All")


def _options(values: Sequence[str], chosen: str | None) -> list[Option]:
    return [Option(value, value, value == chosen) for value in values]


def _subtitle(context: PageContext) -> str:
    question = context.question
    only = [
        f"department {question.department}" if question.department not in (None, NOBODY_S) else "",
        "no department" if question.department == NOBODY_S else "",
        "one person" if question.person else "",
        f"in {question.currency} only" if question.currency else "amounts as USD equivalents",
    ]
    span = f"{formats.day(question.this.first)} to {formats.day(question.this.last)}"
    return ", ".join([span, *filter(None, only)])


def _banners(context: PageContext, connection: Connection) -> Iterator[Banner]:
    known = context.freshness
    if connection.configuration is Configuration.SANDBOX:
        yield Banner("The sandbox's numbers: this company is invented.", "quiet")
    if not known.is_synced:
        under_way = known.run is not None and known.run.state == "running"
        when = f"since {formats.moment(known.run.started_at)}" if known.run and under_way else ""
        told = (
            f"The first sync is under way {when}: numbers appear as it ends."
            if under_way
            else "Nothing has been synced yet: `brex-sync up` begins a first sync by itself, and "
            "`brex-sync sync` runs one now."
        )
        yield Banner(told, "warn", context.links.dagster("/runs"))
    elif known.faults:
        things = formats.counted(len(known.faults), "thing")
        needs = "needs" if len(known.faults) == 1 else "need"
        yield Banner(
            f"{things} about this data {needs} a look: {known.faults[0]}", "bad", "#sureness"
        )
