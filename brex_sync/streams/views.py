"""The views for people: several tables of a connection read as one."""

from brex_sync.streams.columns import Field, Kind
from brex_sync.streams.declare import View

ACCOUNTS = View(
    name="accounts",
    group="accounts",
    description="Card and cash accounts together, without deleted ones.",
    sources=("card_accounts", "cash_accounts"),
    fields=(
        Field("account_kind", Kind.TEXT, "card or cash."),
        Field("id", Kind.TEXT, "Brex's identifier of the account."),
        Field("name", Kind.TEXT, "Name of the account; card accounts have none."),
        Field("status", Kind.TEXT, "ACTIVE, and others as Brex adds them."),
        Field("current_balance", Kind.DECIMAL, "Balance: owed on card accounts, held on cash."),
        Field("current_balance_minor", Kind.INTEGER, "The same in the smallest unit, exact."),
        Field("current_balance_currency", Kind.TEXT, "ISO 4217 currency of the balance."),
        Field("available_balance", Kind.DECIMAL, "What can be spent."),
        Field("available_balance_minor", Kind.INTEGER, "The same in the smallest unit, exact."),
        Field("available_balance_currency", Kind.TEXT, "ISO 4217 currency of what is available."),
        Field("account_limit", Kind.DECIMAL, "Credit limit; null for cash accounts."),
        Field("account_number", Kind.TEXT, "Last four digits; null for card accounts."),
        Field("is_primary", Kind.BOOLEAN, "The one primary cash account; null for card accounts."),
        Field("_changed_at", Kind.TIMESTAMP, "When the row last changed here."),
    ),
)

TRANSACTIONS = View(
    name="transactions",
    group="transactions",
    description="Card and cash transactions together, with cardholder and card name where "
    "known, without deleted ones. Mind the signs: card purchases are positive, cash paid out "
    "is negative.",
    sources=("card_transactions", "cash_transactions", "cards", "users"),
    fields=(
        Field("account_kind", Kind.TEXT, "card or cash."),
        Field("id", Kind.TEXT, "Brex's identifier of the transaction."),
        Field("cash_account_id", Kind.TEXT, "Cash account; null for card transactions."),
        Field("posted_at_date", Kind.DATE, "Day the transaction was settled."),
        Field("initiated_at_date", Kind.DATE, "Day the transaction was made."),
        Field("type", Kind.TEXT, "PURCHASE, REFUND, PAYMENT and others as Brex adds them."),
        Field("description", Kind.TEXT, "What the statement says."),
        Field("amount", Kind.DECIMAL, "Amount in major units; see the view's comment for signs."),
        Field("amount_minor", Kind.INTEGER, "The same in the smallest unit, exact."),
        Field("amount_currency", Kind.TEXT, "ISO 4217 currency of the amount."),
        Field("merchant_raw_descriptor", Kind.TEXT, "Merchant as the card network names it."),
        Field("merchant_mcc", Kind.TEXT, "Merchant category code, ISO 18245."),
        Field("merchant_country", Kind.TEXT, "Merchant's country, ISO 3166-1 alpha-3."),
        Field("card_id", Kind.TEXT, "Card used, if any."),
        Field("card_name", Kind.TEXT, "Name of the card, where known."),
        Field("card_last_four", Kind.TEXT, "Last four digits of the card, where known."),
        Field("user_id", Kind.TEXT, "Cardholder's identifier, where known."),
        Field("cardholder", Kind.TEXT, "Cardholder's full name, where known."),
        Field("cardholder_email", Kind.TEXT, "Cardholder's e-mail address, where known."),
        Field("expense_id", Kind.TEXT, "Expense of a card transaction, where Brex says."),
        Field("transfer_id", Kind.TEXT, "Transfer behind a cash transaction, if any."),
        Field("_changed_at", Kind.TIMESTAMP, "When the transaction last changed here."),
    ),
)

LATE_CHANGES = View(
    name="late_changes",
    group="books",
    description="What arrived or changed in a month after the day on which its books were closed "
    "(brex-sync close): each row as it was then and as it is now. What is as it was then is not "
    "listed, whatever it was in between. Transactions belong to the month in which they were "
    "posted, expenses to that in which they were made.",
    sources=("card_transactions", "cash_transactions", "expenses"),
    each=True,
    fields=(
        Field("month", Kind.DATE, "First day of the closed month."),
        Field("closed_on", Kind.DATE, "Day (UTC) after which changes are late."),
        Field("source", Kind.TEXT, "The table the row is in."),
        Field("id", Kind.TEXT, "Brex's identifier of the row."),
        Field("parent_id", Kind.TEXT, "The account the row belongs to, where its table says."),
        Field(
            "change",
            Kind.TEXT,
            "arrived, changed, deleted, or moved in or moved out: dated in another month before or "
            "since.",
        ),
        Field("changed_at", Kind.TIMESTAMP, "When the row last changed here."),
        Field("dated_before", Kind.DATE, "The row's date at the close, where known."),
        Field("dated_now", Kind.DATE, "Its date now; null if deleted."),
        Field("amount_before", Kind.DECIMAL, "Its amount at the close, where known."),
        Field("amount_now", Kind.DECIMAL, "Its amount now; null if deleted."),
        Field("amount_before_minor", Kind.INTEGER, "Its amount at the close, exact."),
        Field("amount_now_minor", Kind.INTEGER, "Its amount now, exact."),
        Field("currency_before", Kind.TEXT, "ISO 4217 currency of the amount at the close."),
        Field("currency_now", Kind.TEXT, "ISO 4217 currency of the amount now."),
    ),
)
