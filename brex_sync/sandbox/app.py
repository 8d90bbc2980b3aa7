"""The ASGI application: Brex's endpoints over a world, and a door for tests to steer it."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from brex_sync.sandbox.api.answers import Answers
from brex_sync.sandbox.api.endpoints import ENDPOINTS, ListEndpoint
from brex_sync.sandbox.api.paging import read_limit
from brex_sync.sandbox.error_replies import ErrorReply, bad_request, not_found
from brex_sync.sandbox.events.deliveries import Deliveries
from brex_sync.sandbox.faults import Fault, FaultKind, Faults
from brex_sync.sandbox.steering import Logged, steer
from brex_sync.sandbox.world import World
from brex_sync.sandbox.writes import WRITES, receipts
from brex_sync.sandbox.writes.declare import WriteEndpoint
from brex_sync.sandbox.writes.idempotency import Arrived, perform

TOKEN = "bxt_sandbox"
REMEMBERED = 100_000
"""How many requests the log holds; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class TokenPermissions:
    """What a token opens: all scopes, or those named; `roles` False plays a user without one.

    An `expired` one opens nothing any more.
    """

    scopes: frozenset[str] | None = None
    roles: bool = True
    expired: bool = False


@dataclass(slots=True)
class Sandbox:
    """A world, how it misbehaves, and who may read it."""

    world: World
    faults: Faults
    latency: float
    rate_limit: int | None
    tokens: Mapping[str, TokenPermissions]
    answers: Answers
    requests: deque[Logged] = field(default_factory=partial(deque, maxlen=REMEMBERED))
    recent: deque[float] = field(default_factory=deque)

    async def answer(self, asked: ListEndpoint | WriteEndpoint, request: Request) -> Response:
        """One request to Brex, from arrival to answer."""
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            self._count()
            if isinstance(asked, ListEndpoint):
                response = await self._show(asked, request)
            else:
                response = await self._perform(asked, request)
        except ErrorReply as refusal:
            response = refusal.response(asked.errors)
        response.headers["X-Brex-Trace-Id"] = uuid4().hex
        self.requests.append(
            Logged(
                time.monotonic(),
                request.method,
                request.scope["path"],
                request.scope["query_string"].decode(),
                response.status_code,
            )
        )
        return response

    async def _show(self, endpoint: ListEndpoint, request: Request) -> Response:
        query = request.query_params
        cursor = query.get("cursor")
        limit = read_limit(endpoint, query.get("limit"))
        fault = self.faults.strike(request.scope["path"], cursor=cursor, limit=limit)
        if fault is not None:
            await _wait(fault)
            if fault.kind is FaultKind.STATUS:
                return _status(fault)
            _refuse(fault)
        self._authorise(endpoint.scope, endpoint.path, request)
        self.world.tick()
        body = self.answers.body(endpoint, query, request.path_params, limit)
        if fault is not None:
            return _spoil(fault, body, cursor)
        return Response(body, media_type="application/json")

    async def _perform(self, write: WriteEndpoint, request: Request) -> Response:
        path = request.scope["path"]
        fault = self.faults.strike(path, cursor=None, limit=None, method=request.method)
        if fault is not None and fault.kind is FaultKind.STATUS:
            return _status(fault)
        self._authorise(write.scope, write.path, request)
        raw = await request.body()
        self.world.tick()
        key = request.headers.get("Idempotency-Key")
        arrived = Arrived(path, request.path_params, key, raw, str(request.base_url))
        answer = perform(self.world, write, arrived)
        if fault is not None:
            await _wait(fault)
            return _spoil(fault, answer.body, None, answer.status)
        return Response(answer.body, answer.status, media_type="application/json")

    def _count(self) -> None:
        if self.rate_limit is None:
            return
        now = time.monotonic()
        while self.recent and self.recent[0] <= now - 60:
            self.recent.popleft()
        if len(self.recent) >= self.rate_limit:
            after = self.recent[0] + 60 - now
            raise ErrorReply(
                429, "TOO_MANY_REQUESTS", "Rate limit exceeded", **{"Retry-After": f"{after:.0f}"}
            )
        self.recent.append(now)

    def _authorise(self, scope: str, path: str, request: Request) -> None:
        header = request.headers.get("Authorization")
        if not header:
            raise ErrorReply(401, "", "")
        access = self.tokens.get(header.removeprefix("Bearer "))
        if access is None:
            raise ErrorReply(403, "FORBIDDEN", "Invalid or Revoked Token")
        if access.expired:
            raise ErrorReply(403, "FORBIDDEN", "Expired token")
        if scope and access.scopes is not None and scope not in access.scopes:
            raise ErrorReply(403, "FORBIDDEN", f"Missing required scope {scope}")
        if not access.roles and "cash" in path:
            raise ErrorReply(401, "UNAUTHORIZED", "Must be cash admin, bookkeeper or user")


