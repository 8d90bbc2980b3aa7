"""The writes of Brex's API reference, each with what it demands and changes."""

from brex_sync.sandbox.writes.accounting import BOOK_WRITES
from brex_sync.sandbox.writes.budgets import BUDGET_WRITES
from brex_sync.sandbox.writes.card_expenses import EXPENSE_WRITES
from brex_sync.sandbox.writes.cards import CARD_WRITES
from brex_sync.sandbox.writes.receipts import RECEIPT_WRITES
from brex_sync.sandbox.writes.users import PEOPLE_WRITES
from brex_sync.sandbox.writes.vendors import VENDOR_WRITES
from brex_sync.sandbox.writes.webhooks import WEBHOOK_WRITES

WRITES = (
    *PEOPLE_WRITES,
    *CARD_WRITES,
    *VENDOR_WRITES,
    *EXPENSE_WRITES,
    *RECEIPT_WRITES,
    *BUDGET_WRITES,
    *BOOK_WRITES,
    *WEBHOOK_WRITES,
)
