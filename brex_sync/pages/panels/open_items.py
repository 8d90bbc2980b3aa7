"""What somebody still has to do: receipts, approvals, payments under way, the close."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from brex_sync.marts import questions
from brex_sync.pages import formats
from brex_sync.pages.context import DIMENSIONS, PageContext
from brex_sync.pages.filters import months_before
from brex_sync.pages.links import Conditions, narrowed
from brex_sync.pages.model import Cell, Figure, Panel, PanelColumn, PanelTable

MONTHS = 3
"""Months that the close checklist shows."""
LINES: dict[str, Conditions] = {
    "drafts": {"status": "DRAFT", "stage__not": ["declined", "void"]},
    "missing receipts": {"counts": "true", "receipt_missing": "true"},
    "unapproved": {
        "counts": "true",
        "approval_stage": ["pending", "rejected", "unknown"],
        "status__not": "DRAFT",
    },
    "pending": {"stage": "pending"},
    "unexported": {"counts": "true", "is_exported": "false"},
}
"""The lines of spend that items of the checklist count, as it counts them."""


def receipts(context: PageContext) -> Panel:
    """Missing receipts by person."""
    found = questions.receipts_missing(context.db, context.question)
    last = context.question.this.last
    conditions = {
        **narrowed(context.question, *DIMENSIONS),
        "spend_date__to": last.isoformat(),
    }
    missing = sum(row.lines for row in found)
    people = len({row.user_id for row in found})
    return Panel(
        "receipts",
        "Missing receipts",
        f"Of spend up to {formats.day(last)}; {context.unit}.",
        headline=Figure(
            "Receipts missing",
            formats.count(missing),
            f"of {formats.counted(people, 'person', 'people')}",
            context.links.rows("missing_receipts", **conditions),
            "warn" if missing else "good",
        ),
        table=PanelTable(
            "Missing receipts by person",
            [
                PanelColumn("Person"),
                PanelColumn("Department"),
                PanelColumn("Receipts", True),
                PanelColumn("Amount", True),
                PanelColumn("Oldest"),
            ],
            [_person(context, row, conditions) for row in found],
            "No receipt is missing.",
        ),
        doubts=context.without_amount(
            sum(row.unknown for row in found),
            "missing_receipts",
            {"spend_date__to": last.isoformat()},
        ),
    )


def pending(context: PageContext) -> Panel:
    """Money that is on its way, by what it is."""
    rows = [row for one in (_spend, _reimbursements, _transfers) for row in one(context)]
    return Panel(
        "pending",
        "Pending",
        f"Not settled or paid as of now; {context.unit}, transfers in their own currency.",
        table=PanelTable(
            "Pending payments",
            [
                PanelColumn("What"),
                PanelColumn("Number", True),
                PanelColumn("Amount", True),
                PanelColumn("Oldest"),
            ],
            rows,
            "Nothing is pending.",
            shown=20,
        ),
    )


def approvals(context: PageContext) -> Panel:
    """Expenses that wait for somebody's approval, by reviewer."""
    found = questions.waiting_approvals(context.db, context.question)
    conditions: Conditions = {"is_next": "true", **narrowed(context.question, *DIMENSIONS)}
    return Panel(
        "approvals",
        "Waiting for approval",
        f"As of now, by reviewer; {context.unit}. An expense that waits for two is there twice.",
        headline=_waiting(context, found, conditions),
        table=PanelTable(
            "Expenses that wait for approval",
            [
                PanelColumn("Reviewer"),
                PanelColumn("Expenses", True),
                PanelColumn("Amount", True),
                PanelColumn("Days", True),
            ],
            [_reviewer(context, row, conditions) for row in found],
            "No expense waits for approval.",
        ),
        doubts=context.without_amount(
            sum(row.unknown for row in found), "approvals", {"is_next": "true"}
        ),
    )


def close(context: PageContext) -> Panel:
    """The close checklist of the last months."""
    since = months_before(context.question.this.first, MONTHS - 1)
    found = questions.close_items(context.db, context.question, since)
    months = sorted({row.month for row in found})
    items = {(row.item, row.month): row for row in found}
    names = list(dict.fromkeys(row.item for row in found))
    closed = {row.month: row.closed_on for row in found if row.closed_on}
    rows = [_item(context, name, months, items) for name in names]
    if names:
        rows.append([Cell("Books"), *(_closed(closed.get(month)) for month in months)])
    return Panel(
        "close",
        "Close checklist",
        "Open items by month; 0 is done. Whole company.",
        table=PanelTable(
            "Close checklist",
            [PanelColumn("Item"), *(PanelColumn(f"{month:%b %Y}", True) for month in months)],
            rows,
            "No month is to be closed.",
            shown=20,
        ),
    )


