"""Where requests run short syncs go first, and nobody else starves."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.brex import budget
from brex_sync.brex.budget import Budget
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.state.request_loans import (
    RequestLedger,
    StoredPermits,
    _room_for_others,
    _room_for_syncs,
)

LIMIT = 100
PERIOD = 60.0
HAMMERED = 40, 2.0
"""Limit and period where requests really are made: few enough for any machine."""


def ledger(
    engine: sa.Engine, *, for_syncs: bool, limit: int = LIMIT, period: float = PERIOD
) -> RequestLedger:
    return RequestLedger(engine, "brex", limit, period, 2 * PERIOD, for_syncs=for_syncs)


def borrow_all(books: RequestLedger) -> int:
    """Borrows until there is nothing more to be had; how much there was."""
    borrowed = 0
    while isinstance(lent := books.borrow(), StoredPermits):
        borrowed += lent.requests
    return borrowed


def hammer(url: str, seconds: float, times: list[float], *, for_syncs: bool) -> None:
    """Makes as many requests as it may, twenty side by side, as a process of its own would."""

    async def ask(limiter: RateLimiter, end: float) -> None:
        while time.monotonic() < end:
            async with limiter.slot():
                times.append(time.monotonic())
                await asyncio.sleep(0.005)

    async def main() -> None:
        limit, period = HAMMERED
        books = ledger(engine, for_syncs=for_syncs, limit=limit, period=period)
        limiter = RateLimiter(limit, period, budget=Budget(books))
        end = time.monotonic() + seconds
        await asyncio.gather(*(ask(limiter, end) for _ in range(20)))
        await limiter.close()

    engine = open_engine(url)
    asyncio.run(main())
    engine.dispose()


def in_three_periods(url: str, *, beside: bool) -> tuple[int, int]:
    """The requests of a sync that wants all it can get, and of one who hammers beside it.

    Counted from the middle of the first period on, since requests come in bursts.
    """
    period = HAMMERED[1]
    made: dict[bool, list[float]] = {True: [], False: []}
    threads = [
        threading.Thread(
            target=hammer, args=(url, 3.7 * period, made[syncs]), kwargs={"for_syncs": syncs}
        )
        for syncs in ([True, False] if beside else [True])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begin = min(made[True]) + period / 2
    syncs, others = (
        sum(begin <= at < begin + 3 * period for at in made[which]) for which in (True, False)
    )
    return syncs, others


def test_a_sync_that_needs_the_whole_limit_loses_less_than_a_tenth_to_one_who_hammers(
    new_database: Callable[[], str],
) -> None:
    alone, _ = in_three_periods(new_database(), beside=False)
    syncs, others = in_three_periods(new_database(), beside=True)
    limit, _ = HAMMERED
    assert 2.8 * limit <= alone <= 3 * limit
    assert syncs > 0.9 * alone
    assert 4 <= others <= 8, "a twentieth of the limit"


def test_a_sync_can_begin_at_once_whatever_others_asked_before(engine: sa.Engine) -> None:
    assert borrow_all(ledger(engine, for_syncs=False)) == 80
    assert borrow_all(ledger(engine, for_syncs=True)) == 20


def test_others_have_a_trickle_while_a_sync_wants_everything(engine: sa.Engine) -> None:
    syncs, others = (ledger(engine, for_syncs=which) for which in (True, False))
    assert borrow_all(syncs) == 100
    assert isinstance(others.borrow(), float)
    with engine.begin() as db:
        db.execute(sa.text("UPDATE brex_sync.request_loans SET free_at = now()"))
    assert borrow_all(syncs) == 95
    assert borrow_all(others) == 5
    assert isinstance(syncs.borrow(), float)


def test_once_no_sync_wants_to_borrow_others_have_most_of_it(engine: sa.Engine) -> None:
    syncs, others = (ledger(engine, for_syncs=which) for which in (True, False))
    loan = syncs.borrow()
    assert isinstance(loan, StoredPermits)
    syncs.repay(loan, used=0)
    assert borrow_all(others) == 5
    with engine.begin() as db:
        ago = f"syncs_asked_at - interval '{PERIOD / 6} s'"
        db.execute(sa.text(f"UPDATE brex_sync.request_limits SET syncs_asked_at = {ago}"))
    assert borrow_all(others) == 75


@given(
    st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 1000), st.booleans(), st.booleans()
)
def test_no_one_is_lent_more_than_the_limit_leaves(
    limit: int, to_syncs: int, to_others: int, contended: bool, for_syncs: bool
) -> None:
    room = _room_for_syncs if for_syncs else _room_for_others
    assert room(limit, to_syncs, to_others, contended) <= limit - to_syncs - to_others
    assert room(limit, 0, 0, contended) >= 1, "whatever the limit is, it can be used"


def test_who_makes_no_requests_holds_none(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "HOLD", 0.2)

    def held() -> list[tuple[int, bool]]:
        with engine.connect() as db:
            found = db.execute(
                sa.text(
                    "SELECT requests, free_at < now() + interval '10 s' FROM "
                    "brex_sync.request_loans"
                )
            )
            return [tuple(row) for row in found]

    async def main() -> None:
        books = replace(ledger(engine, for_syncs=False), period=5.0)
        limiter = RateLimiter(LIMIT, budget=Budget(books))
        async with limiter.slot():
            await asyncio.sleep(0.4)
            assert held() == [(25, False)], "a request is under way"
        await asyncio.sleep(0.3)
        assert held() == [(1, True)], "the one that was made counts until Brex has forgotten it"
        async with limiter.slot():
            pass
        await asyncio.sleep(0.5)
        assert held() == [(1, True), (1, True)]

    asyncio.run(main())


def test_a_loan_that_comes_too_late_is_given_back(engine: sa.Engine) -> None:
    async def main() -> None:
        limiter = RateLimiter(LIMIT, budget=Budget(ledger(engine, for_syncs=False)))
        with engine.connect() as held:
            held.execute(sa.text("LOCK brex_sync.request_limits IN EXCLUSIVE MODE"))
            waiting = asyncio.create_task(limiter.slot().__aenter__())
            await asyncio.sleep(0.3)
            waiting.cancel()
            held.rollback()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await limiter.close()

    asyncio.run(main())
    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM brex_sync.request_loans")) == 0
