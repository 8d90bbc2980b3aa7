"""Root, whom Postgres refuses: a lesser user does the work, and no folder of others changes."""

import shutil
import stat
from pathlib import Path

import psutil
import pytest

from brex_sync.embedded import EmbeddedPostgres, binaries

from .conftest import as_root, is_alive, put_away, query, server_pid

pytestmark = as_root


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_server_does_not_run_as_root(home: Path) -> None:
    with EmbeddedPostgres(home):
        assert psutil.Process(server_pid(home)).uids().real != 0
    assert mode(home) == 0o711
    assert mode(home / "postgres") == 0o700
    assert mode(home / "logs") == 0o700


def leave_unfinished(home: Path, data: Path) -> None:
    """What a start leaves that was killed while it made its data elsewhere."""
    home.mkdir()
    data.mkdir(parents=True)
    data.parent.chmod(0o755)
    (home / "postgres.new-1234").symlink_to(data)


def test_a_home_in_a_closed_folder_keeps_its_data_elsewhere(
    closed_folder: Path, shared: Path
) -> None:
    home = closed_folder / "home"
    leave_unfinished(home, shared / "killed")
    try:
        with EmbeddedPostgres(home) as server:
            query(server, "create table kept as select 1 as one")
        assert (home / "postgres").readlink().parent == shared
        assert mode(closed_folder) == 0o700
        with EmbeddedPostgres(home) as server:
            assert query(server, "select one from kept") == [(1,)]
            pid = server_pid(home)
        assert not is_alive(pid)
        assert list(shared.iterdir()) == [(home / "postgres").resolve()]
        assert not list(home.glob("postgres.new-*"))
    finally:
        put_away(home)


def test_programs_in_a_closed_folder_are_copied_once(
    home: Path, closed_folder: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries._wheel()
    assert wheel
    libraries = wheel.with_name(f"{wheel.name}.libs")
    for part in (wheel, libraries):
        if part.exists():
            shutil.copytree(part, closed_folder / part.name, ignore=binaries.NOT_NEEDED)
    monkeypatch.setattr(binaries, "_wheel", lambda: closed_folder / wheel.name)
    (shared / "pg-killed.partial").mkdir(parents=True)
    shared.chmod(0o755)
    for _ in range(2):
        with EmbeddedPostgres(home) as server:
            assert query(server, "select 1") == [(1,)]
            assert server.bundled_psql.is_relative_to(shared)
    copies = [path.name for path in shared.iterdir() if path.name.startswith("pg-")]
    assert len([name for name in copies if not name.endswith(".partial")]) == 1
    assert mode(closed_folder) == 0o700
