"""Several processes on one home: one server, which the last one stops."""

import os
import signal
from pathlib import Path

from brex_sync.embedded import EmbeddedPostgres
from brex_sync_tests.waiting import HANGS

from .conftest import Owner, is_alive, query, server_pid


def test_two_that_start_at_once_share_one_server_and_the_last_stops_it(fresh_home: Path) -> None:
    owners = [Owner(fresh_home), Owner(fresh_home)]
    assert owners[0].port() == owners[1].port()
    pid = server_pid(fresh_home)
    owners[0].leave()
    assert is_alive(pid)
    owners[1].leave()
    assert not is_alive(pid)


def test_the_starter_may_leave_first(home: Path) -> None:
    starter = Owner(home)
    starter.port()
    with EmbeddedPostgres(home) as server:
        starter.leave()
        assert query(server, "select 1") == [(1,)]
        pid = server_pid(home)
    assert not is_alive(pid)


def test_a_killed_owner_leaves_a_server_that_is_adopted_and_then_stopped(home: Path) -> None:
    owner = Owner(home)
    port = owner.port()
    pid = server_pid(home)
    owner.kill()
    assert is_alive(pid)
    with EmbeddedPostgres(home) as server:
        assert (server.port, server_pid(home)) == (port, pid)
        assert query(server, "select 1") == [(1,)]
    assert not is_alive(pid)


def test_a_killed_owner_does_not_keep_the_server_of_others_up(home: Path) -> None:
    killed = Owner(home)
    killed.port()
    with EmbeddedPostgres(home):
        pid = server_pid(home)
        killed.kill()
        assert is_alive(pid)
    assert not is_alive(pid)


def test_two_users_in_one_process_count_twice(home: Path) -> None:
    one, other = EmbeddedPostgres(home), EmbeddedPostgres(home)
    one.start()
    other.start()
    pid = server_pid(home)
    one.stop()
    one.stop()
    assert is_alive(pid)
    other.stop()
    assert not is_alive(pid)


def test_the_server_is_out_of_reach_of_the_terminals_signals(home: Path) -> None:
    with EmbeddedPostgres(home):
        assert os.getsid(server_pid(home)) != os.getsid(0)


def test_ctrl_c_stops_the_server_in_an_orderly_way(home: Path) -> None:
    owner = Owner(home)
    owner.port()
    pid = server_pid(home)
    owner.process.send_signal(signal.SIGINT)
    owner.process.communicate(timeout=HANGS)
    assert not is_alive(pid)
    assert "database system is shut down" in (home / "logs" / "postgres.log").read_text()
