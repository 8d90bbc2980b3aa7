"""Processes that share a ledger keep the limit together, and none starves."""

import asyncio
import threading
import time

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.brex.budget import HOLD, Budget
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.state.request_loans import RequestLedger, StoredPermits
from brex_sync_tests.waiting import HANGS, wait_until

PERIOD = 0.6


def ledger(
    engine: sa.Engine, limit: int = 10, lost_after: float = 5, size: int = 3
) -> RequestLedger:
    return RequestLedger(engine, "brex", limit, PERIOD, lost_after, size)


def requests_of(engine: sa.Engine, many: int, times: list[float], seconds: float = 0.0) -> None:
    """Makes requests as a process of its own would, and notes when they reach Brex."""

    async def one(limiter: RateLimiter) -> None:
        async with limiter.slot():
            times.append(time.monotonic())
            await asyncio.sleep(seconds)

    async def main() -> None:
        limiter = RateLimiter(1000, budget=Budget(ledger(engine)))
        await asyncio.gather(*(one(limiter) for _ in range(many)))
        await limiter.close()

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [0.0, 0.15])
def test_processes_together_never_exceed_the_limit(database_url: str, seconds: float) -> None:
    engines = [open_engine(database_url) for _ in range(3)]
    times: list[list[float]] = [[], [], []]
    threads = [
        threading.Thread(target=requests_of, args=(engine, 14, times[i], seconds))
        for i, engine in enumerate(engines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert [len(made) for made in times] == [14, 14, 14]
    reached = sorted(at for made in times for at in made)
    for i, at in enumerate(reached[10:]):
        assert at - reached[i] >= PERIOD - 0.01


def test_a_process_that_follows_another_counts_its_requests(engine: sa.Engine) -> None:
    times: list[float] = []
    requests_of(engine, 10, times)
    requests_of(engine, 1, times)
    assert times[-1] - times[0] >= PERIOD - 0.01


def test_what_was_not_used_is_given_back_at_once(engine: sa.Engine) -> None:
    books = ledger(engine, limit=3)
    loan = books.borrow()
    assert isinstance(loan, StoredPermits)
    wait = books.borrow()
    assert isinstance(wait, float)
    books.repay(loan, used=1)
    again = books.borrow()
    assert isinstance(again, StoredPermits)
    assert again.requests == 2
    books.repay(again, used=0)
    assert isinstance(books.borrow(), StoredPermits)


def test_what_a_dead_process_had_borrowed_is_free_again_in_time(engine: sa.Engine) -> None:
    books = ledger(engine, limit=3, lost_after=0.2)
    assert isinstance(books.borrow(), StoredPermits)
    assert isinstance(books.borrow(), float)
    time.sleep(0.2)
    assert isinstance(books.borrow(), StoredPermits)


def test_a_pause_holds_every_process_back_and_a_shorter_one_does_not_end_it(
    engine: sa.Engine,
) -> None:
    books = ledger(engine)
    books.pause(30)
    books.pause(1)
    wait = ledger(engine).borrow()
    assert isinstance(wait, float)
    assert 28 < wait <= 30


def test_connections_do_not_count_for_each_other(engine: sa.Engine) -> None:
    assert isinstance(ledger(engine, limit=3).borrow(), StoredPermits)
    other = RequestLedger(engine, "brex_uk", 3, PERIOD, 5)
    assert isinstance(other.borrow(), StoredPermits)


def test_a_loan_that_cannot_be_repaid_is_told_of_in_one_line(
    engine: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    loan = ledger(engine).borrow()
    assert isinstance(loan, StoredPermits)
    nowhere = open_engine("postgresql://nobody@127.0.0.1:1/nothing")
    ledger(nowhere).repay(loan, used=1)
    (record,) = caplog.records
    assert "count for 5 s" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT requests FROM brex_sync.request_loans")) == 3


def test_a_connection_lost_while_borrowing_costs_nothing(database_url: str) -> None:
    engine = open_engine(database_url)
    assert isinstance(ledger(engine).borrow(), StoredPermits)
    other = open_engine(database_url)
    with engine.connect() as held, psycopg.connect(database_url, autocommit=True) as db:
        limits = "SELECT FROM brex_sync.request_limits FOR UPDATE"
        held.execute(sa.text(limits))
        borrowing = threading.Thread(target=ledger(other).borrow)
        borrowing.start()
        waiting = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: db.execute(waiting).fetchall())
        held.rollback()
        borrowing.join(timeout=HANGS)
    with engine.connect() as db:
        assert db.scalar(sa.text("SELECT count(*) FROM brex_sync.request_loans")) == 2
    engine.dispose()
    other.dispose()


def test_a_pause_that_one_process_met_holds_another_that_has_a_loan_in_hand(
    engine: sa.Engine,
) -> None:
    async def main() -> bool:
        other, mine = Budget(ledger(engine)), Budget(ledger(engine))
        mine.answered(await mine.take())
        await other.pause(60)
        await asyncio.sleep(HOLD + 0.1)
        try:
            await asyncio.wait_for(mine.take(), 0.3)
        except TimeoutError:
            return True
        return False

    assert asyncio.run(main())


def test_no_pause_lasts_longer_than_two_minutes_whoever_stored_it(engine: sa.Engine) -> None:
    lender = ledger(engine)
    for _ in range(3):
        assert isinstance(lender.borrow(), StoredPermits), "nothing is paused that nobody paused"
    lender.pause(1795834000)
    assert 100 < float(lender.borrow()) <= 120  # type: ignore[arg-type]
    stored = sa.text("UPDATE brex_sync.request_limits SET paused_until = now() + interval '9 days'")
    left = sa.text("SELECT extract(epoch FROM paused_until - now()) FROM brex_sync.request_limits")
    with engine.begin() as db:
        db.execute(stored)
    assert 100 < float(lender.borrow()) <= 120  # type: ignore[arg-type]
    with engine.connect() as db:
        assert float(db.scalar(left) or 0) <= 120, "it counts down from here"
