"""The service on a port before a Brex on another, and a third that nobody should ever ask."""

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from brex_sync.brex.allowed import METHODS, Rules
from brex_sync.connections.declared import Connection
from brex_sync.http_server import bind, running, url_of
from brex_sync.service.accounts import Accounts
from brex_sync.service.app import create_service
from brex_sync.settings import Configuration, Settings
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.e2e.conftest import free_port
from brex_sync_tests.waiting import HANGS

LOCAL_TOKEN = "bst_for_programs_of_this_machine"
BREX_TOKEN = "bxt_that_nobody_may_ever_see"
ANYTHING = Rules(frozenset(METHODS))


@dataclass
class Hostile:
    """A Brex that answers as `how` says, and keeps what it was asked."""

    elsewhere: str = ""
    how: Callable[["Hostile", Request], Response] | None = None
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        body = await request.body()
        self.asked.append((request.method, target, dict(request.headers), body))
        answer = self.how or (lambda *_: JSONResponse({"method": request.method}))
        await answer(self, request)(scope, receive, send)


def redirect(status: int) -> Callable[[Hostile, Request], Response]:
    return lambda brex, request: Response(b"", status, {"Location": f"{brex.elsewhere}/v2/users"})


def giant(brex: Hostile, request: Request) -> Response:
    async def flood() -> Any:
        for _ in range(80):
            yield b"x" * 2**20

    return StreamingResponse(flood(), media_type="application/json")


def bomb(brex: Hostile, request: Request) -> Response:
    return Response(gzip.compress(b" " * 80 * 2**20), headers={"Content-Encoding": "gzip"})


def endless(brex: Hostile, request: Request) -> Response:
    async def drip() -> Any:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(drip(), media_type="application/json")


def echo(brex: Hostile, request: Request) -> Response:
    shown = request.headers["authorization"]
    headers = {"X-Brex-Trace-Id": shown, "X-Token": shown, "Set-Cookie": f"t={shown}"}
    return Response(f'{{"message":"{shown}"}}', 400, headers, media_type=f"text/{shown[7:]}")


def strange_headers(brex: Hostile, request: Request) -> Response:
    response = Response(b"\xff\xfe", 200)
    response.raw_headers = [
        (b"content-type", "text/\u00e9\u00ff".encode()),
        (b"x-brex-trace-id", b"\xff" * 300),
        (b"retry-after", b"9" * 400),
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"proxy-authenticate", b"Basic"),
        (b"www-authenticate", b"Basic"),
        (b"location", b"http://evil.example/"),
        (b"content-length", b"2"),
    ]
    return response


@dataclass
class Door:
    """The service, and what is around it."""

    url: str
    brex: Hostile
    foreign: Hostile
    engine: sa.Engine
    accounts: Accounts
    home: Path

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {LOCAL_TOKEN}", **more.pop("headers", {})}
        return httpx.request(
            method, f"{self.url}/proxy/brex{path}", headers=headers, timeout=HANGS, **more
        )

    def raw(self, request: bytes) -> bytes:
        """What comes back for bytes sent as they are."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as line:
            line.sendall(request)
            got = bytearray()
            while chunk := line.recv(65536):
                got += chunk
        return bytes(got)

    def rules(self, rules: Rules) -> None:
        connections = self.accounts.connections
        connections["brex"] = replace(connections["brex"], rules=rules)  # type: ignore[index]

    def logged(self) -> list[dict[str, Any]]:
        with self.engine.connect() as db:
            found = db.execute(sa.text("SELECT * FROM brex_sync.proxied_requests ORDER BY id"))
            return [dict(row) for row in found.mappings()]


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serves as `brex-sync serve` does, in a thread; ends as it ends."""
    listener = bind(0)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, server_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=HANGS)
        assert not thread.is_alive()


@contextmanager
def door_to(brex_url: str, engine: sa.Engine, home: Path, **more: Any) -> Iterator[Door]:
    settings = Settings(_env_file=None, BREX_SYNC_HOME=home, BREX_SYNC_SERVICE_TOKEN=LOCAL_TOKEN)
    connection = Connection(
        "brex", Configuration.SANDBOX, brex_url, **{"token": BREX_TOKEN, **more}
    )
    accounts = Accounts(settings, engine, {"brex": connection})
    with serving(create_service(accounts)) as url:
        yield Door(url, Hostile(), Hostile(), engine, accounts, home)


@contextmanager
def hostile_door(engine: sa.Engine, home: Path) -> Iterator[Door]:
    """Before a Brex that can be made hostile, everything allowed."""
    foreign = Hostile()
    with running(foreign) as elsewhere:
        brex = Hostile(elsewhere)
        with running(brex) as url, door_to(url, engine, home, rules=ANYTHING) as opened:
            opened.brex, opened.foreign = brex, foreign
            yield opened


@pytest.fixture(scope="module")
def standing_door(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One for all tests of a module."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE doors TEMPLATE prepared STRATEGY file_copy")
        engine = open_engine(server.url("doors"))
        with hostile_door(engine, tmp_path_factory.mktemp("home")) as opened:
            yield opened
        engine.dispose()
        db.execute("DROP DATABASE doors WITH (FORCE)")


@pytest.fixture
def door(standing_door: Door) -> Door:
    """Nothing asked yet, everything allowed, Brex kind; the log may hold what others asked."""
    standing_door.brex.how = None
    standing_door.brex.asked.clear()
    standing_door.foreign.asked.clear()
    standing_door.rules(ANYTHING)
    return standing_door


@pytest.fixture
def new_door(engine: sa.Engine, tmp_path: Path) -> Iterator[Door]:
    """With an empty log."""
    with hostile_door(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
def nowhere(engine: sa.Engine, tmp_path: Path) -> Iterator[Door]:
    """Before a Brex that is not there."""
    with door_to(f"http://127.0.0.1:{free_port()}", engine, tmp_path, rules=ANYTHING) as opened:
        yield opened
