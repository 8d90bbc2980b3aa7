"""A checker of its own: what the world holds against what the warehouse holds.

It knows the columns by hand, so that a wrong declaration or normaliser cannot hide itself.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

TABLES = ("users", "cards", "card_accounts", "cash_accounts", "card_transactions")
PLACES = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3, None: 2}
MONEY = {
    "card_accounts": ("current_balance", "available_balance", "account_limit"),
    "cash_accounts": ("current_balance", "available_balance"),
    "card_transactions": ("amount",),
    "cash_transactions": ("amount",),
    "cards": ("spend_controls.spend_limit", "spend_controls.spend_available"),
    "users": (),
}
PLAIN = {
    "card_accounts": ("status", "current_statement_period.start_date"),
    "cash_accounts": ("name", "status", "account_number", "routing_number", "primary"),
    "card_transactions": (
        "type", "description", "initiated_at_date", "posted_at_date", "card_id",
        "merchant.raw_descriptor", "merchant.mcc", "merchant.country", "card_metadata",
    ),
    "cash_transactions": ("type", "description", "posted_at_date", "transfer_id"),
    "cards": (
        "owner.user_id", "status", "last_four", "card_name", "spend_controls.lock_after_date",
        "expiration_date.month", "expiration_date.year", "has_been_transferred", "metadata",
        "billing_address.line1", "budget_id",
    ),
    "users": ("first_name", "last_name", "email", "status", "manager_id", "remote_display_id"),
}  # fmt: skip


def assert_equal(rig: Any, *tables: str) -> None:
    """Every live row is as the world has it, none is missing, none is there besides."""
    for table in tables or (*TABLES, "cash_transactions"):
        truth = expected(rig.world, table)
        found = live_rows(rig, table)
        assert set(found) == set(truth), table
        for key, item in truth.items():
            _same_row(table, item, found[key])
    assert_sums(rig)


def expected(world: Any, table: str) -> dict[tuple[str, str], Any]:
    """The truth by account and id; bank numbers cut to four characters."""
    collection = world.collection(table)
    parents = collection.parents() if table == "cash_transactions" else [None]
    truth = {(p or "", item["id"]): item for p in parents for item in collection.items(p)}
    for item in truth.values() if table == "cash_accounts" else ():
        for name in ("account_number", "routing_number"):
            item[name] = item[name][-4:]
    return truth


def live_rows(rig: Any, table: str) -> dict[tuple[str, str], dict[str, Any]]:
    names = [
        r[0]
        for r in rig.rows(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'brex' AND table_name = :t ORDER BY ordinal_position",
            t=table,
        )
    ]
    rows = rig.rows(
        f"SELECT {', '.join(f'{chr(34)}{n}{chr(34)}' for n in names)} FROM brex.{table} "
        "WHERE _deleted_at IS NULL"
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return {(row.get("cash_account_id", ""), row["id"]): row for row in found}


def _same_row(table: str, item: Any, row: dict[str, Any]) -> None:
    assert row["_raw"] == item, (table, item["id"])
    for path in PLAIN[table]:
        value = row[path.replace(".", "_")]
        if path.endswith("_date") and value is not None:
            value = value.isoformat()
        assert value == _at(item, path), (table, item["id"], path)
    for path in MONEY[table]:
        name, money = path.replace(".", "_"), _at(item, path)
        minor, currency = (money["amount"], money["currency"]) if money else (None, None)
        assert row[f"{name}_minor"] == minor, (table, item["id"], path)
        assert row[f"{name}_currency"] == currency, (table, item["id"], path)
        major = None if minor is None else Decimal(minor) / 10 ** PLACES[currency]
        assert row[name] == major, (table, item["id"], path)


def assert_sums(rig: Any) -> None:
    """Count and sum per account, currency and month."""
    for table in ("card_transactions", "cash_transactions"):
        account = "cash_account_id" if table == "cash_transactions" else "''"
        counted: Counter[Any] = Counter()
        summed: Counter[Any] = Counter()
        for (parent, _), item in expected(rig.world, table).items():
            money = item["amount"] or {"amount": None, "currency": None}
            group = (parent, money["currency"], item["posted_at_date"][:7])
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


def _at(item: Any, path: str) -> Any:
    for key in path.split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item
