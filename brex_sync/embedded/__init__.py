"""An embedded Postgres server for users without one, run from the binaries of a wheel.

>>> with EmbeddedPostgres(Path("~/.brex-sync").expanduser()) as server:  # doctest: +SKIP
...     print(server.psql("brex"))
"""

from brex_sync.embedded.logins import login, renewed
from brex_sync.embedded.postgres import EmbeddedPostgres
from brex_sync.embedded.server import Server
from brex_sync.errors import EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "Server", "login", "renewed"]
