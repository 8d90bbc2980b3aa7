"""Brex's Transactions API: what was spent, paid and received."""

from brex_sync.streams.columns import date, json, money, text
from brex_sync.streams.declare import Ledger, Parent, Reference, Stream, Window

CARD_TRANSACTIONS = Stream(
    name="card_transactions",
    group="transactions",
    description="Settled card transactions of all card accounts. Purchases are positive, "
    "refunds and payments to Brex negative.",
    path="/v2/transactions/card/primary",
    scope="transactions.card.readonly",
    params={"expand[]": ("expense_id",)},
    window=Window(param="posted_at_start", column="posted_at_date"),
    columns=(
        text("id", "Brex's identifier of the transaction."),
        text("type", "PURCHASE, REFUND, CHARGEBACK, COLLECTION and others as Brex adds them."),
        text("description", "What the statement says."),
        money("amount", "Amount; purchases positive, payments to Brex negative."),
        date("initiated_at_date", "Day the transaction was made."),
        date("posted_at_date", "Day the transaction was settled."),
        text("card_id", "Card used; null for rewards and payments."),
        text("merchant.raw_descriptor", "Merchant as the card network names it."),
        text("merchant.mcc", "Merchant category code, ISO 18245."),
        text("merchant.country", "Merchant's country, ISO 3166-1 alpha-3."),
        text("expense_id", "The expense this transaction belongs to, where Brex says."),
        text(
            "card_transaction_operation_reference_id",
            "Brex's reference of the operation; null for rewards, payments and fees.",
        ),
        json("card_metadata", "The card's own attributes, a map of texts."),
    ),
    references=(Reference("card_id", "cards"), Reference("expense_id", "expenses")),
    ledger=Ledger(),
)

CASH_TRANSACTIONS = Stream(
    name="cash_transactions",
    group="transactions",
    description="Settled transactions of every cash account. Money received is positive, "
    "money paid negative.",
    path="/v2/transactions/cash/{id}",
    scope="transactions.cash.readonly",
    parent=Parent("cash_accounts", into="cash_account_id"),
    key=("cash_account_id", "id"),
    window=Window(param="posted_at_start", column="posted_at_date"),
    columns=(
        text("id", "Brex's identifier of the transaction."),
        text("type", "PAYMENT, FEE, INTEREST, CARD_COLLECTION and others as Brex adds them."),
        text("description", "What the statement says."),
        money("amount", "Amount; money received positive, money paid negative."),
        date("initiated_at_date", "Day the payment was initiated."),
        date("posted_at_date", "Day the payment was posted."),
        text("transfer_id", "The transfer behind the transaction, if any."),
    ),
    references=(Reference("cash_account_id", "cash_accounts"),),
    ledger=Ledger(),
)
