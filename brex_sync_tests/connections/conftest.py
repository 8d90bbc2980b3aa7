"""A sandbox with its OAuth side on a port, a clock both sides share, and a connection to it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa

from brex_sync.brex.application import Application
from brex_sync.brex.oauth import Tokens
from brex_sync.connections.credentials import Credentials, stored
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import Health, health
from brex_sync.connections.vault import Vault, make_key, open_vault
from brex_sync.http_server import running
from brex_sync.sandbox import Faults, World, create_empty_world
from brex_sync.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, ISSUER, Authority, create_brex
from brex_sync.settings import Configuration
from brex_sync.streams import STREAMS
from brex_sync.warehouse import credentials as table
from brex_sync.warehouse.credentials import Credential, CredentialState
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync_tests import commands as command_line
from brex_sync_tests.e2e.conftest import free_port
from brex_sync_tests.waiting import HANGS

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

    def age(self, **span: float) -> None:
        """Lets time pass for those who cannot be given a clock: what is stored grows older."""
        self.authority.later += timedelta(**span)
        columns = ("access_ends_at", "issued_at", "used_at", "tried_at", "state_since")
        changes = ", ".join(f"{c} = {c} - :span" for c in columns)
        with self.engine.begin() as db:
            db.execute(
                sa.text(f"UPDATE brex_sync.credentials SET {changes}"),
                {"span": timedelta(**span)},
            )

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
        self._put(name, configuration="brex", granted=sorted(scopes), **values)
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
            table.put(db, name, state=CredentialState.CONNECTED, state_since=self.now(), **values)


@pytest.fixture
def new_desk(engine: sa.Engine, tmp_path: Path) -> Iterator[Callable[[World], Desk]]:
    """Opens a sandbox over a world, for one test."""
    doors: list[Any] = []

    def open_one(world: World) -> Desk:
        faults = Faults()
        app = create_brex(world, Authority(faults=faults), faults=faults, rate_limit=None)
        door = running(app)
        url = door.__enter__()
        doors.append(door)
        make_key(tmp_path)
        prepare_internal(engine)
        return Desk(url, app, engine, tmp_path, open_vault(tmp_path, None), faults)

    yield open_one
    for door in doors:
        door.__exit__(None, None, None)


@pytest.fixture
def desk(new_desk: Callable[[World], Desk]) -> Desk:
    """A company without data but its name."""
    world = create_empty_world()
    world.collection("company").add({"id": "cuacc_1", "legal_name": "Northwind"})
    return new_desk(world)


@dataclass
class Commands:
    """`brex-sync` as a person runs it: in a folder of its own, against one warehouse."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return command_line.start(
            *arguments,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, typed: str = "", code: int = 0, **environment: str) -> str:
        """What it prints, standard error included."""
        process = self.start(*arguments, **environment)
        printed, _ = process.communicate(typed, timeout=HANGS)
        assert process.returncode == code, printed
        assert "Traceback" not in printed
        return printed


@pytest.fixture
def commands(desk: Desk, database_url: str, tmp_path: Path) -> Commands:
    """The command line, told of the sandbox's hosts and application."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}
    folder = tmp_path / "work"
    folder.mkdir()
    return Commands(
        folder,
        kept
        | {
            "BREX_SYNC_HOME": str(tmp_path),
            "BREX_SYNC_DATABASE_URL": database_url,
            "BREX_API_URL": desk.url,
            "BREX_AUTH_URL": desk.url + ISSUER,
            "BREX_CLIENT_ID": CLIENT_ID,
            "BREX_CLIENT_SECRET": CLIENT_SECRET,
            "BREX_REDIRECT_URI": f"http://127.0.0.1:{free_port()}/callback",
            "BROWSER": "true",
        },
    )


def consent(url: str, **answers: Any) -> str:
    """Fills in the page of a question as a person would; the address they are sent back to."""
    asked = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}
    form: dict[str, Any] = {
        "scope": asked.pop("scope").split(),
        "answer": "approve",
        **{k: asked[k] for k in ("client_id", "redirect_uri", "state", "code_challenge")},
    }
    assert httpx.get(url).status_code == 200
    sent = httpx.post(url.partition("?")[0], data=form | answers)
    assert sent.status_code == 303
    return sent.headers["Location"]
