"""The books: accounting fields with their values, and a record for each approved expense."""

import random
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.merchants import MERCHANTS
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, encode, stamp
from brex_sync.sandbox.world.ledger import money

FIELDS = (
    ("Project", "ACCOUNTING", ("Prototype 4", "Picker arm", "Warehouse pilot", "Internal")),
    ("Class", "ACCOUNTING", ("R&D", "Sales", "G&A")),
    ("Region", "ERP", ("Americas", "Europe", "日本")),
    ("Shirt size", "USER", ("S", "M", "L", "XL")),
    (None, "TRAVEL", ()),
)
REPEATED = 3
SOURCES = {"CARD": "CARD", "REIMBURSEMENT": "REIMBURSEMENT", "BILLPAY": "BILL"}
TYPES = {
    "CARD": "CARD_EXPENSE_POST", "REIMBURSEMENT": "REIMBURSEMENT_EXPENSE_POST",
    "BILL": "BILL_EXPENSE",
}  # fmt: skip


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds accounting fields, and a record for every expense that was approved."""
    _fields(world)
    people = world.collection("users").known(), world.collection("vendors").known()
    rows = []
    for expense in world.collection("expenses").newest():
        if record := record_of(expense, *people):
            rows.append((stamp(record["updated_at"]), record["id"], encode(record)))
    rows.sort(reverse=True)
    world.collection("accounting_records").fill((key, day, body) for day, key, body in rows)


def record_of(expense: Item, users: dict[str, Item], vendors: dict[str, Item]) -> Item | None:
    """The record that an expense leaves in the books once it is approved."""
    source = SOURCES.get(expense["expense_type"])
    amount = expense["usd_equivalent_amount"]
    if not (source and amount and expense["approved_at"]) or expense["status"] == "SPLIT":
        return None
    key = expense["id"].replace("expense_", "accr_")
    bill = source == "BILL"
    original = _with_currency(expense["original_amount"])
    posted = expense["payment_posted_at"] or expense["approved_at"]
    status = "EXPORTED" if expense["exported_at"] else _review_status(expense)
    user = users.get(expense["user_id"] or "")
    size = money(abs(amount["amount"]), amount["currency"])
    return {
        "id": key,
        "amount": amount,
        "original_amount": None if original == amount else original,
        "type": "CARD_EXPENSE_REFUND" if amount["amount"] < 0 else TYPES[source],
        "review_status": status,
        "source_id": None if bill else expense["id"],
        "source_type": source,
        "erp_posting_date": posted,
        "updated_at": expense["updated_at"],
        "version": 1 + bool(expense["exported_at"]),
        "posted_at": posted,
        "due_at": expense["completion_date"] if bill else None,
        "invoice_number": f"INV-{key[-5:]}" if bill else None,
        "receipts": expense["receipts"] or None,
        "user": _user(user) if user and not bill else None,
        "vendor": _vendor(expense, vendors) if bill else None,
        "memo": expense["memo"],
        "line_items": [_line(key, side, size, expense) for side in ("DEBIT", "CREDIT")],
    }


def _with_currency(amount: Item) -> Item:
    """The books always name a currency."""
    return money(amount["amount"], amount["currency"] or "USD")


def _review_status(expense: Item) -> str:
    return ("PREPARE", "REVIEW", "READY_FOR_EXPORT")[len(expense["receipts"])]


def _line(key: str, side: str, amount: Item, expense: Item) -> Item:
    values = []
    if side == "DEBIT" and expense["memo"]:
        at = len(expense["memo"]) % 4
        values = [
            {
                "brex_field_id": "field_0000",
                "remote_field_id": None,
                "brex_field_value_id": f"field_0000_{at:03d}",
                "remote_field_value_id": f"r{at}",
            }
        ]
    return {
        "id": f"arli_{key[5:]}_{side}",
        "type": side,
        "amount": amount,
        "original_amount": None,
        "memo": expense["memo"] if side == "DEBIT" else None,
        "accounting_field_values": values,
    }


def _user(user: Item) -> Item:
    names = ("id", "first_name", "last_name", "email", "department_id", "location_id")
    known = {name: user[name] for name in names if user[name] is not None}
    return known | {"role": "EMPLOYEE", "status": user["status"] or "INACTIVE"}


def _vendor(expense: Item, vendors: dict[str, Item]) -> Item:
    """The vendor with the number of the merchant, by the name that it has among the vendors."""
    number = int((expense["merchant_id"] or "0")[-4:])
    key = f"pdcont_{number:05d}"
    known = vendors.get(key, {}).get("company_name")
    return {"id": key, "name": known or MERCHANTS[number].name, "email": None}


def _fields(world: World) -> None:
    for i, (name, group, values) in enumerate(FIELDS):
        key = f"field_{i:04d}"
        changed = {"updated_at": f"{world.today.year - 1}-03-0{i + 1}T12:00:00Z"}
        field: dict[str, Any] = {
            "brex_id": key,
            "name": name,
            "remote_id": f"erp-{i}" if i % 2 else None,
            "group": group if i < 3 else None,
            "integration_id": "int_0001" if group == "ERP" and i < 3 else None,
            "is_disabled": name is None,
        }
        world.collection("fields").add(field | changed)
        world.collection("field_values").open_list(key)
        names = [f"{value} {n}".removesuffix(" 0") for n in range(REPEATED) for value in values]
        for j, value in enumerate(names):
            world.collection("field_values").add(
                {
                    "brex_id": f"{key}_{j:03d}",
                    "field_id": key,
                    "value": value,
                    "value_id": f"v{j}" if j % 3 else None,
                    "remote_id": f"r{j}" if i % 2 == 0 else None,
                    "is_disabled": j % 7 == 6,
                }
                | changed,
                key,
            )
