"""What was spent: this month against the one before, on what, by whom."""

import calendar
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from brex_sync.marts import questions
from brex_sync.marts.questions import Days
from brex_sync.pages import charts, formats
from brex_sync.pages.charts import Chart
from brex_sync.pages.context import DIMENSIONS, PageContext
from brex_sync.pages.filters import months_before
from brex_sync.pages.links import narrowed, within
from brex_sync.pages.model import Banner, Cell, Figure, Panel, PanelColumn, PanelTable

NEW = 6
"""Months for which a subscription, or a change of its price, is new."""


def spend(context: PageContext) -> Panel:
    """The month so far against the month before, day by day."""
    [row] = context.spend_by("all")
    return Panel(
        "spend",
        "Spend",
        f"{_span(context)}, by the day of purchase; {context.unit}. Refunds and rewards are "
        "taken off.",
        headline=_headline(context, row),
        figures=[_total(context, row), _previous(context, row), _change(row)],
        charts=_month_charts(context),
        doubts=_doubts(context, row),
    )


def by_department(context: PageContext) -> Panel:
    """Spend by department."""
    return _grouped(context, "departments", "Spend by department", "Department", "department")


def by_category(context: PageContext) -> Panel:
    """Spend by Brex's category."""
    return _grouped(context, "categories", "Spend by category", "Category", "category")


def by_merchant(context: PageContext) -> Panel:
    """The merchants with the most spend."""
    return _grouped(context, "merchants", "Top merchants", "Merchant", "merchant")


def subscriptions(context: PageContext) -> Panel:
    """Subscriptions that are new, or cost another price than before."""
    since = months_before(context.question.this.first, NEW)
    found = questions.subscriptions(context.db, context.question, since)
    return Panel(
        "subscriptions",
        "New subscriptions and prices",
        f"Merchants that charge regularly, first seen or with another price since "
        f"{formats.day(since)}. Whole company.",
        table=PanelTable(
            "New subscriptions and changed prices",
            [
                PanelColumn("Merchant"),
                PanelColumn("How often"),
                PanelColumn("Last charge", True),
                PanelColumn("Before", True),
                PanelColumn("What is new"),
            ],
            [_subscription(context, row) for row in found],
            "No subscription is new, and none has changed its price.",
        ),
    )


def _headline(context: PageContext, row: sa.Row[Any]) -> Figure:
    """The spend of the span, with the change on the one before."""
    figure = _total(context, row)
    grown = formats.change(row.amount, row.previous)
    against = f"{grown} on {_before(context)}" if row.previous else context.unit
    return replace(figure, note=against)


def _total(context: PageContext, row: sa.Row[Any]) -> Figure:
    return Figure(
        f"Spend, {formats.month(context.question.this.first)}",
        formats.amount(formats.known(row.amount, row.unknown), context.code),
        f"{context.unit}, {formats.counted(row.lines, 'line')}",
        _rows(context, context.question.this),
    )


def _previous(context: PageContext, row: sa.Row[Any]) -> Figure:
    return Figure(
        _first_upper(_before(context)),
        formats.amount(formats.known(row.previous, row.previous_unknown), context.code),
        formats.counted(row.previous_lines, "line"),
        _rows(context, context.question.before),
    )


def _before(context: PageContext) -> str:
    month = f"{context.question.before.first:%B}"
    return f"{month} to the same day" if context.is_current else f"the whole of {month}"


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _grouped(context: PageContext, key: str, title: str, heading: str, group: str) -> Panel:
    rows = context.spend_by(group)
    largest = max((row.amount for row in rows if row.amount), default=Decimal(0))
    [whole] = context.spend_by("all")
    lines = whole.unknown + whole.previous_unknown
    without = f", without {formats.counted(lines, 'line')} that have none" if lines else ""
    return Panel(
        key,
        title,
        f"{_first_upper(context.unit)}{without}.",
        table=PanelTable(
            title,
            [
                PanelColumn(heading),
                PanelColumn(_days(context.question.this), True),
                PanelColumn(_days(context.question.before), True),
                PanelColumn("Change", True),
            ],
            [_group(context, group, row, largest) for row in rows],
            "Nothing was spent in either month.",
            total=_sums(context, "All", whole) if len(rows) > 1 else (),
        ),
    )


def _group(context: PageContext, group: str, row: sa.Row[Any], largest: Decimal) -> Sequence[Cell]:
    known = row.name is not None
    condition = {group if known else f"{group}__empty": row.name if known else "true"}
    part = row.amount / largest if row.amount and largest > 0 else None
    name = row.name if known else f"No {group}"
    if group == "category" and known:
        name = row.name.replace("_", " ").capitalize()
    return _sums(context, name, row, condition, part)


