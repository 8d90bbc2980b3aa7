"""Writes about vendors."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from brex_sync.sandbox.error_replies import ErrorReply, bad_request
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.writes.declare import (
    MaybeText,
    PostalAddress,
    ReceivedWrite,
    Text,
    WriteEndpoint,
    given,
    sent,
)


class AchAccount(msgspec.Struct, tag="ACH", tag_field="type"):
    """A bank account paid by ACH."""

    routing_number: Text
    account_number: Text
    account_type: Literal["CHECKING", "SAVING"]
    account_class: Literal["BUSINESS", "PERSONAL"]


class WireAccount(msgspec.Struct, tag="DOMESTIC_WIRE", tag_field="type"):
    """A bank account paid by domestic wire."""

    routing_number: Text
    account_number: Text
    address: PostalAddress


class ChequeAddress(msgspec.Struct, tag="CHEQUE", tag_field="type"):
    """Where cheques go."""

    mailing_address: PostalAddress
    recipient_name: Annotated[str, Meta(min_length=1, max_length=40)]


class PaidBy(msgspec.Struct):
    """A way to pay; international wires are not offered."""

    details: AchAccount | WireAccount | ChequeAddress


class VendorBody(msgspec.Struct):
    """A vendor to know."""

    company_name: Text
    email: str | None = None
    phone: str | None = None
    payment_accounts: list[PaidBy] | None = None


class VendorChange(msgspec.Struct):
    """What to change of a vendor; a way to pay is sent whole."""

    company_name: Text | UnsetType | None = UNSET
    email: MaybeText = UNSET
    phone: MaybeText = UNSET
    payment_accounts: list[PaidBy] | UnsetType | None = UNSET


def create(call: ReceivedWrite) -> Item:
    """Knows another vendor; each company name is known once."""
    _check_name(call, call.body.company_name, None)
    vendor = {"id": call.world.new_id("pdcont"), **sent(call.body)}
    vendor["payment_accounts"] = _accounts(call, call.body.payment_accounts)
    call.world.collection("vendors").add(vendor)
    return vendor


def update(call: ReceivedWrite) -> Item:
    """Changes a vendor; a way to pay takes the place of the one of its type."""
    vendor, body = call.item("vendors"), call.body
    changes = sent(body)
    if given(body.company_name):
        _check_name(call, body.company_name, call.id)
    else:
        changes.pop("company_name", None)
    if given(body.payment_accounts):
        new = _accounts(call, body.payment_accounts)
        types = {account["details"]["type"] for account in new}
        kept = vendor.get("payment_accounts") or []
        kept = [account for account in kept if account["details"]["type"] not in types]
        changes["payment_accounts"] = [*kept, *new]
    call.world.collection("vendors").edit(call.id, **changes)
    return call.item("vendors")


def delete(call: ReceivedWrite) -> None:
    """Forgets a vendor."""
    call.item("vendors")
    call.world.collection("vendors").delete(call.id)


def _check_name(call: ReceivedWrite, name: str, own: str | None) -> None:
    vendors = call.world.collection("vendors").newest()
    if any(v.get("company_name") == name and v["id"] != own for v in vendors):
        raise bad_request("A vendor with this company_name already exists")


def _accounts(call: ReceivedWrite, ways: list[PaidBy] | None) -> list[Item]:
    accounts: list[Item] = [sent(way) for way in ways or ()]
    types = [account["details"]["type"] for account in accounts]
    if len(set(types)) < len(types):
        raise bad_request("payment_accounts may hold one of each type")
    for account in accounts:
        account["details"]["payment_instrument_id"] = call.world.new_id("pdinstl")
    return accounts


def _not_offered(call: ReceivedWrite) -> Any:
    raise ErrorReply(403, "FORBIDDEN", "Transfers are not offered here")


VENDOR_WRITES = (
    WriteEndpoint("POST", "/v1/vendors", "vendors", create, VendorBody, keyed=True),
    WriteEndpoint("PUT", "/v1/vendors/{id}", "vendors", update, VendorChange),
    WriteEndpoint("DELETE", "/v1/vendors/{id}", "vendors", delete),
    WriteEndpoint("POST", "/v1/transfers", "transfers", _not_offered),
    WriteEndpoint("POST", "/v1/incoming_transfers", "incoming_transfers", _not_offered),
)
