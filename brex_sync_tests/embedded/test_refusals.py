"""Where there can be no server: one line that says why and what to do."""

import errno
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest

from brex_sync.embedded import EmbeddedPostgres, binaries
from brex_sync.embedded.system_errors import explained
from brex_sync.errors import EmbeddedPostgresError

from .conftest import as_root

START_AS = """
import os, sys
from pathlib import Path
from brex_sync.embedded import EmbeddedPostgres, EmbeddedPostgresError
import pwd
user = int(sys.argv[1])
if user != os.geteuid():
    os.setgroups([]); os.setgid(user); os.setuid(user)
try:
    EmbeddedPostgres(Path(sys.argv[2])).start()
except EmbeddedPostgresError as refused:
    print(refused)
"""


def refusal(home: Path, user: int) -> str:
    """What somebody is told who starts in `home` as `user`."""
    done = subprocess.run(
        [sys.executable, "-c", START_AS, str(user), str(home)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("\n") == 1, done.stderr
    return done.stdout


def unprivileged() -> int:
    return os.geteuid() or pwd.getpwnam("nobody").pw_uid


def test_a_home_that_cannot_be_made(fresh_home: Path) -> None:
    fresh_home.parent.chmod(0o555)
    told = refusal(fresh_home, unprivileged())
    assert f"cannot use {fresh_home} (Permission denied)" in told
    assert "BREX_SYNC_DATABASE_URL" in told


def test_a_home_that_cannot_be_written_to(fresh_home: Path) -> None:
    fresh_home.mkdir(mode=0o555)
    told = refusal(fresh_home, unprivileged())
    assert "Permission denied" in told
    assert f"make {fresh_home} a folder you can write to" in told


def test_a_home_that_is_a_file(fresh_home: Path) -> None:
    fresh_home.touch()
    with pytest.raises(EmbeddedPostgresError, match=f"cannot use {fresh_home}"):
        EmbeddedPostgres(fresh_home).start()
    fresh_home.unlink()


def test_a_user_without_a_name(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(_: int) -> Never:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    with pytest.raises(EmbeddedPostgresError, match=r"/etc/passwd has none: add an entry"):
        EmbeddedPostgres(fresh_home).start()


@as_root
def test_root_where_there_is_nobody_else(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> Never:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    with pytest.raises(EmbeddedPostgresError, match=r"no user 'postgres' or 'nobody'.*useradd"):
        EmbeddedPostgres(fresh_home).start()


def test_no_programs(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        EmbeddedPostgresError, match=r"no PostgreSQL programs in .*BREX_SYNC_PG_BIN"
    ):
        EmbeddedPostgres(fresh_home, bin_dir=Path("/nowhere")).start()
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match="BREX_SYNC_DATABASE_URL"):
        EmbeddedPostgres(fresh_home).start()


def test_programs_of_another_platform(fresh_home: Path) -> None:
    programs = fresh_home.parent / "bin"
    programs.mkdir()
    (programs / "initdb").write_bytes(b"MZ\x00\x00")
    (programs / "initdb").chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match=r"do not run here.*BREX_SYNC_PG_BIN"):
        EmbeddedPostgres(fresh_home, bin_dir=programs).start()


def test_an_initdb_that_fails(fresh_home: Path) -> None:
    programs = fresh_home.parent / "bin"
    programs.mkdir()
    (programs / "initdb").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "initdb (PostgreSQL) 18.4" && exit\n'
        'echo "initdb: error: No space left on device"; exit 1\n'
    )
    (programs / "initdb").chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match="the disk is full"):
        EmbeddedPostgres(fresh_home, bin_dir=programs).start()


def test_a_full_disk() -> None:
    full = pytest.raises(EmbeddedPostgresError, match="the disk of /there is full")
    with full, explained(Path("/home")):
        raise OSError(errno.ENOSPC, "No space left on device", "/there")
