"""The rows of any mart: those that fit conditions, in pages, counted and summed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from brex_sync.marts.reader import ColumnKind, read_only
from brex_sync.marts.session import schema_of

BATCH = 1000
"""Rows that a download reads at a time."""
DOWNLOAD = 600
"""Seconds that the query of a download may take."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a column must be: one of `values`, not before or not after the only one, or empty.

    `operator` is `is`, `from`, `to` or `empty`; the values are of the column's Python type.
    """

    column: str
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of a mart: which, and in which order. `descending` and `sort` are of one column."""

    connection: str
    mart: str
    columns: Mapping[str, ColumnKind]
    conditions: tuple[Condition, ...] = ()
    sort: str | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """Rows of one currency, with their sums: `amount` in the currency, `usd` the USD equivalents.

    `without_usd` counts the rows that have no USD equivalent. `currency` and the sums are None in
    a mart without amounts.
    """

    currency: str | None
    rows: int
    amount: Decimal | None = None
    usd: Decimal | None = None
    without_usd: int = 0


def totals(db: sa.Connection, wanted: RowSet) -> list[Total]:
    """How many rows there are, by currency where the mart has amounts; one for each currency."""
    amount = {"amount", "amount_currency"} <= set(wanted.columns)
    usd = "amount_usd" in wanted.columns
    parts = [
        "amount_currency AS currency" if amount else "CAST(NULL AS text) AS currency",
        "count(*) AS rows",
        "sum(amount) AS amount" if amount else "CAST(NULL AS numeric) AS amount",
        "sum(amount_usd) AS usd" if usd else "CAST(NULL AS numeric) AS usd",
        "count(*) FILTER (WHERE amount_usd IS NULL) AS without_usd" if usd else "0 AS without_usd",
    ]
    where, values = _where(wanted)
    sql = f"SELECT {', '.join(parts)} FROM {_name(wanted)} {where} GROUP BY 1 ORDER BY 1"
    return [Total(*row) for row in db.execute(sa.text(sql), values)]


def page(db: sa.Connection, wanted: RowSet, size: int, number: int) -> list[sa.Row[Any]]:
    """The rows of a page of `size`; the first is number 1."""
    where, values = _where(wanted)
    sql = (
        f"SELECT {_listed(wanted)} FROM {_name(wanted)} {where} {_order(wanted)} LIMIT :l OFFSET :o"
    )
    return list(db.execute(sa.text(sql), {**values, "l": size, "o": size * (number - 1)}))


def all_rows(engine: sa.Engine, wanted: RowSet) -> Iterator[Sequence[Any]]:
    """Every row, read as it is asked for; holds one connection until the last."""
    where, values = _where(wanted)
    sql = sa.text(f"SELECT {_listed(wanted)} FROM {_name(wanted)} {where} {_order(wanted)}")
    with read_only(engine, DOWNLOAD) as db:
        yield from db.execution_options(yield_per=BATCH).execute(sql, values)


def _name(wanted: RowSet) -> str:
    return f"{_quoted(schema_of(wanted.connection))}.{_quoted(wanted.mart)}"


def _listed(wanted: RowSet) -> str:
    return ", ".join(map(_quoted, wanted.columns))


def _order(wanted: RowSet) -> str:
    """By the column asked for, and then by all that make the order of two pages the same."""
    chosen = [(wanted.sort, wanted.descending)] if wanted.sort else []
    if "spend_date" in wanted.columns and not chosen:
        chosen = [("spend_date", True)]
    rest = [name for name, kind in wanted.columns.items() if kind is not ColumnKind.OTHER]
    order = [f"{_quoted(n)} {'DESC' if down else 'ASC'} NULLS LAST" for n, down in chosen]
    return "ORDER BY " + ", ".join([*order, *map(_quoted, rest[:3])])


def _where(wanted: RowSet) -> tuple[str, dict[str, Any]]:
    """The conditions, and the values that they compare with."""
    parts, values = [], {}
    for number, condition in enumerate(wanted.conditions):
        column, name = _quoted(condition.column), f"v{number}"
        if condition.operator == "empty":
            parts.append(f"{column} IS {'' if condition.values[0] else 'NOT '}NULL")
            continue
        several = condition.operator in ("is", "not")
        values[name] = list(condition.values) if several else condition.values[0]
        compared = {
            "is": f"{column} = ANY(:{name})",
            "not": f"({column} = ANY(:{name})) IS NOT TRUE",
            "from": f"{column} >= :{name}",
            "to": f"{column} <= :{name}",
        }
        parts.append(compared[condition.operator])
    return ("WHERE " + " AND ".join(parts) if parts else ""), values


def _quoted(name: str) -> str:
    """An identifier, also where SQLAlchemy's text would take a colon in it for a parameter."""
    return '"' + name.replace('"', '""').replace(":", "\\:") + '"'
