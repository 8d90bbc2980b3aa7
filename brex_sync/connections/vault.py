"""Encryption of stored secrets, with a key that is never stored beside them."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from brex_sync.errors import VaultError
from brex_sync.folders import make_home

VARIABLE = "BREX_SYNC_ENCRYPTION_KEY"
FILE = "encryption.key"


class Vault:
    """Encrypts and decrypts secrets with keys separated by commas: the first encrypts, all of them
    decrypt.

    The keys are read at every use, so that a new key takes effect in every process at once.
    """

    def __init__(self, keys: Callable[[], str]) -> None:
        self._keys = keys

    def seal(self, secrets: Mapping[str, str]) -> str:
        """Encrypts texts by name into one.

        Raises:
            VaultError: there is no usable key.
        """
        return self._fernet().encrypt(json.dumps(dict(secrets)).encode()).decode()

    def open(self, sealed: str) -> dict[str, str]:
        """Decrypts what `seal` returned.

        Raises:
            VaultError: none of the keys decrypts it, or there is none.
        """
        try:
            opened: dict[str, str] = json.loads(self._fernet().decrypt(sealed))
        except InvalidToken:
            raise VaultError(
                "the secrets in the database were sealed with another key: bring back the old "
                f"{VARIABLE} (or {FILE}), or `brex-sync disconnect --forget` and connect anew"
            ) from None
        return opened

    def _fernet(self) -> MultiFernet:
        try:
            return MultiFernet([Fernet(key.strip()) for key in self._keys().split(",")])
        except ValueError:
            raise VaultError(
                f"{VARIABLE} (or {FILE}) holds no key: a key is 32 bytes in url-safe base64, and "
                "several are separated by commas"
            ) from None


def key_file(home: Path) -> Path:
    """Where the key is stored if it does not come from the environment."""
    return home / FILE


def open_vault(home: Path, key: SecretStr | None) -> Vault:
    """The vault whose keys come from the environment, or from a file in `home`. Nothing is read
    yet.
    """
    if key is not None:
        return Vault(key.get_secret_value)
    return Vault(lambda: _read(key_file(home)))


def make_key(home: Path) -> None:
    """Creates the key file, readable by its owner only, if there is none."""
    make_home(home)
    try:
        _write(key_file(home), new_key(), into_place=os.link)
    except FileExistsError:
        pass


def new_key() -> str:
    """A random key."""
    return Fernet.generate_key().decode()


def put_first(home: Path, key: str) -> None:
    """Makes a new key the one that encrypts; those before it still decrypt."""
    _write(key_file(home), f"{key},{_read(key_file(home))}")


def keep_first(home: Path) -> None:
    """Removes all keys but the one that encrypts."""
    _write(key_file(home), _read(key_file(home)).split(",")[0])


def _read(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise VaultError(
                f"{path} may be read by others: run chmod 600 {path}, and if others could read it, "
                "`brex-sync connections rotate-key`"
            )
        return path.read_text().strip()
    except OSError as error:
        raise VaultError(
            f"{path}, the key to the stored secrets, cannot be read ({error.strerror}): bring it "
            f"back, or set {VARIABLE}"
        ) from None


def _write(path: Path, keys: str, into_place: Callable[[str, Path], None] = os.replace) -> None:
    """Replaces the file atomically, so that a reader finds either the old keys or the new ones."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(f"{keys}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        into_place(file.name, path)
    finally:
        Path(file.name).unlink(missing_ok=True)
