"""Lines of spend counted the long way: in Python, from what the simulated Brex says."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync_tests.conftest import Rig

DIGITS = {"JPY": 0, "KWD": 3}
"""Decimals of the sandbox's currencies, where they are not two."""
KINDS = {
    "CARD": "card",
    "REIMBURSEMENT": "reimbursement",
    "BILLPAY": "bill",
    "CLAWBACK": "clawback",
}
STAGES = {"DECLINED": "declined", "CLEARED": "settled", "REFUNDED": "refunded"}
OFF = ("VOID", "CANCELED")
DATED = ("purchased_at", "payment_posted_at", "submitted_at", "approved_at", "completion_date")
"""What an expense is dated by, the first that it has."""


@dataclass(frozen=True)
class Line:
    """What was spent, or came back (then negative), once."""

    item: Any
    is_expense: bool
    kind: str
    stage: str
    day: date
    minor: int | None
    currency: str
    usd_cents: int | None
    user: str | None
    card: str | None
    merchant: str | None

    @property
    def counts(self) -> bool:
        return self.stage in ("pending", "settled", "refunded")

    @property
    def is_without_receipt(self) -> bool:
        wanted = self.kind in ("card", "reimbursement") and self.stage in ("pending", "settled")
        if not wanted or (self.minor or 0) <= 0:
            return False
        return self.item.get("status") not in OFF and not self.item.get("receipts")

    @property
    def is_unapproved(self) -> bool:
        if not self.is_expense or self.item["status"] in ("APPROVED", "SETTLED", "DRAFT"):
            return False
        return self.item["approved_at"] is None

    @property
    def id(self) -> str:
        return str(self.item["id"])

    @property
    def amount(self) -> Decimal | None:
        return None if self.minor is None else major(self.minor, self.currency)

    @property
    def usd(self) -> Decimal | None:
        return None if self.usd_cents is None else major(self.usd_cents)

    @property
    def month(self) -> date:
        return self.day.replace(day=1)


def major(minor: int, currency: str = "USD") -> Decimal:
    """An amount in major units."""
    return Decimal(minor).scaleb(-DIGITS.get(currency, 2))


def total(amounts: Any) -> Decimal | None:
    """The sum of the amounts that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def lines(rig: Rig) -> list[Line]:
    """Every line: expenses that are not split, and card transactions without an expense."""
    expenses = shown_items(rig.world, "expenses", expand=("merchant", "payment"))
    named = {item["id"] for item in expenses}
    transactions = shown_items(rig.world, "card_transactions", expand=("expense_id",))
    cards = {item["expense_id"]: item["card_id"] for item in transactions if "expense_id" in item}
    for item in expenses:
        if item["status"] == "SPLIT":
            cards |= {part["id"]: cards[item["id"]] for part in item["expense_line_items"]}
    return [_of_expense(item, cards) for item in expenses if item["status"] != "SPLIT"] + [
        _of_transaction(rig, item)
        for item in transactions
        if item["type"] != "COLLECTION" and item.get("expense_id") not in named
    ]


def _of_expense(item: Any, cards: dict[str, str]) -> Line:
    sign = -1 if item["expense_type"] == "CLAWBACK" else 1
    billed, dollars = item["billing_amount"], item["usd_equivalent_amount"]
    dated = (item[name] for name in DATED)
    instrument = (item.get("payment") or {}).get("paymentInstrument") or {}
    return Line(
        item=item,
        is_expense=True,
        kind=_kind(item),
        stage=_stage(item["status"], item["payment_status"]),
        day=date.fromisoformat(next((d for d in dated if d), item["updated_at"])[:10]),
        minor=billed and sign * billed["amount"],
        currency=(billed or {}).get("currency") or "USD",
        usd_cents=dollars and sign * dollars["amount"],
        user=item["user_id"],
        card=instrument.get("id") or cards.get(item["id"]),
        merchant=(item["merchant"] or {}).get("raw_descriptor"),
    )


def _of_transaction(rig: Rig, item: Any) -> Line:
    card = rig.world.collection("cards").get(item["card_id"] or "") or {}
    currency = item["amount"]["currency"] or "USD"
    return Line(
        item=item,
        is_expense=False,
        kind=_kind_of_transaction(item),
        stage="refunded" if item["type"] in ("REFUND", "CHARGEBACK") else "settled",
        day=date.fromisoformat(item["initiated_at_date"]),
        minor=item["amount"]["amount"],
        currency=currency,
        usd_cents=item["amount"]["amount"] if currency == "USD" else None,
        user=(card.get("owner") or {}).get("user_id"),
        card=item["card_id"],
        merchant=(item["merchant"] or {}).get("raw_descriptor"),
    )


def _kind(item: Any) -> str:
    back = item["payment_status"] == "REFUNDED" or (
        (item["billing_amount"] or {"amount": 0})["amount"] < 0
    )
    return (
        "refund"
        if item["expense_type"] == "CARD" and back
        else KINDS.get(item["expense_type"], "other")
    )


def _kind_of_transaction(item: Any) -> str:
    if item["type"] == "REWARDS_CREDIT":
        return "reward"
    return "refund" if item["amount"]["amount"] < 0 else "card"


def _stage(status: str | None, payment: str | None) -> str:
    if payment in STAGES:
        return STAGES[payment]
    if status in OFF:
        return "void"
    if status is None and payment is None:
        return "unknown"
    return "draft" if status == "DRAFT" and payment != "PROCESSING" else "pending"
