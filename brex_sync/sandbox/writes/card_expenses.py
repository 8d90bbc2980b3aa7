"""Writes about card expenses: the memo."""

from typing import Any

import msgspec

from brex_sync.sandbox.error_replies import not_found
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.writes.declare import ReceivedWrite, WriteEndpoint

PARENT, PARTS = "parent_expense_id", "expense_line_items"


class MemoBody(msgspec.Struct):
    """A memo; null takes it away."""

    memo: str | None = None


def set_memo(call: ReceivedWrite) -> Item:
    """Writes the memo; `updated_at` moves."""
    check_is_on_card(call)
    edit_expense(call.world, call.id, memo=call.body.memo)
    return call.item("expenses")


def check_is_on_card(call: ReceivedWrite) -> None:
    """Raises ErrorReply 404 where the path names no expense on a card."""
    if call.item("expenses").get("expense_type") != "CARD":
        raise not_found("No card expense with this id")


def edit_expense(world: World, key: str, **changes: Any) -> None:
    """Changes fields of an expense now, and of its copy in the expense it was split from."""
    expenses, changes = world.collection("expenses"), changes | {"updated_at": world.moment()}
    expenses.edit(key, **changes)
    parent = expenses.get((world.collection("expense_parents").get(key) or {}).get(PARENT, ""))
    if parent is not None:
        parts = [part | changes if part["id"] == key else part for part in parent[PARTS]]
        expenses.edit(parent["id"], **{PARTS: parts, "updated_at": changes["updated_at"]})


EXPENSE_WRITES = (
    WriteEndpoint("PUT", "/v1/expenses/card/{id}", "expenses.card", set_memo, MemoBody),
)
