"""A checker of its own: what the world holds against what the warehouse holds.

It knows no declaration and none of the engine. A column's value is looked for in the item by the
column's name alone, and every value of an item must be in a column, in a child table or said here
to need none; so a wrong declaration or normaliser cannot hide itself.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from brex_sync.sandbox import shown_items

FIRST = ("users", "cards", "card_accounts", "cash_accounts", "card_transactions")
TABLES = FIRST
OTHERS = (
    "user_limits", "current_user", "company", "legal_entities", "departments", "locations",
    "titles", "cost_centers", "card_statements", "cash_statements", "cash_transactions",
    "expenses", "budgets", "spend_limits", "budget_programs", "vendors", "transfers",
    "linked_accounts", "fields", "field_values", "trips", "bookings", "accounting_records",
    "referrals", "webhook_subscriptions",
)  # fmt: skip
ALL = (*FIRST, *OTHERS)
COLLECTIONS = {"webhook_subscriptions": "webhooks"}
IDS = {"budgets": "budget_id", "fields": "brex_id", "field_values": "brex_id"}
PARENTS = {
    "cash_transactions": "cash_account_id",
    "cash_statements": "cash_account_id",
    "field_values": "field_id",
    "bookings": "trip_id",
}
CHILDREN = {
    "expenses": {
        "expense_line_items": ("expense_line_items", "expense_id", "id"),
        "expense_custom_fields": ("custom_fields", "expense_id", None),
        "expense_approval_steps": ("review.approval_steps", "expense_id", None),
        "expense_receipts": ("receipts", "expense_id", "id"),
    },
    "accounting_records": {
        "accounting_record_line_items": ("line_items", "accounting_record_id", "id"),
    },
}
EXPANDED = {
    "card_transactions": ["expense_id"],
    "expenses": [
        "merchant", "location", "department", "budget", "user", "payment", "spending_entity",
        "policy",
    ],
}  # fmt: skip
NUMBERS = {
    "cash_accounts": {"account_number", "routing_number"},
    "vendors": {"account_number", "routing_number", "iban", "swift_code"},
    "transfers": {"account_number", "routing_number", "iban", "swift_code"},
}
NEVER = {
    "expenses": {"download_uris"},
    "accounting_records": {"download_uris"},
    "referrals": {"instructions", "ein", "ssn"},
}
TWICE = {
    "user_id", "user_department_id", "user_location_id", "department_id", "location_id",
    "budget_id", "spending_entity_id",
}  # fmt: skip
"""In expenses, these stand beside the object that says the same."""
PLACES = {"USD": 2, "EUR": 2, "GBP": 2, "CAD": 2, "CHF": 2, "MXN": 2, "JPY": 0, "KWD": 3, None: 2}
Key = tuple[str, ...]


def assert_equal(rig: Any, *tables: str, undeclared: Set[str] = frozenset()) -> None:
    """Every live row is as the world has it, none is missing, none is there besides.

    `undeclared` are columns that values would be in if they were declared.
    """
    for table in tables or ALL:
        truth = expected(rig.world, table)
        _compare(rig, table, truth, undeclared)
        for child, (path, _, own) in CHILDREN.get(table, {}).items():
            _compare(rig, child, dict(_elements(truth, path, own)), undeclared)
    _assert_sums(rig, tables or ALL)


def expected(world: Any, table: str) -> dict[Key, Any]:
    """The truth by parent and id, as far as it may be stored."""
    name = COLLECTIONS.get(table, table)
    collection = world.collection(name)
    truth: dict[Key, Any] = {}
    for parent in collection.parents() if table in PARENTS else [None]:
        rows = collection.rows(parent)
        items = shown_items(world, name, parent, EXPANDED.get(table, []))
        for key, item in zip(rows.ids, items, strict=True):
            truth[(parent, key) if parent else (key,)] = _storable(table, item)
    if table == "expenses":
        for (key,), item in truth.items():
            _with_custom_fields(world, key, item)
    if table == "user_limits":
        none = {"monthly_limit": None, "monthly_available": None}
        truth = {(key,): none for key in world.collection("users").rows().ids} | truth
    if table == "referrals":
        truth = {key: item for key, item in truth.items() if item["status"] != "EXPIRED"}
    return truth


def live_rows(rig: Any, table: str, key: Key) -> dict[Key, dict[str, Any]]:
    """The rows not deleted, by the columns named."""
    names = list(_types(rig, table))
    listed = ", ".join(f'"{name}"' for name in names)
    rows = rig.rows(f'SELECT {listed} FROM brex."{table}" WHERE _deleted_at IS NULL')
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return {tuple(row[name] for name in key): row for row in found}


def _assert_sums(rig: Any, tables: Iterable[str]) -> None:
    """Count and sum per account, currency and month."""
    for table in {"card_transactions", "cash_transactions"}.intersection(tables):
        account = "cash_account_id" if table == "cash_transactions" else "''"
        counted: Counter[Any] = Counter()
        summed: Counter[Any] = Counter()
        for (*parent, _), item in expected(rig.world, table).items():
            money = item["amount"] or {"amount": None, "currency": None}
            group = ("".join(parent), money["currency"], item["posted_at_date"][:7])
            counted[group] += 1
            summed[group] += money["amount"] or 0
        found = rig.rows(
            f"SELECT {account}, amount_currency, to_char(posted_at_date, 'YYYY-MM'), count(*), "
            f"coalesce(sum(amount_minor), 0) FROM brex.{table} WHERE _deleted_at IS NULL "
            "GROUP BY 1, 2, 3"
        )
        assert {r[:3]: (r[3], int(r[4])) for r in found} == {
            group: (counted[group], summed[group]) for group in counted
        }


def _compare(rig: Any, table: str, truth: dict[Key, Any], undeclared: Set[str]) -> None:
    types = _types(rig, table)
    found = live_rows(rig, table, _key_columns(table))
    assert set(found) == set(truth), table
    for key, item in truth.items():
        _same_row(table, types, item, found[key], undeclared)


def _key_columns(table: str) -> Key:
    for children in CHILDREN.values():
        if table in children:
            _, into, own = children[table]
            return (into, own or "position")
    if table == "user_limits":
        return ("user_id",)
    own = IDS.get(table, "id")
    return (PARENTS[table], own) if table in PARENTS else (own,)


def _same_row(
    table: str, types: dict[str, str], item: Any, row: dict[str, Any], undeclared: Set[str]
) -> None:
    assert row["_raw"] == item, table
    values = dict(_flat(item))
    derived = {"_raw", "_first_seen_at", "_changed_at", "_deleted_at"}
    if table not in IDS:
        derived |= {*_key_columns(table)} - {"id"}
    for name, kind in types.items():
        if name not in derived:
            assert row[name] == _as(kind, values.get(name)), (table, name, item)
    unseen = {n for n, v in values.items() if not isinstance(v, (dict, list)) and v is not None}
    jsons = tuple(f"{name}_" for name, kind in types.items() if kind == "jsonb")
    unseen -= {*types, *_added_by_money(item), *undeclared}
    unseen -= {PARENTS.get(table, ""), *(TWICE if "expense" in table else ())}
    assert not {n for n in unseen if not n.startswith(jsons)}, (table, unseen)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below an item under the name its column would have; money under three."""
    if name:
        yield name, value
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key).lower()
        yield from _flat(inner, f"{name}_{snake}" if name else snake)
    if set(value) == {"amount", "currency"}:
        yield f"{name}_minor", value["amount"]
        yield f"{name}_currency", value["currency"]
        places = PLACES[value["currency"]]
        minor = value["amount"]
        yield name, None if minor is None else Decimal(minor) / 10**places


