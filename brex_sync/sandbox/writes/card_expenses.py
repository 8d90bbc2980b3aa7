"""Writes about card expenses: the memo, and receipts."""

import msgspec

from brex_sync.sandbox.data.expenses import change
from brex_sync.sandbox.error_replies import not_found
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.writes.declare import ReceivedWrite, Text, WriteEndpoint
from brex_sync.sandbox.writes.receipts import open_upload


class MemoBody(msgspec.Struct):
    """A memo; null takes it away."""

    memo: str | None = None


class NewReceipt(msgspec.Struct):
    """A file to come."""

    receipt_name: Text


def set_memo(call: ReceivedWrite) -> Item:
    """Writes the memo; `updated_at` moves."""
    _card_expense(call)
    change(call.world, call.id, memo=call.body.memo)
    return call.item("expenses")


def match_receipt(call: ReceivedWrite) -> Item:
    """Takes a file for whichever expense it fits; Brex tells by e-mail which it was."""
    return open_upload(call.world, call.body.receipt_name, None, call.base)


def upload_receipt(call: ReceivedWrite) -> Item:
    """Takes a file for one expense."""
    _card_expense(call)
    return open_upload(call.world, call.body.receipt_name, call.id, call.base)


def _card_expense(call: ReceivedWrite) -> None:
    if call.item("expenses").get("expense_type") != "CARD":
        raise not_found("No card expense with this id")


EXPENSE_WRITES = (
    WriteEndpoint("PUT", "/v1/expenses/card/{id}", "expenses.card", set_memo, MemoBody),
    WriteEndpoint(
        "POST", "/v1/expenses/card/receipt_match", "", match_receipt, NewReceipt, status=201
    ),
    WriteEndpoint(
        "POST",
        "/v1/expenses/card/{id}/receipt_upload",
        "",
        upload_receipt,
        NewReceipt,
        status=201,
    ),
)
