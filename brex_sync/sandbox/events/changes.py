"""Which changes of a world are events, and what Brex says in them."""

from functools import partial

from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.company import COMPANY
from brex_sync.sandbox.world.outbox import SandboxEvent

ATTRIBUTES = ("status", "manager_id", "department_id", "location_id")
"""Of a user: what a change of is an event."""
READY = "READY_FOR_EXPORT"


def watch(world: World) -> None:
    """From now on, what changes in the world is an event where Brex has one for it."""
    for name, watcher in (
        ("users", _user_changed),
        ("transfers", _transfer_changed),
        ("accounting_records", _record_changed),
    ):
        world.collection(name).watchers.append(partial(watcher, world))


def emit_purchase(
    world: World, expense_id: str, version: int = 1, status: str = "PENDING"
) -> SandboxEvent:
    """A card purchase was authorised, or declined, days before it is settled."""
    item = world.collection("expenses").get(expense_id) or {}
    payment = world.collection("expense_payments").get(expense_id) or {}
    merchant = world.collection("merchants").get(str(item.get("merchant_id"))) or {}
    declined = status == "DECLINED"
    return world.emit(
        "EXPENSE_PAYMENT_UPDATED",
        expense_id=expense_id,
        payment_status=status,
        payment_type="DECLINED" if declined else "PURCHASE",
        company_id=COMPANY,
        purchased_at=item.get("purchased_at"),
        amount=item.get("billing_amount"),
        original_amount=item.get("original_amount"),
        billing_amount=item.get("billing_amount"),
        payment_description=merchant.get("raw_descriptor") or "Purchase",
        card_id=payment.get("paymentInstrument", {}).get("id") or "ncard_00000",
        merchant={name: merchant.get(name) for name in ("raw_descriptor", "mcc", "country")},
        payment_status_reason="EXCEEDED_CARD_LIMIT" if declined else "APPROVED",
        payment_authorization_code=None if declined else f"{len(world.events.emitted) % 10**6:06d}",
        version=version,
    )


def _user_changed(world: World, before: Item | None, after: Item) -> None:
    if before is None:
        return
    changed = [name.upper() for name in ATTRIBUTES if before.get(name) != after.get(name)]
    if changed:
        ids = {"user_id": after["id"], "company_id": COMPANY}
        world.emit("USER_UPDATED", **ids, updated_attributes=changed)


def _transfer_changed(world: World, before: Item | None, after: Item) -> None:
    status = after.get("status")
    if status in ("PROCESSED", "FAILED") and (before or {}).get("status") != status:
        ids = {"transfer_id": after["id"], "company_id": COMPANY}
        payment = {"payment_type": after.get("payment_type"), "return_for_id": None}
        world.emit(f"TRANSFER_{status}", **ids, **payment)


def _record_changed(world: World, before: Item | None, after: Item) -> None:
    if after.get("review_status") == READY and (before or {}).get("review_status") != READY:
        ids = {"accountingRecordIds": [after["id"]], "companyId": COMPANY}
        world.emit("ACCOUNTING_RECORD_READY_FOR_EXPORT", **ids)
