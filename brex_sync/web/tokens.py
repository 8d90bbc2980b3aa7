"""Secrets that programs of one person share by a file in the home."""

import os
import secrets
from pathlib import Path


def kept_token(path: Path, prefix: str) -> str:
    """The token in a file that only its owner may read, made now if there is none.

    Raises OSError where it can be neither read nor made.
    """
    if not path.exists():
        _make(path, f"{prefix}{secrets.token_urlsafe(32)}\n")
    return path.read_text().strip()


def _make(path: Path, content: str) -> None:
    """Writes the file, whole or not at all; one that somebody else made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