def _sums(
    context: PageContext,
    name: str,
    row: sa.Row[Any],
    condition: dict[str, Any] | None = None,
    part: Decimal | None = None,
) -> Sequence[Cell]:
    question, condition = context.question, condition or {}
    here = _rows(context, question.this, **condition)
    there = _rows(context, question.before, **condition)
    return [
        Cell(name, row.name or name, bar=part),
        _sum(row.amount, row.lines, here),
        _sum(row.previous, row.previous_lines, there),
        Cell(formats.change(row.amount, row.previous), _difference(row)),
    ]


def _sum(value: Decimal | None, lines: int, href: str | None) -> Cell:
    """A sum; nothing where there are no lines."""
    if not lines:
        return Cell("–", Decimal(0), tone="quiet")
    return Cell(formats.amount(value), value, href)


def _difference(row: sa.Row[Any]) -> Decimal:
    found: Decimal = (row.amount or Decimal(0)) - (row.previous or Decimal(0))
    return found


def _change(row: sa.Row[Any]) -> Figure:
    grown = _difference(row)
    text = formats.change(row.amount, row.previous) or "–"
    sign = "+" if grown > 0 else ""
    return Figure("Change", text, f"{sign}{formats.amount(grown)}")


def _month_charts(context: PageContext) -> list[Chart]:
    """Both months added up day by day; the one before to its end."""
    this, before = context.question.this, context.question.before
    daily = {row.day: row.on_day or Decimal(0) for row in context.spend_by("day")}
    if not daily:
        return []
    length = max(_length(this.first), _length(before.first))
    now = list(_running(daily, this.first, this.last.day, length))
    past = list(_running(daily, before.first, _length(before.first), length))
    series = [
        charts.Series(formats.month(this.first), "one", now),
        charts.Series(f"{formats.month(before.first)}, whole", "two", past),
    ]
    low, high = charts.bounds(series)
    said = (
        f"Spend added up by day in {context.unit}: {formats.month(this.first)} to "
        f"{formats.day(this.last)}, and the whole of {formats.month(before.first)}"
    )
    high_text, low_text = formats.amount(high), formats.amount(low)
    return [charts.lines(said, series, "day 1", f"day {length}", high_text, low_text)]


def _running(
    daily: dict[date, Decimal], first: date, until: int, length: int
) -> Iterator[Decimal | None]:
    added = Decimal(0)
    for day in range(1, length + 1):
        if day > until:
            yield None
            continue
        added += daily.get(first.replace(day=day), Decimal(0))
        yield added


def _length(month: date) -> int:
    return calendar.monthrange(month.year, month.month)[1]


def _subscription(context: PageContext, row: sa.Row[Any]) -> Sequence[Cell]:
    currency = row.amount_currency
    news = [f"since {formats.day(row.first_seen)}"] if row.is_new else []
    before = None if row.price_change is None else row.last_amount - row.price_change
    if before:
        grown = formats.change(row.last_amount, before)
        news.append(f"price {grown} on {formats.day(row.price_changed_on)}")
    rows = context.links.rows("spend", merchant=row.merchant, amount_currency=currency)
    return [
        Cell(row.merchant, href=rows),
        Cell(row.cadence or "", row.cadence),
        Cell(formats.amount(row.last_amount, currency), row.last_amount),
        Cell(formats.amount(before, currency) if before is not None else "", before),
        Cell(", ".join(news)),
    ]


def _doubts(context: PageContext, row: sa.Row[Any]) -> list[Banner]:
    """The lines that are in no sum: of this span, or else of the one before."""
    question = context.question
    lines, span = (
        (row.unknown, question.this) if row.unknown else (row.previous_unknown, question.before)
    )
    return context.without_amount(lines, "spend", {"counts": "true", **within(span)})


def _rows(context: PageContext, span: Days, **condition: Any) -> str | None:
    said = {**narrowed(context.question, *DIMENSIONS), **within(span), **condition}
    return context.links.rows("spend", counts="true", **said)


def _days(span: Days) -> str:
    return formats.days(span.first, span.last)


def _span(context: PageContext) -> str:
    this, before = context.question.this, context.question.before
    return (
        f"{formats.day(this.first)} to {formats.day(this.last)} against "
        f"{formats.day(before.first)} to {formats.day(before.last)}"
    )
