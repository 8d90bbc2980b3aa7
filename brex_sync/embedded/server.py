"""A running server, as its clients see it."""

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import make_conninfo


@dataclass(frozen=True)
class Server:
    """How to reach the embedded server.

    `bundled_psql` is the psql that came with it; `opens` is whether the server accepts the
    password.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    passfile: Path
    bundled_psql: Path
    opens: bool = True

    def url(self, database: str) -> str:
        """A libpq URL with the password: `postgresql://user:password@host:port/database`."""
        user, password, name = (
            quote(part, safe="") for part in (self.user, self.password, database)
        )
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{name}"

    def psql(self, database: str) -> str:
        """A shell command that opens psql without showing a password.

        If the passfile has another password than the server, psql asks for it.
        """
        where = make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            dbname=database,
            passfile=str(self.passfile) if self.opens else None,
        )
        program = "psql" if shutil.which("psql") else str(self.bundled_psql)
        return f"{shlex.quote(program)} {shlex.quote(where)}"
