"""How many requests all processes of a connection may make together."""

import sqlalchemy as sa

from brex_sync.brex.budget import HOLD, Budget
from brex_sync.brex.client import Patience
from brex_sync.brex.rate_limit import PERIOD, RateLimiter
from brex_sync.brex.retry_after import LONGEST
from brex_sync.connections.declared import Connection
from brex_sync.warehouse.state.request_loans import RequestLedger


def limiter(connection: Connection, engine: sa.Engine, *, for_syncs: bool = True) -> RateLimiter:
    """A connection's rate limit, shared with all other processes through the warehouse.

    Requests that are not `for_syncs` get a small share while a sync asks for permits.
    """
    lost_after = HOLD + Patience().deadline + PERIOD
    most = connection.requests_per_minute
    ledger = RequestLedger(
        *(engine, connection.name, most, PERIOD, lost_after),
        for_syncs=for_syncs,
        longest_pause=LONGEST,
    )
    return RateLimiter(most, budget=Budget(ledger))
