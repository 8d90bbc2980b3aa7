"""What Brex tells of card spending as it happens, hours or days before it is settled."""

from brex_sync.streams.columns import integer, money, text, timestamp
from brex_sync.streams.declare import EventTable, Reference

EXPENSE_PAYMENTS = EventTable(
    name="expense_payments",
    group="expenses",
    description="Card payments as they are authorised or declined, hours or days before they are "
    "settled. A row stays as the last event told: what became of it is in expenses and "
    "card_transactions. Only while a webhook is registered.",
    event="EXPENSE_PAYMENT_UPDATED",
    scope="expenses.card.readonly",
    key=("expense_id",),
    version_column="version",
    ignored_fields=("event_type",),
    columns=(
        text("expense_id", "The expense it pays."),
        integer("version", "Rises with every event about the payment, from 1."),
        text("payment_status", "PENDING or DECLINED, and others as Brex adds them."),
        text("payment_type", "PURCHASE, REFUND, WITHDRAWAL, DECLINED and others."),
        text("payment_status_reason", "Why the payment is in its state."),
        timestamp("purchased_at", "When the purchase was made."),
        money("amount", "Amount; Brex asks to read billing_amount in its place."),
        money("original_amount", "Amount in the currency of the purchase."),
        money("billing_amount", "Amount in the currency of the account."),
        text("payment_description", "What the statement will say."),
        text("payment_authorization_code", "Code of the authorisation, null where declined."),
        text("card_id", "The card that was used."),
        text("merchant.raw_descriptor", "Merchant as the card network names it."),
        text("merchant.mcc", "Merchant category code, ISO 18245."),
        text("merchant.country", "Merchant's country, ISO 3166-1 alpha-3."),
        text("company_id", "The company."),
    ),
    references=(Reference("expense_id", "expenses"), Reference("card_id", "cards")),
)
