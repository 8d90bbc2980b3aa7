"""A sandbox with its OAuth side on a port, a clock both sides share, and a connection to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.brex.oauth import Application, Tokens
from brex_sync.connections import Connection
from brex_sync.credentials import Credentials, stored
from brex_sync.health import Health, health
from brex_sync.sandbox import Faults, World
from brex_sync.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, ISSUER, Authority, create_brex
from brex_sync.sandbox.server import running
from brex_sync.settings import Configuration
from brex_sync.streams import STREAMS
from brex_sync.vault import Vault, make_key, open_vault
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import Credential, State

SCOPES = frozenset({s.scope for s in STREAMS.values()} | {"companies.readonly", "offline_access"})
REDIRECT = "http://127.0.0.1:8765/callback"


@dataclass
class Desk:
    """Brex at `url`, and us: a warehouse, a vault, and one clock for all (`pass_time`)."""

    url: str
    app: Any
    engine: sa.Engine
    home: Path
    vault: Vault
    faults: Faults
    offset: timedelta = timedelta()
    connections: dict[str, Connection] = field(default_factory=dict)

    @property
    def authority(self) -> Authority:
        authority: Authority = self.app.state.authority
        return authority

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def pass_time(self, **span: float) -> None:
        """Lets time pass, here and at Brex."""
        self.offset += timedelta(**span)
        self.authority.later += timedelta(**span)

    @property
    def refreshes(self) -> list[str]:
        """The outcome of every refresh the server saw: an error, or nothing."""
        return [r.error for r in self.authority.requests if r.grant_type == "refresh_token"]

    def oauth(self, name: str = "brex", scopes: frozenset[str] = SCOPES) -> Credentials:
        """A connection that a person has just consented to."""
        connection = Connection(
            name,
            Configuration.OAUTH,
            self.url,
            application=Application(self.url + ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT),
        )
        self.connections[name] = connection
        code = self.authority.consent(scopes, REDIRECT, "")
        granted = self.authority.issue(self.authority.codes.pop(code).grant)
        tokens = Tokens(
            granted["access_token"], granted["refresh_token"], timedelta(hours=1), scopes
        )
        values = stored(self.vault, tokens, granted["refresh_token"], self.now())
        self._put(name, configuration="brex", **values)
        return self.credentials(name)

    def key(self, key: str, name: str = "brex", *, stored_here: bool = True) -> Credentials:
        """A connection by API key, stored or from the environment."""
        self.connections[name] = Connection(
            name, Configuration.API_KEY, self.url, None if stored_here else key
        )
        if stored_here:
            self._put(
                name,
                configuration="brex-api-key",
                secrets=self.vault.seal({"api_key": key}),
                used_at=self.now(),
            )
        return self.credentials(name)

    def credentials(self, name: str = "brex") -> Credentials:
        return Credentials(self.connections[name], self.engine, self.vault, self.now)

    def row(self, name: str = "brex") -> Credential:
        found = table.read(self.engine, name)
        assert found is not None
        return found

    def secrets(self, name: str = "brex") -> dict[str, str]:
        sealed = self.row(name).secrets
        assert sealed is not None
        return self.vault.open(sealed)

    def health(self, name: str = "brex") -> Health:
        row = table.read(self.engine, name)
        return health(self.connections[name], row, self.now())

    def _put(self, name: str, **values: Any) -> None:
        with self.engine.begin() as db:
            table.put(db, name, state=State.CONNECTED, state_since=self.now(), **values)


@pytest.fixture
def new_desk(engine: sa.Engine, tmp_path: Path) -> Iterator[Callable[[World], Desk]]:
    """Opens a sandbox over a world, for one test."""
    doors: list[Any] = []

    def open_one(world: World) -> Desk:
        faults = Faults()
        app = create_brex(world, Authority(faults), faults=faults, rate_limit=None)
        door = running(app)
        url = door.__enter__()
        doors.append(door)
        make_key(tmp_path)
        table.prepare(engine)
        return Desk(url, app, engine, tmp_path, open_vault(tmp_path, None), faults)

    yield open_one
    for door in doors:
        door.__exit__(None, None, None)


@pytest.fixture
def desk(new_desk: Callable[[World], Desk]) -> Desk:
    """A company without data but its name."""
    world = World.empty()
    world.collection("company").add({"id": "cuacc_1", "legal_name": "Northwind"})
    return new_desk(world)
