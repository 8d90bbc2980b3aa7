"""Which panels there are, and what each of them needs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from brex_sync.errors import PostgresError
from brex_sync.pages.context import PageContext
from brex_sync.pages.model import Panel
from brex_sync.pages.panels import cash, limits, open_items, spending, sureness


@dataclass(frozen=True, slots=True)
class PanelKind:
    """A panel: its title, how it is made, and the marts without which it is not."""

    title: str
    make: Callable[[PageContext], Panel]
    needs: tuple[str, ...] = ()


PANELS = {
    "spend": PanelKind("Spend", spending.spend, ("spend",)),
    "cash": PanelKind("Cash", cash.cash, ("cash_daily",)),
    "departments": PanelKind("Spend by department", spending.by_department, ("spend",)),
    "categories": PanelKind("Spend by category", spending.by_category, ("spend",)),
    "merchants": PanelKind("Top merchants", spending.by_merchant, ("spend",)),
    "subscriptions": PanelKind(
        "New subscriptions and prices", spending.subscriptions, ("merchants",)
    ),
    "cards": PanelKind("Cards near their limit", limits.cards, ("card_utilisation",)),
    "budgets": PanelKind("Budgets and spend limits", limits.budgets, ("budget_performance",)),
    "receipts": PanelKind("Missing receipts", open_items.receipts, ("missing_receipts",)),
    "pending": PanelKind("Pending", open_items.pending),
    "approvals": PanelKind("Waiting for approval", open_items.approvals, ("approvals",)),
    "bills": PanelKind("Bills to pay", cash.bills, ("payables",)),
    "close": PanelKind("Close checklist", open_items.close, ("close_checklist",)),
    "sureness": PanelKind("How fresh and how sure", sureness.sureness),
}


def build(context: PageContext, key: str) -> Panel:
    """A panel; where a mart is missing or cannot be read, one that says so.

    Raises:
        PostgresError: the session has ended.
    """
    kind = PANELS[key]
    if missing := sorted(set(kind.needs) - context.marts):
        return Panel(key, kind.title, lacks=_lacking(context, missing))
    try:
        with context.db.begin_nested():
            panel = kind.make(context)
    except PostgresError as error:
        if error.connection_lost:
            raise
        return Panel(key, kind.title, lacks=f"This cannot be read now. {error.sentence}.")
    has_rows = panel.table is not None and panel.table.rows
    return replace(panel, download=context.links.download(key)) if has_rows else panel


def _lacking(context: PageContext, missing: Iterable[str]) -> str:
    names = " and ".join(missing)
    if not context.freshness.is_synced:
        return f"Nothing yet: the mart {names} is made once a first sync has ended."
    return f"The mart {names} does not exist yet: the next sync makes it."