def _waiting(context: PageContext, found: Sequence[sa.Row[Any]], conditions: Conditions) -> Figure:
    number = sum(row.lines for row in found)
    oldest = max((row.days for row in found if row.days is not None), default=0)
    return Figure(
        "Approvals waiting",
        formats.count(number),
        f"the oldest for {formats.counted(oldest, 'day')}" if number else "",
        context.links.rows("approvals", **conditions),
        "warn" if number else "good",
    )


def _person(context: PageContext, row: sa.Row[Any], conditions: dict[str, Any]) -> Sequence[Cell]:
    mine = {"user_id": row.user_id} if row.user_id else {"user_id__empty": "true"}
    rows = context.links.rows("missing_receipts", **{**conditions, **mine})
    return [
        Cell(row.person or row.user_id or "Nobody", row.person),
        Cell(row.department or "", row.department),
        Cell(formats.count(row.lines), row.lines, rows),
        Cell(formats.amount(row.amount), row.amount, rows),
        Cell(formats.day(row.oldest), row.oldest),
    ]


def _reviewer(context: PageContext, row: sa.Row[Any], conditions: dict[str, Any]) -> Sequence[Cell]:
    mine = {"reviewer_id": row.reviewer_id} if row.reviewer_id else {"reviewer_id__empty": "true"}
    rows = context.links.rows("approvals", **conditions, **mine)
    return [
        Cell(row.reviewer or row.reviewer_id or "Not known", row.reviewer),
        Cell(formats.count(row.lines), row.lines, rows),
        Cell(formats.amount(row.amount), row.amount, rows),
        Cell("" if row.days is None else formats.count(row.days), row.days),
    ]


def _spend(context: PageContext) -> Iterator[Sequence[Cell]]:
    if "spend" not in context.marts:
        return
    for row in questions.pending_spend(context.db, context.question):
        href = context.links.rows(
            "spend",
            stage="pending",
            counts="true",
            kind=row.kind,
            **narrowed(context.question, *DIMENSIONS),
        )
        yield _line(f"Spend: {row.kind.replace('_', ' ')}", row, href)


def _reimbursements(context: PageContext) -> Iterator[Sequence[Cell]]:
    if "reimbursements" not in context.marts:
        return
    for row in questions.open_reimbursements(context.db, context.question):
        conditions = narrowed(context.question, *DIMENSIONS)
        href = context.links.rows("reimbursements", state=row.state, **conditions)
        yield _line(f"Reimbursements: {row.state}", row, href)


def _transfers(context: PageContext) -> Iterator[Sequence[Cell]]:
    if "payables" not in context.marts:
        return
    for row in context.payables:
        if row.kind == "transfer":
            yield [
                Cell(f"Transfer to {row.vendor or 'somebody'}: {(row.status or '').lower()}"),
                Cell("1", 1),
                Cell(
                    formats.amount(row.amount, row.amount_currency),
                    row.amount,
                    context.links.rows("payables", kind="transfer", transfer_id=row.transfer_id),
                ),
                Cell(formats.day(row.process_date), row.process_date),
            ]


def _line(what: str, row: sa.Row[Any], href: str | None) -> Sequence[Cell]:
    some = f" ({row.unknown} without amount)" if row.unknown and row.amount is not None else ""
    return [
        Cell(what),
        Cell(formats.count(row.lines), row.lines, href),
        Cell(f"{formats.amount(row.amount)}{some}", row.amount, href),
        Cell(formats.day(row.oldest), row.oldest),
    ]


def _item(
    context: PageContext,
    name: str,
    months: Sequence[date],
    items: dict[tuple[str, date], sa.Row[Any]],
) -> Sequence[Cell]:
    cells = [Cell(name.capitalize())]
    for month in months:
        row = items.get((name, month))
        href = _item_rows(context, name, month)
        if row is None or row.open is None:
            cells.append(Cell(formats.UNKNOWN, tone="warn"))
        else:
            cells.append(
                Cell(
                    formats.count(row.open), row.open, href, tone="good" if row.is_done else "warn"
                )
            )
    return cells


def _item_rows(context: PageContext, name: str, month: date) -> str | None:
    """The lines of spend that are open; of other items the row of the checklist."""
    said = month.isoformat()
    if name in LINES:
        return context.links.rows("spend", spend_month=said, **LINES[name])
    return context.links.rows("close_checklist", month=said, item=name)


def _closed(on: date | None) -> Cell:
    return Cell(f"closed {formats.day(on)}", on, tone="good") if on else Cell("open", tone="quiet")
