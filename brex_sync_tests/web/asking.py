"""Asks a guarded toy app, byte by byte as a browser or anybody else might."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers

from brex_sync.web.auth import Auth, Vouching
from brex_sync.web.guard import Guard
from brex_sync.web.hosts import Host, Hosts
from brex_sync.web.login import Login

PORT = 3000
TOKEN = "the-token-of-this-home"
HOST = f"127.0.0.1:{PORT}"
OURS = f"http://{HOST}"
BEARER = ("authorization", f"Bearer {TOKEN}")
PAGE = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
FETCH = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]


@dataclass
class Answer:
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    text: str = ""


@dataclass
class Toy:
    """An app that notes what reaches it, behind a guard."""

    auth: Auth = Auth.TOKEN
    vouching: Vouching | None = None
    others: tuple[Host, ...] = ()
    port: int = PORT
    token: str = TOKEN
    reached: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        login = Login(self.token, self.auth, self.vouching)
        self.guard = Guard(self._app, Hosts(self.port, self.others), login)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            own = [(b"content-security-policy", b"script-src 'none'")]
            await send({"type": "http.response.start", "status": 200, "headers": own})
            await send({"type": "http.response.body", "body": b"in"})

    def ask(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = HOST,
        peer: str = "127.0.0.1",
    ) -> Answer:
        """An answer of HTTP, or of a WebSocket for the method `WEBSOCKET`."""
        path, _, query = target.partition("?")
        asked = [*([("host", host)] if host is not None else []), *headers]
        scope = {
            "type": "websocket" if method == "WEBSOCKET" else "http",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "query_string": query.encode(),
            "client": (peer, 50000),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in asked],
        }
        told = Answer()

        async def receive() -> Any:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                told.status, told.headers = message["status"], Headers(raw=message["headers"])
            elif kind == "http.response.body":
                told.text += message["body"].decode()
            else:
                told.status = {"websocket.accept": 101, "websocket.close": 403}[kind]

        asyncio.run(self.guard(scope, receive, send))
        return told

    def post(self, target: str = "/graphql", headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """A POST of JSON."""
        return self.ask("POST", target, [("content-type", "application/json"), *headers], b"{}")

    def cookie(self) -> tuple[str, str]:
        """The header of a browser that has logged in."""
        answer = self.ask(target=f"/?token={self.token}", headers=PAGE)
        return "cookie", answer.headers["set-cookie"].partition(";")[0]
