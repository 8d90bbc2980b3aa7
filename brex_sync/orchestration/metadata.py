"""What the UI shows about a table, before and after a sync."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from brex_sync.streams.declare import Field, Stream, View
from brex_sync.sync.report import StreamReport

HOUSEKEEPING = (
    dg.TableColumn("_raw", "jsonb", "The item as Brex sent it."),
    dg.TableColumn("_first_seen_at", "timestamptz", "When the row was first stored here."),
    dg.TableColumn("_changed_at", "timestamptz", "When the row last changed here."),
    dg.TableColumn("_deleted_at", "timestamptz", "When Brex was found to list it no more."),
)
BAR = 24
"""Characters of the longest bar in the picture of spend."""


def column_schema(table: Stream | View) -> dg.TableSchema:
    """The columns with types and descriptions, as the declaration has them."""
    if isinstance(table, View):
        return dg.TableSchema([_column(f, False) for f in table.fields])
    columns = [_column(f, f.name in table.key) for f in table.fields()]
    return dg.TableSchema([*columns, *HOUSEKEEPING])


def _column(field: Field, key: bool) -> dg.TableColumn:
    constraints = dg.TableColumnConstraints(nullable=not key)
    return dg.TableColumn(field.name, field.kind.value, field.description, constraints)


def of_report(report: StreamReport, live: int) -> Mapping[str, Any]:
    """What a sync did to a stream, of which `live` rows are here now."""
    metadata: dict[str, Any] = {"dagster/row_count": live, **report.counts()}
    if report.synced_through:
        metadata["synced_through"] = report.synced_through.isoformat()
    if report.doubt:
        metadata["doubt"] = report.doubt
    if report.cleaned:
        metadata["characters_replaced"] = report.cleaned
    if report.unknown:
        metadata["new_fields_at_brex"] = sorted(report.unknown)
    return metadata


def spend_picture(weeks: Iterable[tuple[date, str | None, Any]]) -> dg.MarkdownMetadataValue:
    """Spend by week, a row of bars per currency (weeks by their Monday, major units)."""
    by_currency: dict[str, list[tuple[date, Any]]] = defaultdict(list)
    for week, currency, amount in weeks:
        if amount is not None:
            by_currency[currency or "no currency (USD)"].append((week, amount))
    parts = []
    for currency, rows in sorted(by_currency.items(), key=lambda c: -len(c[1])):
        top = max((abs(amount) for _, amount in rows), default=0) or 1
        lines = [f"{week}  {amount:>16,}  {_bar(amount, top)}" for week, amount in rows]
        parts.append(f"**{currency}**\n\n```\n" + "\n".join(lines) + "\n```")
    return dg.MetadataValue.md("\n\n".join(parts) or "No card transactions in these weeks.")


def _bar(amount: Any, top: Any) -> str:
    return "█" * max(1, round(BAR * abs(amount) / top)) if amount > 0 else ""
