"""What the company holds, and what it is about to pay."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from brex_sync.marts import questions
from brex_sync.pages import charts, formats
from brex_sync.pages.charts import Chart
from brex_sync.pages.context import PageContext
from brex_sync.pages.model import Banner, Cell, Figure, Panel, PanelColumn, PanelTable

SOON = timedelta(days=7)
"""A bill that is due within this time is due soon."""


def cash(context: PageContext) -> Panel:
    """Each cash account's balance, and the sum of each currency over the last 90 days."""
    days = questions.cash_days(context.db, context.question)
    latest = _latest(days)
    doubtful = sum(1 for row in days if row.is_certain is False)
    return Panel(
        "cash",
        "Cash",
        f"Balances at the end of {formats.day(context.question.this.last)}, and the 90 days "
        "before. Whole company.",
        headline=_headline(context, _held(latest)),
        figures=[
            Figure(f"Held in {one}", formats.amount(held, one), href=_held_rows(context, one))
            for one, held in _held(latest).items()
        ],
        charts=_charts(days),
        table=PanelTable(
            "Cash accounts",
            [
                PanelColumn("Account"),
                PanelColumn("Balance", True),
                PanelColumn("90 days before", True),
                PanelColumn("Known from"),
            ],
            [_account(context, row, days) for row in latest],
            "There is no cash account.",
        ),
        doubts=_doubtful_days(context, doubtful),
    )


def bills(context: PageContext) -> Panel:
    """Bills that are not paid, by when they are due."""
    found = [row for row in context.payables if row.kind == "bill"]
    overdue = [row for row in found if row.due_date and row.due_date < context.today]
    soon = [row for row in found if _is_soon(row, context.today)]
    unsure = sum(1 for row in found if not row.amount_unit_known)
    yesterday = context.today - timedelta(days=1)
    figures = [
        _due(context, "Bills overdue", overdue, None, yesterday, "bad" if overdue else "good"),
        _due(context, "Due in 7 days", soon, context.today, context.today + SOON),
        _due(context, "All unpaid", found, None, None),
    ]
    return Panel(
        "bills",
        "Bills to pay",
        "Not paid as of now. Whole company.",
        headline=figures[0],
        figures=figures,
        table=PanelTable(
            "Bills to pay, the earliest due first",
            [
                PanelColumn("Vendor"),
                PanelColumn("Invoice"),
                PanelColumn("Due"),
                PanelColumn("Amount", True),
            ],
            [_bill(context, row) for row in found],
            "No bill is unpaid.",
            more=_bill_rows(context, None, None),
        ),
        doubts=[
            Banner(f"{formats.counted(unsure, 'bill')} with an amount of unknown unit, in no sum")
        ]
        if unsure
        else [],
    )


def _due(
    context: PageContext,
    label: str,
    rows: Sequence[sa.Row[Any]],
    first: date | None,
    last: date | None,
    tone: str = "",
) -> Figure:
    href = _bill_rows(context, first, last)
    return Figure(label, formats.count(len(rows)), _by_currency(rows), href, tone)


def _headline(context: PageContext, held: dict[str, Decimal | None]) -> Figure | None:
    """The first currency's sum, with the others below."""
    if not held:
        return None
    first, *others = held
    rest = ", ".join(formats.amount(held[one], one) for one in others)
    note = f"and {rest}" if rest else ""
    return Figure("Cash", formats.amount(held[first], first), note, _held_rows(context, first))


def _held_rows(context: PageContext, currency: str) -> str | None:
    last = context.question.this.last.isoformat()
    return context.links.rows("cash_daily", day=last, amount_currency=currency)


def _latest(days: Sequence[sa.Row[Any]]) -> list[sa.Row[Any]]:
    """The last day of each account."""
    return list({row.cash_account_id: row for row in days}.values())


def _held(latest: Iterable[sa.Row[Any]]) -> dict[str, Decimal | None]:
    """The sum of the balances of each currency; None where one of them is not known."""
    held: dict[str, Decimal | None] = {}
    for row in latest:
        before = held.get(row.amount_currency, Decimal(0))
        unknown = before is None or row.closing is None
        held[row.amount_currency] = None if unknown else before + row.closing
    return {currency: held[currency] for currency in sorted(held, key=_dollars_first)}


