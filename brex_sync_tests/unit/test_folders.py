"""Folders are their owner's alone, under any umask, and not taken from others."""

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brex_sync.errors import FolderError
from brex_sync.folders import PASSABLE, PRIVATE, make_home, make_private

HOME_MODE = PASSABLE if os.geteuid() == 0 else PRIVATE


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_what_is_made_is_private_under_any_umask(tmp_path: Path) -> None:
    home = tmp_path / "far" / "home"
    make_home(home)
    make_private(home / "logs")
    make_home(home)
    assert (mode(home.parent), mode(home)) == (HOME_MODE, HOME_MODE)
    assert mode(home / "logs") == PRIVATE


def test_a_folder_of_an_earlier_version_is_closed_and_a_persons_home_left_alone(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    logs = tmp_path / "logs"
    logs.mkdir(0o755)
    make_home(tmp_path)
    make_private(logs)
    assert (mode(tmp_path), mode(logs)) == (0o755, PRIVATE)


@pytest.mark.parametrize("bits", [0o777, 0o1777, 0o733])
def test_a_home_that_everybody_may_write_to_is_refused(tmp_path: Path, bits: int) -> None:
    tmp_path.chmod(bits)
    with pytest.raises(FolderError, match="every user of this machine may write to it"):
        make_home(tmp_path)


def test_a_link_leads_to_the_folder_that_counts(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(0o700)
    (tmp_path / "home").symlink_to(there)
    make_home(tmp_path / "home")
    there.chmod(0o777)
    with pytest.raises(FolderError):
        make_home(tmp_path / "home")


@pytest.mark.parametrize("make", [make_home, make_private])
def test_what_is_no_folder_is_told_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "far")
    for path in (tmp_path / "file", tmp_path / "file" / "home", tmp_path / "nowhere"):
        with pytest.raises(FolderError, match=f"cannot use {path} .*: set BREX_SYNC_HOME to"):
            make(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder another's")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    for folder in tmp_path.parents:
        if folder.stat().st_uid == 0 and mode(folder) == 0o700:
            folder.chmod(0o711)
    tmp_path.chmod(0o755)
    os.chown(tmp_path, nobody.pw_uid + 1 & 0xFFFF, -1)
    child = os.fork()
    if child == 0:
        os.setuid(nobody.pw_uid)
        try:
            make_home(tmp_path)
        except FolderError as refused:
            os._exit("it belongs to another user" in str(refused))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
