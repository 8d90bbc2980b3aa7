"""The catalogue: every Brex list that is synced, and every view made from them."""

from brex_sync.streams.accounts import CARD_ACCOUNTS, CASH_ACCOUNTS
from brex_sync.streams.declare import Stream, View
from brex_sync.streams.team import CARDS, USERS
from brex_sync.streams.transactions import CARD_TRANSACTIONS, CASH_TRANSACTIONS
from brex_sync.streams.views import ACCOUNTS, LATE_CHANGES, TRANSACTIONS

STREAMS: dict[str, Stream] = {
    stream.name: stream
    for stream in (
        USERS,
        CARDS,
        CARD_ACCOUNTS,
        CASH_ACCOUNTS,
        CARD_TRANSACTIONS,
        CASH_TRANSACTIONS,
    )
}

VIEWS: dict[str, View] = {view.name: view for view in (ACCOUNTS, TRANSACTIONS, LATE_CHANGES)}

__all__ = ["STREAMS", "VIEWS", "Stream", "View"]
