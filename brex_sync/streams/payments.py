"""Brex's Payments API: vendors, transfers to them, and bank accounts linked from elsewhere.

Bank numbers are cut to their last four characters, also inside lists and in `_raw`.
"""

from brex_sync.streams.columns import (
    bank_number,
    boolean,
    date,
    json,
    money,
    personal,
    text,
)
from brex_sync.streams.declare import Reference, Stream

_BANK_NUMBERS = ("account_number", "routing_number", "iban", "swift_code")

VENDORS = Stream(
    name="vendors",
    group="payments",
    description="Whom the company pays, with the accounts it pays to.",
    path="/v1/vendors",
    item_path="/v1/vendors/{id}",
    scope="vendors.readonly",
    mask=_BANK_NUMBERS,
    columns=(
        text("id", "Brex's identifier of the vendor."),
        text("company_name", "Name."),
        personal("email", "E-mail address."),
        personal("phone", "Phone number."),
        json("payment_accounts", "Accounts to pay to. Last four digits of bank numbers only."),
    ),
    history=True,
)

TRANSFERS = Stream(
    name="transfers",
    group="payments",
    description="ACH transfers, wires, cheques and book transfers. Outgoing amounts are positive, "
    "incoming ones negative.",
    path="/v1/transfers",
    item_path="/v1/transfers/{id}",
    scope="transfers.readonly",
    mask=_BANK_NUMBERS,
    columns=(
        text("id", "Brex's identifier of the transfer."),
        text("counterparty.type", "VENDOR, BOOK_TRANSFER or BANK_ACCOUNT."),
        text("counterparty.id", "The counterparty: a vendor where the type says so."),
        text("counterparty.payment_instrument_id", "Which of its accounts."),
        bank_number("counterparty.routing_number", "Bank routing number."),
        bank_number("counterparty.account_number", "Bank account number."),
        text("description", "Description."),
        text("payment_type", "ACH, DOMESTIC_WIRE, CHEQUE, INTERNATIONAL_WIRE and others."),
        money("amount", "Amount; outgoing positive, incoming negative."),
        date("process_date", "Day it is, or was, processed."),
        text("originating_account.type", "Kind of account it comes from; BREX_CASH today."),
        text("originating_account.id", "Account it comes from."),
        text("status", "PROCESSING, SCHEDULED, PENDING_APPROVAL, FAILED, PROCESSED and others."),
        text("cancellation_reason", "Why it was cancelled."),
        date("estimated_delivery_date", "Day it should arrive."),
        text("creator_user_id", "The user who made it."),
        date("created_at", "Day it was made."),
        text("display_name", "Name shown for it."),
        text("external_memo", "What the recipient reads."),
        boolean("is_ppro_enabled", "Whether the recipient is to get the full amount."),
    ),
    references=(Reference("creator_user_id", "users"),),
)

LINKED_ACCOUNTS = Stream(
    name="linked_accounts",
    group="payments",
    description="Bank accounts outside Brex that were linked to it.",
    path="/v1/linked_accounts",
    scope="linked_accounts.readonly",
    mask=_BANK_NUMBERS,
    columns=(
        text("id", "Brex's identifier of the linked account."),
        text("bank_details.name", "Name of the bank."),
        text("bank_details.type", "CHECKING or SAVING."),
        text("brex_account_id", "The Brex account it is linked to."),
        text("last_four", "Last four digits of the account number."),
        money("available_balance.amount", "Balance that can be used."),
        date("available_balance.as_of_date", "Day of that balance."),
        money("current_balance.amount", "Balance."),
        date("current_balance.as_of_date", "Day of that balance."),
    ),
)