def _charts(days: Sequence[sa.Row[Any]]) -> list[Chart]:
    """A chart for each currency, as there is no sum of two."""
    sums: dict[str, dict[date, Decimal | None]] = defaultdict(dict)
    for row in days:
        added = sums[row.amount_currency].get(row.day, Decimal(0))
        unknown = added is None or row.closing is None
        sums[row.amount_currency][row.day] = None if unknown else added + row.closing
    return [_of_currency(one, sums[one]) for one in sorted(sums, key=_dollars_first)]


def _dollars_first(currency: str) -> tuple[bool, str]:
    return currency != "USD", currency


def _of_currency(currency: str, by_day: dict[date, Decimal | None]) -> Chart:
    days = sorted(by_day)
    line = charts.Series(f"Cash in {currency}", "one", [by_day[day] for day in days])
    low, high = charts.bounds([line])
    first, last = formats.day(days[0]), formats.day(days[-1])
    said = (
        f"Cash in {currency} at the end of each day, {first} to {last}: at last "
        f"{formats.amount(by_day[days[-1]], currency)}"
    )
    return charts.lines(said, [line], first, last, formats.amount(high), formats.amount(low))


def _account(context: PageContext, row: sa.Row[Any], days: Sequence[sa.Row[Any]]) -> Sequence[Cell]:
    first = next(one for one in days if one.cash_account_id == row.cash_account_id)
    rows = context.links.rows("cash_daily", cash_account_id=row.cash_account_id, sort="-day")
    source = row.balance_source or ""
    return [
        Cell(row.account or row.cash_account_id),
        Cell(formats.amount(row.closing, row.amount_currency), row.closing, rows),
        Cell(formats.amount(first.closing, row.amount_currency), first.closing),
        Cell(
            source if row.is_certain else f"{source}, not certain",
            tone="" if row.is_certain else "warn",
        ),
    ]


def _doubtful_days(context: PageContext, number: int) -> list[Banner]:
    if not number:
        return []
    href = context.links.rows("cash_daily", is_certain="false", sort="-day")
    text = (
        f"{formats.counted(number, 'balance')} of these 90 days not certain: an amount is missing, "
        "or the days do not add up"
    )
    return [Banner(text, href=href)]


def _is_soon(row: sa.Row[Any], today: date) -> bool:
    return row.due_date is not None and today <= row.due_date <= today + SOON


def _by_currency(rows: Iterable[sa.Row[Any]]) -> str:
    """The sum of each currency; what has no known amount is in none."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row.amount is not None and row.amount_unit_known:
            sums[row.amount_currency] += row.amount
    return ", ".join(formats.amount(value, currency) for currency, value in sorted(sums.items()))


def _bill(context: PageContext, row: sa.Row[Any]) -> Sequence[Cell]:
    late = row.due_date is not None and row.due_date < context.today
    known = row.amount_unit_known
    return [
        Cell(row.vendor or "Vendor not known", row.vendor, _at_brex(row.dashboard_url)),
        Cell(row.invoice_number or "", row.invoice_number),
        Cell(formats.day(row.due_date) or "no date", row.due_date, tone="bad" if late else ""),
        Cell(
            formats.amount(row.amount if known else None, row.amount_currency if known else None),
            row.amount if known else None,
            context.links.rows("payables", kind="bill", bill_id=row.bill_id),
        ),
    ]


def _at_brex(url: str | None) -> str | None:
    """A link to Brex, if it is one that a browser may follow."""
    return url if url and url.startswith("https://") else None


def _bill_rows(context: PageContext, first: date | None, last: date | None) -> str | None:
    return context.links.rows(
        "payables",
        kind="bill",
        is_open="true",
        due_date__from=first.isoformat() if first else None,
        due_date__to=last.isoformat() if last else None,
        amount_currency=context.question.currency,
        sort="due_date",
    )
