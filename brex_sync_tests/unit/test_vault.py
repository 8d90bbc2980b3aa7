"""Secrets at rest: sealed, opened, and refused in words."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from brex_sync.connections import vault
from brex_sync.connections.vault import Vault, make_key, new_key, open_vault
from brex_sync.errors import VaultError

SECRET = {"refresh_token": "rt_very_secret"}


def test_what_was_sealed_is_opened_and_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    make_key(tmp_path)
    sealed = open_vault(tmp_path, None).seal(SECRET)
    assert "very_secret" not in sealed
    assert open_vault(tmp_path, None).open(sealed) == SECRET
    assert vault.key_file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_key_is_made_once(tmp_path: Path) -> None:
    make_key(tmp_path)
    first = vault.key_file(tmp_path).read_text()
    make_key(tmp_path)
    assert vault.key_file(tmp_path).read_text() == first


def test_the_environments_key_comes_before_the_files(tmp_path: Path) -> None:
    key = SecretStr(new_key())
    sealed = open_vault(tmp_path, key).seal(SECRET)
    make_key(tmp_path)
    with pytest.raises(VaultError, match="another key"):
        open_vault(tmp_path, None).open(sealed)
    assert open_vault(tmp_path, key).open(sealed) == SECRET


def test_the_first_key_seals_and_the_others_open() -> None:
    old, new = new_key(), new_key()
    sealed = Vault(lambda: old).seal(SECRET)
    both = Vault(lambda: f"{new}, {old}")
    assert both.open(sealed) == SECRET
    assert Vault(lambda: new).open(both.seal(SECRET)) == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path)
    vault.key_file(tmp_path).chmod(mode)
    with pytest.raises(VaultError, match="chmod 600"):
        open_vault(tmp_path, None).seal(SECRET)


def test_without_a_key_nothing_is_sealed(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="BREX_SYNC_ENCRYPTION_KEY"):
        open_vault(tmp_path, None).seal(SECRET)


@pytest.mark.parametrize("key", ["", "short", "not base64 at all!", "é"])
def test_what_is_no_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(VaultError, match="holds no key") as refused:
        Vault(lambda: key).seal(SECRET)
    assert key == "" or key not in str(refused.value)


def test_a_new_key_counts_at_once_for_those_who_opened_the_vault_before(tmp_path: Path) -> None:
    make_key(tmp_path)
    held = open_vault(tmp_path, None)
    old = held.seal(SECRET)
    vault.put_first(tmp_path, new_key())
    new = held.seal(SECRET)
    vault.keep_first(tmp_path)
    assert held.open(new) == SECRET
    with pytest.raises(VaultError):
        held.open(old)
