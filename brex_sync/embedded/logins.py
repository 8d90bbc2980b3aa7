"""Logins of the embedded server for roles with fewer rights, each with its own passfile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from brex_sync.embedded.credentials import (
    PassfileEntry,
    new_password,
    read_passfile,
    write_passfile,
)
from brex_sync.embedded.lock import exclusive
from brex_sync.embedded.server import Server


def login(server: Server, user: str, knows: Callable[[str], bool]) -> Server:
    """The server as `user` reaches it, with a password that is generated once and stored beside the
    owner's.

    `knows` receives the password and returns whether the server accepts it; the result is in
    `opens` of the returned server.
    """
    passfile = _passfile(server, user)
    with exclusive(passfile.with_name("pgpass.lock")):
        known = read_passfile(passfile)
        wanted = PassfileEntry(server.port, known.password if known else new_password(), user)
        if wanted != known:
            write_passfile(passfile, wanted)
        return _as(server, wanted, passfile, knows(wanted.password))


def renewed(server: Server, user: str, change: Callable[[str], None]) -> Server:
    """The server as `user` reaches it with a new password, which `change` sets."""
    passfile = _passfile(server, user)
    with exclusive(passfile.with_name("pgpass.lock")):
        wanted = PassfileEntry(server.port, new_password(), user)
        change(wanted.password)
        write_passfile(passfile, wanted)
        return _as(server, wanted, passfile, True)


def _passfile(server: Server, user: str) -> Path:
    return server.passfile.with_name(f"pgpass-{user}")


def _as(server: Server, wanted: PassfileEntry, passfile: Path, opens: bool) -> Server:
    return replace(
        server, user=wanted.user, password=wanted.password, passfile=passfile, opens=opens
    )