def _added_by_money(value: Any, name: str = "") -> Iterator[str]:
    """Names that `_flat` makes of money beyond those of its columns, or the other way round."""
    if not isinstance(value, dict):
        return
    if set(value) == {"amount", "currency"}:
        yield from (name, f"{name}_minor", f"{name}_amount", f"{name}_currency")
    for key, inner in value.items():
        yield from _added_by_money(inner, f"{name}_{key}" if name else key)


def _as(kind: str, value: Any) -> Any:
    """A value of the API as Postgres should give it back from a column of this type."""
    if value is None:
        return None
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "timestamp with time zone":
        return datetime.fromisoformat(value)
    if kind == "jsonb":
        return value
    assert not isinstance(value, (dict, list)), f"a {kind} column for {value}"
    return value


def _elements(truth: dict[Key, Any], path: str, own: str | None) -> Iterable[tuple[Key, Any]]:
    for (key,), item in truth.items():
        found = item
        for step in path.split("."):
            found = (found or {}).get(step)
        for position, element in enumerate(found or ()):
            yield (key, element[own] if own else position), element


def _with_custom_fields(world: Any, key: str, item: Any) -> None:
    kept = world.collection("expense_custom_fields").get(key)
    if kept is not None:
        item["custom_fields"] = kept


def _storable(table: str, value: Any) -> Any:
    """The item with numbers cut and links left out."""
    if isinstance(value, list):
        return [_storable(table, v) for v in value]
    if not isinstance(value, dict):
        return value
    numbers, never = NUMBERS.get(table, set()), NEVER.get(table, set())
    return {
        key: inner[-4:] if key in numbers and inner else _storable(table, inner)
        for key, inner in value.items()
        if key not in never
    }


def _types(rig: Any, table: str) -> dict[str, str]:
    return dict(
        rig.rows(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'brex' AND table_name = :t ORDER BY ordinal_position",
            t=table,
        )
    )
