"""Brex for other programs of this machine: they hold the local token, never Brex's.

Nothing of a request reaches Brex but its method, its plain path, its parameters, a JSON body and
an idempotency key; nothing of an answer comes back but its status, body, content type, trace id
and Retry-After. So there is no header by which either side could lead the other astray.
"""

import asyncio
import math
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from brex_sync.brex.client import BrexRequest, Meter, Reply
from brex_sync.client.calls import call_of
from brex_sync.connections.declared import Connection
from brex_sync.errors import (
    ActionNeeded,
    BrexError,
    CredentialRefused,
    PostgresError,
    SettingsError,
)
from brex_sync.service.accounts import Accounts
from brex_sync.service.request_log import RequestLog

LARGEST_BODY = 10 * 2**20
"""Bytes of a request's body."""
LONGEST_QUERY = 8192
"""Bytes of a query."""
AT_ONCE = 32
"""Requests under way for one connection; more would wait for the rate limit, or each other."""
PATIENCE = 120.0
"""Seconds from a request to its answer, waiting for the rate limit included."""

_KEY = re.compile(r"[!-~]{1,255}")
_PRINTABLE = re.compile(r"[ -~]{1,200}")
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ProxyError(Exception):
    """An answer of ours in place of Brex's."""

    def __init__(self, status: int, why: str, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.retry_after = retry_after


@dataclass
class Exchange:
    """One request and what is known of it, for the log."""

    request: Request
    connection: str
    path: str
    began: float = field(default_factory=time.monotonic)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parameters: dict[str, list[str]] = field(default_factory=dict)
    received: int = 0

    def row(self, response: Response, trace_id: str | None, refused: str | None) -> dict[str, Any]:
        """What the log keeps: no body, no parameter's value."""
        return {
            "at": self.at,
            "connection": self.connection,
            "method": _plain(self.request.method, 20),
            "path": _plain(self.path, 1024),
            "parameters": [_plain(name, 100) for name in self.parameters],
            "status": response.status_code,
            "refused": refused,
            "ms": (time.monotonic() - self.began) * 1000,
            "bytes_in": self.received,
            "bytes_out": len(response.body),
            "trace_id": trace_id,
            "caller": _plain(self.request.headers.get("user-agent", ""), 200) or None,
        }


def routes(accounts: Accounts) -> list[BaseRoute]:
    """/proxy/{connection}/…, to be guarded by the local token."""
    requests = RequestLog(accounts.engine)
    accounts.at_close(requests.close)
    return [Route("/proxy/{connection}/{path:path}", Proxy(accounts, requests))]


class Proxy:
    """Passes requests on to the connection named in their path, if its rules allow them."""

    def __init__(self, accounts: Accounts, requests: RequestLog) -> None:
        self._accounts = accounts
        self._requests = requests
        self._under_way: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        connection = self._accounts.connections.get(scope["path_params"]["connection"])
        if connection is None:
            refusal = ProxyError(404, "no connection is called so")
            await _told(refusal)(scope, receive, send)
            return
        exchange = Exchange(request, connection.name, _path(scope, connection.name))
        trace_id = refused = None
        try:
            reply = await self._passed_on(exchange, connection)
            response, trace_id = _shown(reply), _header(reply.trace_id)
        except ProxyError as refusal:
            response, refused = _told(refusal), str(refusal)
        await response(scope, receive, send)
        self._requests.note(exchange.row(response, trace_id, refused))

    async def _passed_on(self, exchange: Exchange, connection: Connection) -> Reply:
        if why := connection.rules.refusal(exchange.request.method, exchange.path):
            raise ProxyError(403, why)
        exchange.parameters = _parameters(exchange.request.scope["query_string"])
        call = call_of(
            exchange.request.method,
            exchange.path,
            exchange.parameters,
            await _body(exchange),
            _idempotency_key(exchange.request),
        )
        under_way = self._under_way.get(connection.name, 0)
        if under_way >= AT_ONCE:
            raise ProxyError(429, f"{AT_ONCE} requests are under way for {connection.name}", 1)
        self._under_way[connection.name] = under_way + 1
        try:
            return await self._asked(call, connection)
        finally:
            self._under_way[connection.name] -= 1

    async def _asked(self, call: BrexRequest, connection: Connection) -> Reply:
        try:
            async with asyncio.timeout(PATIENCE):
                client = await self._accounts.client(connection.name)
                return await client.exchange(call, Meter())
        except TimeoutError:
            raise ProxyError(502, f"{call}: no answer within {PATIENCE:g} s") from None
        except (ActionNeeded, CredentialRefused, SettingsError) as error:
            raise ProxyError(503, str(error)) from None
        except BrexError as error:
            raise ProxyError(502, str(error)) from None
        except PostgresError:
            raise ProxyError(503, "the warehouse, which keeps the credential, is away") from None


def _path(scope: Scope, connection: str) -> str:
    """The path asked for, as it came over the wire; empty if it did not come plainly."""
    raw: str = scope.get("raw_path", b"").decode("latin-1")
    prefix = f"/proxy/{connection}"
    return raw.removeprefix(prefix) if raw.startswith(f"{prefix}/") else ""


def _parameters(query: bytes) -> dict[str, list[str]]:
    if len(query) > LONGEST_QUERY:
        raise ProxyError(414, f"the query is longer than {LONGEST_QUERY} bytes")
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


async def _body(exchange: Exchange) -> bytes | None:
    """The request's body, None for none."""
    body = bytearray()
    try:
        async for chunk in exchange.request.stream():
            body += chunk
            exchange.received = len(body)
            if len(body) > LARGEST_BODY:
                raise ProxyError(413, f"the body is larger than {LARGEST_BODY // 2**20} MB")
    except ClientDisconnect:
        raise ProxyError(400, "the body did not come to its end") from None
    if not body:
        return None
    if exchange.request.method == "GET":
        raise ProxyError(400, "a GET has no body")
    headers = exchange.request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in headers:
        raise ProxyError(415, "a body must be application/json, and not compressed")
    return bytes(body)


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise ProxyError(400, "an idempotency key has 1 to 255 visible ASCII characters")
    return key


def _shown(reply: Reply) -> Response:
    """Brex's answer, as far as it is passed on."""
    if not (200 <= reply.status < 300 or 400 <= reply.status < 600):
        raise ProxyError(502, f"Brex answered {reply.status}, which is not followed")
    headers = {
        "Content-Type": _header(reply.content_type) or "application/octet-stream",
        "X-Brex-Trace-Id": _header(reply.trace_id),
        "Retry-After": None if reply.retry_after is None else str(math.ceil(reply.retry_after)),
    }
    body = b"" if reply.status in (204, 205) else reply.body
    return Response(body, reply.status, _ALWAYS | {n: v for n, v in headers.items() if v})


def _told(refusal: ProxyError) -> Response:
    headers = {**_ALWAYS, "X-Brex-Sync": "refused"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return JSONResponse({"message": str(refusal)}, refusal.status, headers)


def _header(value: str | None) -> str | None:
    return value if value and _PRINTABLE.fullmatch(value) else None


def _plain(text: str, longest: int) -> str:
    """Text as Postgres can keep it."""
    return text[:longest].encode("ascii", "backslashreplace").decode().replace("\x00", "\\0")
