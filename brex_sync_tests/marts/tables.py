"""Rows put straight into a connection's tables, for what no simulated company has."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

SINCE = "2026-01-01T00:00:00Z"
"""When such rows were first seen, where they do not say."""


def put(engine: sa.Engine, table: str, **values: Any) -> None:
    """Inserts a row into a table of the connection `brex`; lists and dicts become JSON."""
    stamps = {"_first_seen_at": SINCE, "_changed_at": datetime.now(UTC)}
    _insert(engine, f"brex.{table}", {"_raw": {}} | stamps | values)


def put_snapshot(engine: sa.Engine, table: str, **values: Any) -> None:
    """Inserts a day's state into a table of the connection's history."""
    _insert(engine, f"brex_history.{table}", {"_changed_at": datetime.now(UTC)} | values)


def _insert(engine: sa.Engine, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    given = ", ".join(
        f"CAST(:{name} AS jsonb)" if isinstance(value, dict | list) else f":{name}"
        for name, value in row.items()
    )
    plain = {
        name: json.dumps(value) if isinstance(value, dict | list) else value
        for name, value in row.items()
    }
    with engine.begin() as db:
        db.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({given})"), plain)


def money(name: str, minor: int | None, currency: str | None = "USD") -> dict[str, Any]:
    """The three columns of an amount whose smallest unit is a hundredth."""
    major = None if minor is None else Decimal(minor).scaleb(-2)
    return {name: major, f"{name}_minor": minor, f"{name}_currency": currency}
