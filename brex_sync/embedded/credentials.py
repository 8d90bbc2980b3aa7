"""Port, user and password of the server, stored in a libpq passfile that clients use directly."""

import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from brex_sync.errors import EmbeddedPostgresError

HOST = "127.0.0.1"
OWNER = "brex-sync-owner"
"""The superuser. No connection is called so, and so no schema of ours: a superuser's session looks
first into the schema of its own name, unless told otherwise."""


@dataclass(frozen=True)
class PassfileEntry:
    """The fields of a passfile line, except the host, which is always HOST."""

    port: int
    password: str = field(repr=False)
    user: str = OWNER


def new_password() -> str:
    """A random password of letters, digits, '-' and '_'."""
    return secrets.token_urlsafe(24)


def read_passfile(passfile: Path) -> PassfileEntry | None:
    """The entry in `passfile`; None if there is no file. Raises EmbeddedPostgresError if it is
    damaged.
    """
    if not passfile.exists():
        return None
    try:
        _, port, _, user, password = passfile.read_text().split("\n")[0].split(":")
        return PassfileEntry(int(port), password, user)
    except ValueError:
        raise EmbeddedPostgresError(
            f"{passfile} is damaged: restore its line host:port:database:user:password"
        ) from None


def write_passfile(passfile: Path, credentials: PassfileEntry) -> None:
    """Replaces `passfile` atomically; only its owner can read it."""
    line = f"{HOST}:{credentials.port}:*:{credentials.user}:{credentials.password}\n"
    with tempfile.NamedTemporaryFile("w", dir=passfile.parent, delete=False) as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, passfile)
