"""A home that an earlier version made in HOME itself: found, named, and moved by the command."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from brex_sync.connections.vault import make_key
from brex_sync.embedded import EmbeddedPostgres
from brex_sync.errors import SettingsError
from brex_sync.settings import load_settings
from brex_sync_tests.embedded.conftest import open_folder, put_away, query

pytestmark = pytest.mark.usefixtures("clean_environment", "shared")


@pytest.fixture(params=[0o755, 0o700], ids=["open", "closed"])
def person(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A HOME with a person's own things; as root, one that Postgres may not enter has a link."""
    folder = open_folder()
    anna = folder / "an na"
    anna.mkdir(mode=request.param)
    for own in ("dagster/mine.py", "notes.txt", "logs/mine.log"):
        (anna / own).parent.mkdir(exist_ok=True)
        (anna / own).write_text("mine")
    monkeypatch.setenv("HOME", str(anna))
    monkeypatch.delenv("BREX_SYNC_HOME")
    yield anna
    put_away(anna)
    put_away(anna / ".brex-sync")
    shutil.rmtree(folder)


def refusal() -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


def test_a_home_in_the_wrong_place_is_named_and_its_command_moves_it(person: Path) -> None:
    with EmbeddedPostgres(person) as server:
        query(server, "create table kept as select 1 as one")
    make_key(person)
    key = (person / "encryption.key").read_text()
    told = refusal()
    assert f"{person} itself" in told
    assert f"BREX_SYNC_HOME={shlex.quote(str(person))}" in told
    subprocess.run(["/bin/sh", "-ec", told.split("`")[1]], check=True)
    home = load_settings().home
    assert home == person / ".brex-sync"
    assert (home / "encryption.key").read_text() == key
    with EmbeddedPostgres(home) as server:
        assert query(server, "select one from kept") == [(1,)]
    assert {path.name for path in person.iterdir()} == {
        *("dagster", "logs", "notes.txt", ".brex-sync")
    }


def test_a_move_that_was_broken_off_is_named_with_what_is_left(person: Path) -> None:
    make_key(person)
    (person / "service-token").write_text("bst_x")
    (person / ".brex-sync").mkdir()
    shutil.move(person / "service-token", person / ".brex-sync")
    command = refusal().split("`")[1]
    assert "encryption.key" in command
    assert "service-token" not in command


def test_a_home_that_is_meant_is_left_alone(person: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key(person)
    assert refusal()
    monkeypatch.setenv("BREX_SYNC_HOME", str(person))
    assert load_settings().home == person
    monkeypatch.delenv("BREX_SYNC_HOME")
    load_settings.cache_clear()
    make_key(person / ".brex-sync")
    assert load_settings().home == person / ".brex-sync"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("encryption.key", "a key of theirs"),
        ("pgpass", "db.theirs:5432:*:anna:x"),
        ("postgres", ""),
    ],
)
def test_what_a_person_has_under_such_a_name_is_no_home(
    person: Path, name: str, content: str
) -> None:
    (person / name).write_text(content)
    assert load_settings().home == person / ".brex-sync"
    os.unlink(person / name)
