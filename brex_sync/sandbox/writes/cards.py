"""Writes about cards."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from brex_sync.sandbox.error_replies import bad_request
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.company import ADDRESS
from brex_sync.sandbox.writes.declare import (
    Day,
    MaybeText,
    Metadata,
    Money,
    PostalAddress,
    ReceivedWrite,
    Text,
    WriteEndpoint,
    check_ids,
    sent,
)

PHYSICAL_PER_USER = 10
VALID_YEARS = 4
Duration = Literal["MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME"]
Reason = Literal[
    "CARD_DAMAGED", "CARD_LOST", "CARD_NOT_RECEIVED", "DO_NOT_NEED_PHYSICAL_CARD",
    "DO_NOT_NEED_VIRTUAL_CARD", "FRAUD", "OTHER",
]  # fmt: skip


class MerchantRule(msgspec.Struct):
    """A merchant allowed or blocked."""

    name: Text


Merchants = Annotated[list[MerchantRule], Meta(max_length=50)] | None


class Owner(msgspec.Struct):
    """Whose card it is."""

    type: Literal["USER"]
    user_id: Text


class Controls(msgspec.Struct):
    """What a card with a limit of its own may spend."""

    spend_limit: Money
    spend_duration: Duration
    reason: str | None = None
    lock_after_date: Day | None = None
    allowed_merchant_details: Merchants = None
    blocked_merchant_details: Merchants = None


class ControlsChange(msgspec.Struct):
    """What to change of the controls; what is left out stays."""

    spend_limit: Money | UnsetType | None = UNSET
    spend_duration: Duration | UnsetType | None = UNSET
    reason: MaybeText = UNSET
    lock_after_date: Day | UnsetType | None = UNSET
    allowed_merchant_details: Merchants | UnsetType = UNSET
    blocked_merchant_details: Merchants | UnsetType = UNSET


class CardBody(msgspec.Struct):
    """A card to issue."""

    owner: Owner
    card_name: Text
    card_type: Literal["VIRTUAL", "PHYSICAL"]
    limit_type: Literal["CARD", "USER"]
    spend_controls: Controls | None = None
    mailing_address: PostalAddress | None = None
    metadata: Metadata = None


class CardChange(msgspec.Struct):
    """What to change of a card."""

    spend_controls: ControlsChange | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class Why(msgspec.Struct):
    """Why a card is locked or terminated."""

    reason: Reason
    description: str | None = None


def issue(call: ReceivedWrite) -> Item:
    """Issues a card; a physical one is shipped."""
    world, body = call.world, sent(call.body)
    check_ids(world, "users", call.body.owner.user_id)
    if (body["limit_type"] == "CARD") != (body["spend_controls"] is not None):
        raise bad_request("spend_controls belong to limit_type CARD, and must be null for USER")
    if body["card_type"] == "PHYSICAL":
        _check_physical(call)
    controls = body["spend_controls"]
    if controls is not None:
        _check_merchants(controls)
        controls |= {"spend_available": controls["spend_limit"]}
    now = world.now()
    card = body | {
        "id": world.new_id("ncard"),
        "status": "SHIPPED" if body["card_type"] == "PHYSICAL" else "ACTIVE",
        "last_four": f"{len(world.collection('cards')):04d}"[-4:],
        "billing_address": ADDRESS,
        "expiration_date": {"month": now.month, "year": now.year + VALID_YEARS},
        "has_been_transferred": False,
        "budget_id": None,
        "created_at": world.moment(),
    }
    world.collection("cards").add(card)
    return card


def update(call: ReceivedWrite) -> Item:
    """Changes the controls or the metadata."""
    card, changes = _open_card(call), sent(call.body)
    controls = changes.pop("spend_controls", None)
    if controls is not None:
        if card.get("limit_type") != "CARD":
            raise bad_request("Only a card with limit_type CARD has spend_controls")
        changes["spend_controls"] = _changed(card.get("spend_controls") or {}, controls)
    return _edit(call, **changes)


def lock(call: ReceivedWrite) -> Item:
    """Locks a card; one that is locked stays so."""
    _open_card(call)
    return _edit(call, status="LOCKED")


def unlock(call: ReceivedWrite) -> Item:
    """Opens a locked card."""
    if _open_card(call).get("status") != "LOCKED":
        raise bad_request("Card is not locked")
    return _edit(call, status="ACTIVE")


def terminate(call: ReceivedWrite) -> Item:
    """Ends a card for good."""
    _open_card(call)
    return _edit(call, status="TERMINATED")


def _open_card(call: ReceivedWrite) -> Item:
    """The card, if it is not terminated: that is final."""
    card = call.item("cards")
    if card.get("status") == "TERMINATED":
        raise bad_request("Card is terminated")
    return card


def _edit(call: ReceivedWrite, **changes: object) -> Item:
    call.world.collection("cards").edit(call.id, **changes)
    return call.item("cards")


def _check_physical(call: ReceivedWrite) -> None:
    if call.body.mailing_address is None:
        raise bad_request("mailing_address is required for a PHYSICAL card")
    owner = call.body.owner.user_id
    held = [
        card
        for card in call.world.collection("cards").newest()
        if (card.get("owner") or {}).get("user_id") == owner
        and card.get("card_type") == "PHYSICAL"
        and card.get("status") != "TERMINATED"
    ]
    if len(held) >= PHYSICAL_PER_USER:
        raise bad_request(f"A user may have {PHYSICAL_PER_USER} physical cards")


def _check_merchants(controls: Item) -> None:
    if controls.get("allowed_merchant_details") and controls.get("blocked_merchant_details"):
        raise bad_request("Merchants can be allowed or blocked, not both")


def _changed(before: Item, changes: Item) -> Item:
    """The controls afterwards; what was spent of the limit stays spent."""
    after = before | changes
    _check_merchants(after)
    old, new = before.get("spend_limit"), after.get("spend_limit")
    available = before.get("spend_available")
    if old and new and available and old != new:
        left = max(0, available["amount"] + new["amount"] - old["amount"])
        after["spend_available"] = new | {"amount": left}
    return after


CARD_WRITES = (
    WriteEndpoint("POST", "/v2/cards", "cards", issue, CardBody, keyed=True),
    WriteEndpoint("PUT", "/v2/cards/{id}", "cards", update, CardChange),
    WriteEndpoint("POST", "/v2/cards/{id}/lock", "cards", lock, Why),
    WriteEndpoint("POST", "/v2/cards/{id}/unlock", "cards", unlock),
    WriteEndpoint("POST", "/v2/cards/{id}/terminate", "cards", terminate, Why),
)
