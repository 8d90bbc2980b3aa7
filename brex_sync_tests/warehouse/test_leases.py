"""A lease is held while its process lives, whatever happens to sessions, and never by two."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.errors import LeaseLost
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Terms
from brex_sync_tests.conftest import end_leases

QUICK = Terms(length=60, beat=0.05)
SLOW = Terms(length=60, beat=60)


def wait_until(true: Callable[[], Any]) -> None:
    """Waits for what must come; the test's own time limit is for what never does."""
    while not true():
        time.sleep(0.01)


def is_alive(engine: sa.Engine) -> bool:
    with engine.connect() as db:
        return leases.is_alive(db, "thing", "one")


def ends_at(engine: sa.Engine) -> Any:
    with engine.connect() as db:
        return db.scalar(sa.text("SELECT ends_at FROM brex_sync.leases"))


def lapse(engine: sa.Engine) -> bool:
    with engine.begin() as db:
        return leases.lapse(db, "thing", "one")


def test_an_exclusive_lease_is_held_by_one_until_it_is_released(engine: sa.Engine) -> None:
    with leases.held(engine, "thing", "one") as first:
        assert first is not None
        assert is_alive(engine)
        with leases.held(engine, "thing", "one") as second:
            assert second is None
        with leases.held(engine, "thing", "other") as other:
            assert other is not None
        assert is_alive(engine)
    assert not is_alive(engine)
    with leases.held(engine, "thing", "one") as later:
        assert later is not None


def test_of_many_who_take_one_at_once_one_gets_it(engine: sa.Engine) -> None:
    got: list[bool] = []
    start, done = threading.Barrier(6), threading.Barrier(6)

    def take() -> None:
        start.wait()
        with leases.held(engine, "thing", "one") as lease:
            got.append(lease is not None)
            done.wait()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]


def test_the_lease_of_a_dead_process_is_taken_once_it_has_ended(engine: sa.Engine) -> None:
    with leases.held(engine, "thing", "one", SLOW) as dead:
        assert dead is not None
        end_leases(engine)
        assert not is_alive(engine)
        with leases.held(engine, "thing", "one", SLOW) as taker:
            assert taker is not None
            with pytest.raises(LeaseLost, match="thing one was lost to another process"):
                dead.confirm()
            taker.confirm()
            assert dead.lost
            assert not taker.lost


def test_a_late_holder_does_not_release_what_another_took(engine: sa.Engine) -> None:
    taker = leases.held(engine, "thing", "one", SLOW)
    with leases.held(engine, "thing", "one", SLOW):
        end_leases(engine)
        assert taker.__enter__() is not None
    assert is_alive(engine)
    taker.__exit__(None, None, None)
    assert not is_alive(engine)


def test_heartbeats_postpone_the_end_and_one_that_finds_it_taken_tells_so(
    engine: sa.Engine,
) -> None:
    lost = threading.Event()
    with leases.shared(engine, "thing", "one", QUICK) as lease:
        lease.when_lost(lost.set)
        before = ends_at(engine)
        wait_until(lambda: ends_at(engine) > before)
        with engine.begin() as db:
            db.exec_driver_sql("DELETE FROM brex_sync.leases")
        wait_until(lost.is_set)
        assert ends_at(engine) is None
        told = threading.Event()
        lease.when_lost(told.set)
        assert told.is_set()


def test_a_holder_that_was_suspended_goes_on_if_nobody_acted_on_its_end(engine: sa.Engine) -> None:
    with leases.held(engine, "thing", "one", SLOW) as lease:
        assert lease is not None
        end_leases(engine)
        lease.confirm()
        assert is_alive(engine)
        assert not lapse(engine)
        end_leases(engine)
        assert lapse(engine)
        with pytest.raises(LeaseLost):
            lease.confirm()


def test_several_hold_a_shared_lease_and_it_lasts_as_long_as_any(engine: sa.Engine) -> None:
    with leases.shared(engine, "thing", "one", SLOW) as first:
        end_leases(engine)
        with leases.shared(engine, "thing", "one", SLOW) as second:
            assert is_alive(engine)
            assert not lapse(engine)
            second.confirm()
            with pytest.raises(LeaseLost):
                first.confirm()
        assert lapse(engine)


def test_a_heartbeat_survives_its_sessions_and_needs_none_of_the_holders(
    engine: sa.Engine,
) -> None:
    with leases.shared(engine, "thing", "one", QUICK) as lease:
        for _ in range(3):
            with engine.begin() as db:
                db.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                    "datname = current_database() AND pid <> pg_backend_pid()"
                )
                before = db.scalar(sa.text("SELECT ends_at FROM brex_sync.leases"))
            wait_until(lambda before=before: ends_at(engine) > before)
        taken = [engine.connect() for _ in range(7)]
        before = ends_at(engine)
        wait_until(lambda: ends_at(engine) > before)
        for connection in taken:
            connection.close()
        assert not lease.lost


def test_a_lease_holds_no_session_and_no_lock(engine: sa.Engine) -> None:
    with leases.held(engine, "thing", "one", SLOW), engine.connect() as db:
        locks = db.scalar(
            sa.text(
                "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    assert locks == 0


def test_known_tells_which_names_have_a_living_holder(engine: sa.Engine) -> None:
    with leases.shared(engine, "thing", "dead", SLOW):
        end_leases(engine)
        with (
            leases.shared(engine, "thing", "one", SLOW),
            leases.held(engine, "other", "x"),
            engine.connect() as db,
        ):
            assert leases.known(db, "thing") == {"dead": False, "one": True}
