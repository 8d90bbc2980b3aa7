"""What a crash, a reboot or a stranger leaves behind."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from brex_sync.embedded import EmbeddedPostgres
from brex_sync.embedded.postmaster import find_postmaster
from brex_sync.errors import EmbeddedPostgresError

from .conftest import Owner, is_alive, query, server_pid


def pid_file(home: Path, pid: int) -> None:
    """A pid file like one that survived a reboot, whose pid is now `pid`'s."""
    file = home / "postgres" / "postmaster.pid"
    data = (home / "postgres").resolve()
    file.write_text(f"{pid}\n{data}\n1700000000\n54329\n\n127.0.0.1\n  1 2\nready   \n")


def test_a_killed_server_recovers_at_the_next_start(home: Path) -> None:
    user = EmbeddedPostgres(home)
    query(user.start(), "create table survived as select 1 as one")
    killed = server_pid(home)
    os.kill(killed, signal.SIGKILL)
    with EmbeddedPostgres(home) as server:
        assert query(server, "select one from survived") == [(1,)]
        user.stop()
        assert is_alive(server_pid(home))


def test_stopping_a_server_that_was_killed_is_no_error(home: Path) -> None:
    with EmbeddedPostgres(home):
        pid = server_pid(home)
        os.kill(pid, signal.SIGKILL)
        while is_alive(pid):
            time.sleep(0.01)


@pytest.mark.parametrize("name", ["python", "postgres"])
def test_a_pid_that_is_now_another_programs_is_no_server(home: Path, name: str) -> None:
    stranger = subprocess.Popen([name, "60"], executable="/bin/sleep")
    try:
        pid_file(home, stranger.pid)
        with EmbeddedPostgres(home) as server:
            assert query(server, "select 1") == [(1,)]
            assert server_pid(home) != stranger.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_pid_that_is_now_nobodys_is_no_server(home: Path) -> None:
    pid_file(home, 2**22 - 1)
    with EmbeddedPostgres(home) as server:
        assert query(server, "select 1") == [(1,)]


def test_a_start_killed_in_initdb_is_made_afresh(fresh_home: Path) -> None:
    owner = Owner(fresh_home)
    while not list(fresh_home.glob("postgres.new-*/base")):
        time.sleep(0.005)
    owner.kill()
    assert not (fresh_home / "postgres").exists()
    for _ in range(2):
        with EmbeddedPostgres(fresh_home) as server:
            assert query(server, "select 1") == [(1,)]
    names = {path.name for path in fresh_home.iterdir()}
    assert names == {"logs", "pgpass", "postgres", "postgres.lock", "postgres.users"}


def test_a_start_killed_before_the_server_is_up_is_taken_over(home: Path) -> None:
    owner = Owner(home)
    while not (home / "postgres" / "postmaster.pid").exists():
        time.sleep(0.001)
    owner.kill()
    with EmbeddedPostgres(home) as server:
        assert query(server, "select 1") == [(1,)]
        pid = server_pid(home)
    assert not is_alive(pid)


def test_data_of_another_major_version_is_left_alone(fresh_home: Path) -> None:
    (fresh_home / "postgres").mkdir(parents=True)
    (fresh_home / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17.*BREX_SYNC_PG_BIN"):
        EmbeddedPostgres(fresh_home).start()


def test_a_folder_that_is_no_database_is_left_alone(fresh_home: Path) -> None:
    (fresh_home / "postgres").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match="holds no Postgres data"):
        EmbeddedPostgres(fresh_home).start()


def test_a_link_to_lost_data_is_said_and_not_replaced(fresh_home: Path) -> None:
    fresh_home.mkdir()
    (fresh_home / "postgres").symlink_to(fresh_home / "gone")
    with pytest.raises(EmbeddedPostgresError, match="which is gone"):
        EmbeddedPostgres(fresh_home).start()


def test_a_lost_or_damaged_passfile_is_said(home: Path) -> None:
    (home / "pgpass").write_text("nonsense")
    with pytest.raises(EmbeddedPostgresError, match="is damaged"):
        EmbeddedPostgres(home).start()
    (home / "pgpass").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"pgpass.* is gone"):
        EmbeddedPostgres(home).start()


def test_a_failed_start_shows_the_servers_own_words_and_leaves_nothing(home: Path) -> None:
    settings = home / "postgres" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("shared_buffers = '900 TB'\n")
    with pytest.raises(EmbeddedPostgresError, match=r"did not start: .+; see .*postgres\.log"):
        EmbeddedPostgres(home).start()
    settings.write_text(before)
    assert find_postmaster((home / "postgres").resolve()) is None


def test_a_wrong_passfile_is_an_error_without_the_password(home: Path) -> None:
    (home / "pgpass").write_text("127.0.0.1:54329:*:brex:hunter2\n")
    with pytest.raises(EmbeddedPostgresError, match="refuses to work") as refused:
        EmbeddedPostgres(home).start()
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
