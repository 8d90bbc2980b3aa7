"""The catalogue: every Brex list that is synced, what events tell, and every view of both."""

from brex_sync.streams.accounting import ACCOUNTING_RECORDS
from brex_sync.streams.accounts import (
    CARD_ACCOUNTS,
    CARD_STATEMENTS,
    CASH_ACCOUNTS,
    CASH_STATEMENTS,
)
from brex_sync.streams.budgets import BUDGET_PROGRAMS, BUDGETS, SPEND_LIMITS
from brex_sync.streams.declare import EventTable, Stream, View
from brex_sync.streams.expense_payments import EXPENSE_PAYMENTS
from brex_sync.streams.expenses import EXPENSES
from brex_sync.streams.fields import FIELD_VALUES, FIELDS
from brex_sync.streams.onboarding import REFERRALS
from brex_sync.streams.payments import LINKED_ACCOUNTS, TRANSFERS, VENDORS
from brex_sync.streams.team import (
    CARDS,
    COMPANY,
    COST_CENTERS,
    CURRENT_USER,
    DEPARTMENTS,
    LEGAL_ENTITIES,
    LOCATIONS,
    TITLES,
    USER_LIMITS,
    USERS,
)
from brex_sync.streams.transactions import CARD_TRANSACTIONS, CASH_TRANSACTIONS
from brex_sync.streams.travel import BOOKINGS, TRIPS
from brex_sync.streams.views import ACCOUNTS, LATE_CHANGES, TRANSACTIONS
from brex_sync.streams.webhooks import WEBHOOK_SUBSCRIPTIONS

STREAMS: dict[str, Stream] = {
    stream.name: stream
    for stream in (
        USERS,
        CARDS,
        USER_LIMITS,
        CURRENT_USER,
        COMPANY,
        LEGAL_ENTITIES,
        DEPARTMENTS,
        LOCATIONS,
        TITLES,
        COST_CENTERS,
        CARD_ACCOUNTS,
        CASH_ACCOUNTS,
        CARD_STATEMENTS,
        CASH_STATEMENTS,
        CARD_TRANSACTIONS,
        CASH_TRANSACTIONS,
        EXPENSES,
        BUDGETS,
        SPEND_LIMITS,
        BUDGET_PROGRAMS,
        VENDORS,
        TRANSFERS,
        LINKED_ACCOUNTS,
        FIELDS,
        FIELD_VALUES,
        TRIPS,
        BOOKINGS,
        ACCOUNTING_RECORDS,
        REFERRALS,
        WEBHOOK_SUBSCRIPTIONS,
    )
}

VIEWS: dict[str, View] = {view.name: view for view in (ACCOUNTS, TRANSACTIONS, LATE_CHANGES)}

EVENT_TABLES: dict[str, EventTable] = {table.name: table for table in (EXPENSE_PAYMENTS,)}

__all__ = ["EVENT_TABLES", "STREAMS", "VIEWS", "EventTable", "Stream", "View"]
