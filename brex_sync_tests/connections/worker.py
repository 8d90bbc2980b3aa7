"""A process that asks for an access token, prints it, and may be killed on the way.

Reads from the environment: DATABASE, HOME_OF_KEY, BREX, and WHERE to die (`before`: nothing sent;
`after`: answered by Brex, not stored; `stored`: stored, not used).
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from brex_sync.brex.application import Application
from brex_sync.brex.oauth import OAuth
from brex_sync.connections.credentials import Credentials
from brex_sync.connections.declared import Connection
from brex_sync.connections.vault import open_vault
from brex_sync.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, ISSUER
from brex_sync.settings import Configuration
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.connections.conftest import REDIRECT


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, where = os.environ["BREX"], os.environ.get("WHERE", "")
    plain = OAuth.refresh

    def refresh(self: OAuth, token: str) -> Any:
        if where == "before":
            die()
        tokens = plain(self, token)
        if where == "after":
            die()
        return tokens

    OAuth.refresh = refresh  # type: ignore[method-assign]
    application = Application(url + ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT)
    credentials = Credentials(
        Connection("brex", Configuration.OAUTH, url, application=application),
        open_engine(os.environ["DATABASE"]),
        open_vault(Path(os.environ["HOME_OF_KEY"]), None),
    )
    print("ready", flush=True)
    sys.stdin.readline()
    token = credentials.access().token
    if where == "stored":
        die()
    print(token, flush=True)


if __name__ == "__main__":
    main()
