"""Logins of the embedded server for roles with fewer rights, each with a passfile of its own."""

from dataclasses import replace

from brex_sync.embedded.credentials import (
    Credentials,
    new_password,
    read_passfile,
    write_passfile,
)
from brex_sync.embedded.lock import exclusive
from brex_sync.embedded.server import Server


def login(server: Server, user: str) -> Server:
    """The server as `user` reaches it, with a password made once and kept beside the owner's.

    Whether the server knows the role and the password is for the caller to see to.
    """
    passfile = server.passfile.with_name(f"pgpass-{user}")
    with exclusive(passfile.with_name("pgpass.lock")):
        known = read_passfile(passfile)
        wanted = Credentials(server.port, known.password if known else new_password())
        if wanted != known:
            write_passfile(passfile, wanted, user)
    return replace(server, user=user, password=wanted.password, passfile=passfile)
