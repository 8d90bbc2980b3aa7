"""Tokens that the programs of one person share through a file in the home."""

import os
import secrets
from pathlib import Path

from brex_sync.errors import SettingsError
from brex_sync.folders import make_home

SHORTEST = 16
"""Characters; what is shorter was not made here, and could be guessed."""


def kept_token(path: Path, prefix: str) -> str:
    """The token in a file that only its owner can read; created if there is none.

    Raises:
        SettingsError: the file can be neither read nor created, or its token is too short.
    """
    try:
        if not path.exists():
            _make(path, f"{prefix}{secrets.token_urlsafe(32)}\n")
        token, mode = path.read_text().strip(), path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can be neither read nor made: {error}") from None
    if mode & 0o077:
        raise SettingsError(f"{path} may be read by others: delete it, and a new one is made")
    if len(token) < SHORTEST:
        raise SettingsError(f"{path} holds no token: delete it, and a new one is made")
    return token


def _make(path: Path, content: str) -> None:
    """Writes the file atomically; one that another process created meanwhile is kept."""
    make_home(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