def create_app(
    world: World,
    *,
    faults: Faults | None = None,
    latency: float = 0.0,
    rate_limit: int | None = 1000,
    tokens: Mapping[str, TokenPermissions] | None = None,
) -> Starlette:
    """The sandbox as an ASGI application.

    `latency` is in seconds per request, `rate_limit` in requests per 60 s (None: without).
    `app.state.requests` holds the latest requests as `Logged`.
    """
    sandbox = Sandbox(
        world,
        faults or Faults(),
        latency,
        rate_limit,
        tokens or {TOKEN: TokenPermissions()},
        Answers(world),
    )
    routes = [
        Route(endpoint.path, partial(_serve, sandbox, endpoint), methods=["GET"])
        for endpoint in sorted(ENDPOINTS, key=lambda e: "{" in e.path)
    ]
    routes += [
        Route(write.path, partial(_serve, sandbox, write), methods=[write.method])
        for write in sorted(WRITES, key=lambda w: "{" in w.path)
    ]
    door = partial(steer, world, sandbox.faults, sandbox.requests)
    steering = Route("/_sandbox/{what}", door, methods=["GET", "POST", "DELETE"])
    upload = Route(receipts.PATH, partial(receipts.put, world), methods=["PUT"])
    app = Starlette(
        routes=[*routes, upload, steering],
        exception_handlers={404: _unknown},
        lifespan=lambda _: Deliveries(world).running(),
    )
    app.state.requests = sandbox.requests
    app.state.sandbox = sandbox
    return app


async def _serve(
    sandbox: Sandbox, asked: ListEndpoint | WriteEndpoint, request: Request
) -> Response:
    return await sandbox.answer(asked, request)


async def _unknown(request: Request, error: Exception) -> Response:
    response = not_found("No such endpoint").response()
    response.headers["X-Brex-Trace-Id"] = uuid4().hex
    return response


async def _wait(fault: Fault) -> None:
    if fault.kind is FaultKind.DELAY:
        await asyncio.sleep(fault.seconds)
    elif fault.kind is FaultKind.HANG:
        await asyncio.sleep(3600)


def _refuse(fault: Fault) -> None:
    if fault.kind is FaultKind.EXPIRED_CURSOR:
        raise bad_request("Invalid cursor")
    if fault.kind is FaultKind.SMALL_PAGES:
        raise bad_request(f"limit must be less than or equal to {fault.limit}")


class Dropped(Response):
    """An answer that breaks off after its head: the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )


def _status(fault: Fault) -> Response:
    return Response(fault.body, fault.status, fault.headers, media_type="application/json")


def _spoil(fault: Fault, body: bytes, cursor: str | None, status: int = 200) -> Response:
    """The answer as the fault leaves it."""
    if fault.kind is FaultKind.DONE_STATUS:
        return _status(fault)
    if fault.kind is FaultKind.DROPPED:
        return Dropped(body or b"-")
    if fault.kind is FaultKind.HTML:
        return Response("<html><body>Bad gateway</body></html>", media_type="text/html")
    spoilt = {
        FaultKind.BODY: fault.body.encode(),
        FaultKind.TRUNCATED: body[: len(body) // 2],
        FaultKind.EMPTY: b"",
        FaultKind.NO_ITEMS: b'{"next_cursor":null}',
        FaultKind.NULL_ITEMS: b'{"items":null,"next_cursor":null}',
    }
    if fault.kind is FaultKind.LOOP and cursor is not None:
        envelope = msgspec.json.decode(body) | {"next_cursor": cursor}
        return Response(msgspec.json.encode(envelope), media_type="application/json")
    return Response(spoilt.get(fault.kind, body), status, media_type="application/json")
