"""A mart's rows as a page: what was asked for, what it sums up to, and a table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa

from brex_sync.marts import rows as mart_rows
from brex_sync.marts.rows import Total
from brex_sync.pages import formats
from brex_sync.pages.model import Figure
from brex_sync.pages.rowset import RowsAddress, cell, heading, shown_columns

SIZE = 100
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class SortColumn:
    """A heading by which the rows can be sorted; `order` is how they are."""

    label: str
    is_number: bool
    href: str
    order: str | None


def values(
    db: sa.Connection, address: RowsAddress, parameters: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """What the template `rows.html` shows. `parameters` are those of the address."""
    wanted = address.rows
    sums = mart_rows.totals(db, wanted)
    number = sum(total.rows for total in sums)
    found = [row._asdict() for row in mart_rows.page(db, wanted, SIZE, address.page)]
    names = shown_columns(wanted.columns, found, every=address.every_column)
    return {
        "title": f"{wanted.mart.replace('_', ' ').capitalize()} of {wanted.connection}",
        "told": _told(number, address.page, len(found)),
        "home": f"/?{urlencode({'connection': wanted.connection})}",
        "download": _with(address, parameters, ".csv", page=None, columns=None),
        "other_columns": _other_columns(address, parameters),
        "conditions": list(_conditions(address, parameters)),
        "sums": list(_figures(sums)),
        "columns": [_column(address, parameters, name) for name in names],
        "rows": [[cell(name, wanted.columns[name], row) for name in names] for row in found],
        "pages": list(_pages(address, parameters, number)),
    }


def _told(number: int, page: int, shown: int) -> str:
    first = SIZE * (page - 1) + 1
    if not shown:
        return formats.counted(number, "row")
    return f"Rows {first:,} to {first + shown - 1:,} of {number:,}"


def _figures(sums: Sequence[Total]) -> Iterator[Figure]:
    """The number of rows, their sum in USD, and the sum of each currency: never of two."""
    yield Figure("Rows", formats.count(sum(one.rows for one in sums)))
    usd = [one.usd for one in sums if one.usd is not None]
    without = sum(one.without_usd for one in sums)
    if usd or without:
        note = f"{formats.counted(without, 'line')} without USD amount" if without else ""
        total = sum(usd[1:], usd[0]) if usd else None
        yield Figure(
            "USD equivalent", formats.amount(total, "USD"), note, tone="warn" if without else ""
        )
    for one in sums:
        if one.amount is not None:
            rows = formats.counted(one.rows, "row")
            yield Figure(f"In {one.currency}", formats.amount(one.amount, one.currency), rows)


def _column(address: RowsAddress, parameters: Sequence[tuple[str, str]], name: str) -> SortColumn:
    wanted = address.rows
    plain = heading(name, wanted.columns[name])
    is_sorted = wanted.sort == name
    order = ("descending" if wanted.descending else "ascending") if is_sorted else None
    turned = name if is_sorted and wanted.descending else f"-{name}"
    href = _with(address, parameters, page=None, sort=turned)
    return SortColumn(plain.label, plain.is_number, href, order)


def _conditions(
    address: RowsAddress, parameters: Sequence[tuple[str, str]]
) -> Iterator[dict[str, str]]:
    for condition in address.rows.conditions:
        name = condition.column.replace("_", " ")
        said = [formats.plain(value) for value in condition.values]
        words = {
            "is": f"{name} is {' or '.join(said)}",
            "not": f"{name} is not {' or '.join(said)}",
            "from": f"{name} from {said[0]}",
            "to": f"{name} to {said[0]}",
            "empty": f"{name} is {'empty' if condition.values[0] else 'not empty'}",
        }
        column = condition.column
        parameter = column if condition.operator == "is" else f"{column}.{condition.operator}"
        without = _with(address, parameters, "", **{"page": None, parameter: None})
        yield {"text": words[condition.operator], "without": without}


def _other_columns(address: RowsAddress, parameters: Sequence[tuple[str, str]]) -> dict[str, str]:
    if address.every_column:
        return {"label": "Fewer columns", "href": _with(address, parameters, columns=None)}
    return {"label": "All columns", "href": _with(address, parameters, columns="all")}


def _pages(
    address: RowsAddress, parameters: Sequence[tuple[str, str]], number: int
) -> Iterator[tuple[str, str]]:
    if address.page > 1:
        yield "Page before", _with(address, parameters, page=str(address.page - 1))
    if address.page * SIZE < number:
        yield "Next page", _with(address, parameters, page=str(address.page + 1))


def _with(
    address: RowsAddress,
    parameters: Iterable[tuple[str, str]],
    suffix: str = "",
    /,
    **changed: str | None,
) -> str:
    """The same address with other parameters; None leaves one out."""
    kept = [(name, value) for name, value in parameters if name not in changed]
    kept += [(name, value) for name, value in changed.items() if value is not None]
    return f"/rows/{quote(address.rows.mart, safe='')}{suffix}?{urlencode(kept)}"
