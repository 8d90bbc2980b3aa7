"""What may be spent, and how much of it is."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from brex_sync.marts import questions
from brex_sync.pages import formats
from brex_sync.pages.context import PageContext
from brex_sync.pages.links import narrowed
from brex_sync.pages.model import Cell, Panel, PanelColumn, PanelTable

FULL, NEAR = Decimal(1), Decimal(questions.NEAR)


def cards(context: PageContext) -> Panel:
    """Cards that have little of their limit left."""
    found = questions.cards_near_limit(context.db, context.question)
    near = formats.percent(NEAR)
    return Panel(
        "cards",
        "Cards near their limit",
        f"{near} of the limit used or more, as of now.",
        table=PanelTable(
            "Cards near their limit",
            [
                PanelColumn("Card"),
                PanelColumn("Person"),
                PanelColumn("Used", True),
                PanelColumn("Limit", True),
                PanelColumn("Of limit", True),
            ],
            [_card(context, row) for row in found],
            f"No card has used {near} of its limit.",
            more=context.links.rows(
                "card_utilisation",
                used_fraction__from=questions.NEAR,
                status__not=questions.ENDED,
                sort="-used_fraction",
                **narrowed(context.question, "department", "person", "limit_currency"),
            ),
        ),
    )


def budgets(context: PageContext) -> Panel:
    """Budgets and spend limits whose period is under way."""
    found = questions.budgets(context.db, context.question)
    last = context.question.this.last
    return Panel(
        "budgets",
        "Budgets and spend limits",
        f"Of the period that holds {formats.day(last)}, with all that is nested in them. "
        "Whole company.",
        table=PanelTable(
            "Budgets and spend limits, the fullest first",
            [
                PanelColumn("Budget"),
                PanelColumn("Until"),
                PanelColumn("Spent", True),
                PanelColumn("Limit", True),
                PanelColumn("Of limit", True),
            ],
            [_budget(context, row, _below(row, found)) for row in found],
            "No budget or spend limit has a period that holds this day.",
            more=context.links.rows("budget_performance", is_current="true", sort="-used_fraction"),
        ),
    )


def _card(context: PageContext, row: sa.Row[Any]) -> Sequence[Cell]:
    name = row.card_name or "Card"
    currency = row.limit_amount_currency
    return [
        Cell(
            f"{name} ·{row.last_four}" if row.last_four else name,
            bar=_part(row),
            tone=tone_of(_part(row)),
        ),
        Cell(row.person or ""),
        Cell(
            formats.amount(row.used_amount, currency),
            row.used_amount,
            context.links.rows("spend", card_id=row.card_id, sort="-spend_date"),
        ),
        Cell(
            formats.amount(row.limit_amount, currency),
            row.limit_amount,
            context.links.rows("card_utilisation", card_id=row.card_id),
        ),
        _used(row),
    ]


def _below(row: sa.Row[Any], rows: Sequence[sa.Row[Any]]) -> list[str]:
    """The ids of a budget and of the budgets that are nested in it; of a spend limit its own."""
    ids = [row.budget_id]
    if row.kind == "budget":
        for mine in ids:
            ids += [r.budget_id for r in rows if _is_in(r, mine) and r.budget_id not in ids]
    return ids


def _is_in(row: sa.Row[Any], budget_id: str) -> bool:
    return bool(row.kind == "budget" and row.parent_budget_id == budget_id)


def _budget(context: PageContext, row: sa.Row[Any], ids: list[str]) -> Sequence[Cell]:
    mine = "budget_id" if row.kind == "budget" else "spend_limit_id"
    until = row.period_end.isoformat() if row.period_end else None
    spent = context.links.rows(
        "spend",
        counts="true",
        spend_date__from=row.period_start.isoformat(),
        spend_date__to=until,
        **{mine: ids},
    )
    currency = row.spent_amount_currency
    missing = row.lines_without_amount
    some = f", {formats.counted(missing, 'line')} without amount" if missing else ""
    return [
        Cell(row.path or row.name, bar=_part(row), tone=tone_of(_part(row))),
        Cell(formats.day(row.period_end) or "no end", row.period_end),
        Cell(f"{formats.amount(row.spent_amount, currency)}{some}", row.spent_amount, spent),
        Cell(
            formats.amount(row.limit_amount, row.limit_amount_currency)
            if row.limit_amount is not None
            else "none",
            row.limit_amount,
            context.links.rows("budget_performance", budget_id=row.budget_id, sort="-period_start"),
        ),
        _used(row),
    ]


def _part(row: sa.Row[Any]) -> Decimal | None:
    found: Decimal | None = row.used_fraction
    return found


def _used(row: sa.Row[Any]) -> Cell:
    part = row.used_fraction
    if part is None:
        return Cell("")
    return Cell(formats.percent(part), part, tone=tone_of(part))


def tone_of(part: Decimal | None) -> str:
    """How a used part of a limit is to be seen."""
    if part is None or part < NEAR:
        return ""
    return "bad" if part >= FULL else "warn"
