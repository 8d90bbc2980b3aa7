"""What the UI shows about a table, before and after a sync."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from brex_sync.orchestration.catalogue import CatalogueEntry
from brex_sync.pages.charts import Chart
from brex_sync.pages.model import Figure
from brex_sync.pages.rendering import stylesheet
from brex_sync.pages.report import MonthReport
from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Child, Stream, View
from brex_sync.sync.report import StreamReport
from brex_sync.texts import markdown
from brex_sync.warehouse.schema.declared import table_of
from brex_sync.warehouse.status.runs import StreamStatus

_POSTGRES: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
BAR = 24
"""Characters of the longest bar in the picture of spend."""


def declared(connection: str, entry: CatalogueEntry) -> dict[str, Any]:
    """What is known of a table before any sync: where it lies, and its columns."""
    table = entry.table
    known: dict[str, Any] = {
        "dagster/table_name": f"{connection}.{table.name}",
        "dagster/column_schema": column_schema(table),
    }
    if entry.stream is not None:
        known["brex_endpoint"] = f"GET {entry.stream.path}"
        known["brex_scope"] = entry.stream.scope
    return known


def column_schema(table: Stream | Child | View) -> dg.TableSchema:
    """The columns with types and descriptions, as the warehouse has them."""
    if isinstance(table, View):
        return dg.TableSchema(
            [dg.TableColumn(f.name, f.kind.value, f.description) for f in table.fields]
        )
    return dg.TableSchema([_column(c) for c in table_of(table, schema="").columns])


def _column(column: sa.Column[Any]) -> dg.TableColumn:
    kind = column.type.compile(_POSTGRES).lower()
    return dg.TableColumn(
        column.name,
        kind.replace("timestamp with time zone", Kind.TIMESTAMP),
        column.comment,
        dg.TableColumnConstraints(nullable=bool(column.nullable)),
    )


def of_report(report: StreamReport, status: StreamStatus) -> dict[str, Any]:
    """What a sync did to a stream, and how that stands now."""
    metadata: dict[str, Any] = {"dagster/row_count": status.live, **report.counts()}
    if through := report.synced_through or status.synced_through:
        metadata["synced_through"] = through.isoformat()
    if report.differed is not None:
        metadata["differed_from_brex"] = report.differed.told()
    if report.doubt:
        metadata["doubt"] = report.doubt
    if report.cleaned:
        metadata["characters_replaced"] = report.cleaned
    if report.misfits:
        metadata["fields_quarantined"] = report.misfits
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
        parts.append(f"**{markdown(currency)}**\n\n```\n" + "\n".join(lines) + "\n```")
    return dg.MetadataValue.md("\n\n".join(parts) or "No card transactions in these weeks.")


def report_picture(report: MonthReport) -> dg.MarkdownMetadataValue:
    """The month's spend as a chart, and the headlines of its report."""
    parts = [markdown(report.lacks)] if report.lacks else []
    parts += [_image(chart) for chart in report.charts]
    parts.append("\n".join(map(_headline, report.figures)))
    return dg.MetadataValue.md("\n\n".join(parts))


def _headline(figure: Figure) -> str:
    note = f" ({markdown(figure.note)})" if figure.note else ""
    return f"- {markdown(figure.label)}: **{markdown(figure.text)}**{note}"


def _image(chart: Chart) -> str:
    """The chart as an image within the text: Dagster's UI shows `data:` addresses."""
    data = b64encode(chart.svg(stylesheet()).encode()).decode()
    said = markdown(chart.said)
    scale = markdown(f"{chart.first} to {chart.last}, {chart.low} to {chart.high}")
    return f"![{said}](data:image/svg+xml;base64,{data})\n\n{said}; {scale}."


def _bar(amount: Any, top: Any) -> str:
    return "█" * max(1, round(BAR * abs(amount) / top)) if amount > 0 else ""
