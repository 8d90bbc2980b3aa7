"""Which rows an address asks for, and how they are shown. Pure, but for the names of columns."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from brex_sync.errors import BadFilter
from brex_sync.marts.reader import ColumnKind
from brex_sync.marts.rows import Condition, RowSet
from brex_sync.pages import formats
from brex_sync.pages.filters import checked_text
from brex_sync.pages.model import Cell, PanelColumn

OPERATORS = ("is", "not", "from", "to", "empty")
SEVERAL = ("is", "not")
LAST_PAGE = 100_000
_RESERVED = ("connection", "sort", "page", "columns")


@dataclass(frozen=True, slots=True)
class RowsAddress:
    """What an address asks for: rows, a page of them, and whether with every column."""

    rows: RowSet
    page: int
    every_column: bool


def parse_rows(
    connection: str,
    mart: str,
    columns: Mapping[str, ColumnKind],
    parameters: Iterable[tuple[str, str]],
) -> RowsAddress:
    """The rows that an address names.

    `column=value` names the rows with that value, `column.not=` those with any other,
    `column.from=` and `column.to=` those between, `column.empty=true` those with null. A column
    that is named twice has any of the values, with `.not` none. `sort` is a column, with `-` before
    it for the greatest first.

    Raises:
        BadFilter: a parameter is no column, or its value is none of the column's.
    """
    own: dict[str, str] = {}
    compared: dict[tuple[str, str], list[Any]] = {}
    for name, value in parameters:
        text = checked_text(name, value)
        if name in _RESERVED:
            own[name] = text
            continue
        column, _, operator = name.partition(".")
        operator = operator or "is"
        if column not in columns or operator not in OPERATORS:
            raise BadFilter(f"The mart {mart} has no column and no filter called {name!r}.")
        kind = ColumnKind.TRUTH if operator == "empty" else columns[column]
        compared.setdefault((column, operator), []).append(typed(name, text, kind))
    conditions = tuple(_condition(column, op, values) for (column, op), values in compared.items())
    sort = own.get("sort", "").removeprefix("-") or None
    if sort is not None and sort not in columns:
        raise BadFilter(f"The mart {mart} has no column called {sort!r} to sort by.")
    rows = RowSet(connection, mart, columns, conditions, sort, own.get("sort", "").startswith("-"))
    return RowsAddress(rows, _page(own.get("page", "1")), own.get("columns") == "all")


def typed(name: str, text: str, kind: ColumnKind) -> Any:
    """A value of a column's type.

    Raises:
        BadFilter: the text is none.
    """
    try:
        match kind:
            case ColumnKind.TEXT:
                return text
            case ColumnKind.NUMBER:
                return _number(text)
            case ColumnKind.DATE:
                return date.fromisoformat(text)
            case ColumnKind.MOMENT:
                return _moment(text)
            case ColumnKind.TRUTH:
                return {"true": True, "false": False}[text]
            case ColumnKind.OTHER:
                raise BadFilter(f"Rows cannot be chosen by {name}.")
    except (ValueError, InvalidOperation, KeyError):
        raise BadFilter(f"{text!r} is no {_WORDS[kind]}, which {name} must be.") from None


_WORDS = {
    ColumnKind.NUMBER: "number, such as 12.50",
    ColumnKind.DATE: "date, such as 2026-11-24",
    ColumnKind.MOMENT: "moment, such as 2026-11-24T09:00:00Z",
    ColumnKind.TRUTH: "truth, true or false",
}


def shown_columns(
    columns: Mapping[str, ColumnKind], rows: Sequence[Any], *, every: bool
) -> list[str]:
    """The columns worth their place: an amount shows its currency, ids and minor units can be
    asked for, and what is empty in all rows says nothing."""
    names = list(columns)
    if every:
        return names
    return [name for name in names if not _is_minor(name, columns) and _has_any(name, rows)]


def heading(name: str, kind: ColumnKind) -> PanelColumn:
    """The heading of a column."""
    label = "At Brex" if name == "dashboard_url" else name.replace("_", " ")
    return PanelColumn(label, kind is ColumnKind.NUMBER)


def cell(name: str, kind: ColumnKind, row: Mapping[str, Any]) -> Cell:
    """A value of a row as people read it."""
    value = row[name]
    if value is None:
        return Cell("")
    if name == "dashboard_url":
        return at_brex(value)
    currency = "USD" if name.endswith("_usd") else row.get(f"{name}_currency")
    if kind is ColumnKind.NUMBER and currency:
        return Cell(formats.amount(value, currency))
    return Cell(_text(value))


def at_brex(url: str) -> Cell:
    """A link to Brex, if it is one that a browser may follow; else its text."""
    return Cell("open", href=url) if url.startswith("https://") else Cell(url)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value:,f}".replace("-", formats.MINUS)
    if isinstance(value, datetime):
        return formats.moment(value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_minor(name: str, columns: Mapping[str, ColumnKind]) -> bool:
    if name == "connection" or name.endswith(("_minor", "_then", "_id", "merchant_raw")):
        return True
    return name.endswith("_currency") and name.removesuffix("_currency") in columns


def _has_any(name: str, rows: Sequence[Any]) -> bool:
    return not rows or any(row[name] is not None for row in rows)


def _condition(column: str, operator: str, values: Sequence[Any]) -> Condition:
    if operator not in SEVERAL and len(values) > 1:
        raise BadFilter(f"{column}.{operator} is there twice; name it once.")
    return Condition(column, operator, tuple(values))


def _page(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LAST_PAGE:
        return int(text[:9])
    raise BadFilter(f"{text!r} is no page, such as 2.")


def _number(text: str) -> Decimal:
    found = Decimal(text)
    if not found.is_finite() or abs(found.adjusted()) > 30:
        raise ValueError
    return found


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
