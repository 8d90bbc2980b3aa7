"""The ASGI application: Brex's endpoints over a world, and a door for tests to steer it."""

import asyncio
import base64
import binascii
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from brex_sync.sandbox.collection import Item, Rows
from brex_sync.sandbox.endpoints import ENDPOINTS, Endpoint, Shape
from brex_sync.sandbox.faults import Fault, Faults, Kind
from brex_sync.sandbox.world import World

TOKEN = "bxt_sandbox"
DEFAULT_LIMIT = 100
HIDDEN = {"DELETED", "ARCHIVED"}
"""Users so marked are listed only when asked for by status."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens: all scopes, or those named; `roles` False plays a user without one.

    An `expired` one opens nothing any more.
    """

    scopes: frozenset[str] | None = None
    roles: bool = True
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Logged:
    """A request as it came: monotonic seconds, method, path, query and the status answered."""

    at: float
    method: str
    path: str
    query: str
    status: int


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        body = msgspec.json.encode({"type": kind, "message": message}) if message else b""
        self.response = Response(body, status, headers, media_type="application/json")


@dataclass(slots=True)
class Sandbox:
    """A world, how it misbehaves, and who may read it."""

    world: World
    faults: Faults
    latency: float
    rate_limit: int | None
    tokens: Mapping[str, Access]
    requests: list[Logged] = field(default_factory=list)
    recent: deque[float] = field(default_factory=deque)

    async def answer(self, endpoint: Endpoint, request: Request) -> Response:
        """One request to Brex, from arrival to answer."""
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            response = await self._respond(endpoint, request)
        except Refusal as refusal:
            response = refusal.response
        response.headers["X-Brex-Trace-Id"] = uuid4().hex
        self.requests.append(
            Logged(
                time.monotonic(),
                request.method,
                request.url.path,
                request.url.query,
                response.status_code,
            )
        )
        return response

    async def _respond(self, endpoint: Endpoint, request: Request) -> Response:
        self._count()
        cursor = request.query_params.get("cursor")
        limit = _limit(endpoint, request)
        fault = self.faults.strike(request.url.path, cursor=cursor, limit=limit)
        if fault is not None:
            await _wait(fault)
            _refuse(fault)
        self._authorise(endpoint, request)
        self.world.tick()
        body = self._body(endpoint, request, cursor, limit)
        if fault is not None:
            return _spoil(fault, body, cursor)
        return Response(body, media_type="application/json")

    def _count(self) -> None:
        if self.rate_limit is None:
            return
        now = time.monotonic()
        while self.recent and self.recent[0] <= now - 60:
            self.recent.popleft()
        if len(self.recent) >= self.rate_limit:
            after = self.recent[0] + 60 - now
            raise Refusal(
                429, "TOO_MANY_REQUESTS", "Rate limit exceeded", **{"Retry-After": f"{after:.0f}"}
            )
        self.recent.append(now)

    def _authorise(self, endpoint: Endpoint, request: Request) -> None:
        header = request.headers.get("Authorization")
        if not header:
            raise Refusal(401, "", "")
        access = self.tokens.get(header.removeprefix("Bearer "))
        if access is None:
            raise Refusal(403, "FORBIDDEN", "Invalid or Revoked Token")
        if access.expired:
            raise Refusal(403, "FORBIDDEN", "Expired token")
        if access.scopes is not None and endpoint.scope not in access.scopes:
            raise Refusal(403, "FORBIDDEN", f"Missing required scope {endpoint.scope}")
        if not access.roles and "cash" in endpoint.path:
            raise Refusal(401, "UNAUTHORIZED", "Must be cash admin, bookkeeper or user")

    def _body(self, endpoint: Endpoint, request: Request, cursor: str | None, limit: int) -> bytes:
        key = request.path_params.get("id")
        collection = self.world.collection(endpoint.collection)
        if endpoint.shape is Shape.ITEM:
            item = collection.get(key) if key else next(iter(collection.items()), None)
            if item is None:
                raise Refusal(404, "NOT_FOUND", f"No {endpoint.collection} with this id")
            return msgspec.json.encode(item)
        if endpoint.per_parent and key not in collection.parents():
            raise Refusal(404, "NOT_FOUND", "No such parent")
        rows, count = _select(
            endpoint, request, collection.rows(key if endpoint.per_parent else None)
        )
        if endpoint.shape is Shape.ARRAY:
            return b"[" + b",".join(rows.bodies[:count]) + b"]"
        return _page(endpoint, rows, count, cursor, limit)


def create_app(
    world: World,
    *,
    faults: Faults | None = None,
    latency: float = 0.0,
    rate_limit: int | None = 1000,
    tokens: Mapping[str, Access] | None = None,
) -> Starlette:
    """The sandbox as an ASGI application.

    `latency` is in seconds per request, `rate_limit` in requests per 60 s (None: without).
    `app.state.requests` is the list of `Logged` requests.
    """
    sandbox = Sandbox(world, faults or Faults(), latency, rate_limit, tokens or {TOKEN: Access()})
    routes = [
        Route(endpoint.path, partial(_serve, sandbox, endpoint), methods=["GET"])
        for endpoint in sorted(ENDPOINTS, key=lambda e: "{" in e.path)
    ]
    steering = Route(
        "/_sandbox/{what}", partial(_steer, sandbox), methods=["GET", "POST", "DELETE"]
    )
    app = Starlette(routes=[*routes, steering], exception_handlers={404: _unknown})
    app.state.requests = sandbox.requests
    app.state.sandbox = sandbox
    return app


async def _serve(sandbox: Sandbox, endpoint: Endpoint, request: Request) -> Response:
    return await sandbox.answer(endpoint, request)


async def _unknown(request: Request, error: Exception) -> Response:
    response = Refusal(404, "NOT_FOUND", "No such endpoint").response
    response.headers["X-Brex-Trace-Id"] = uuid4().hex
    return response


async def _steer(sandbox: Sandbox, request: Request) -> Response:
    """Lets another process set faults, read the log of requests and change the truth."""
    what = request.path_params["what"]
    if what == "requests":
        return JSONResponse([asdict(entry) for entry in sandbox.requests])
    if what == "faults" and request.method == "DELETE":
        sandbox.faults.clear()
    elif what == "faults":
        sandbox.faults.add(Fault(**await request.json()))
    elif what == "edit":
        change: dict[str, Any] = await request.json()
        collection = sandbox.world.collection(change["collection"])
        try:
            if "add" in change:
                collection.add(change["add"], change.get("parent"))
            elif "delete" in change:
                collection.delete(change["delete"])
            else:
                collection.edit(change["edit"], **change["changes"])
        except KeyError as error:
            return JSONResponse({"message": f"there is no {error}"}, 404)
    else:
        return JSONResponse({"message": "requests, faults or edit"}, 404)
    return JSONResponse({"done": True})


def _limit(endpoint: Endpoint, request: Request) -> int:
    asked = request.query_params.get("limit")
    limit = int(asked) if asked and asked.isdigit() else DEFAULT_LIMIT
    if limit > endpoint.maximum:
        message = f"limit must be less than or equal to {endpoint.maximum}"
        raise Refusal(400, "BAD_REQUEST", message)
    return max(1, limit)


def _select(endpoint: Endpoint, request: Request, rows: Rows) -> tuple[Rows, int]:
    """The rows that the request's filters leave: so many, from the start."""
    query = request.query_params
    unknown = set(query.getlist("expand[]")) - endpoint.expand
    if unknown:
        raise Refusal(400, "BAD_REQUEST", f"Unsupported entity expansion: {sorted(unknown)[0]}")
    since = _moment(query, endpoint.since)
    until = _moment(query, endpoint.until)
    count = rows.since(since) if since else len(rows.ids)
    wanted = {f: query.getlist(p) for p, f in endpoint.filters if query.getlist(p)}
    hides = endpoint.collection == "users" and "status" not in wanted
    if not wanted and not hides and not until:
        return rows, count
    kept = Rows()
    for key, day, body in islice(zip(rows.ids, rows.dates, rows.bodies, strict=True), count):
        item = msgspec.json.decode(body)
        if (until and day > until) or (hides and item.get("status") in HIDDEN):
            continue
        if all(_matches(item, path, values) for path, values in wanted.items()):
            kept.ids.append(key)
            kept.dates.append(day)
            kept.bodies.append(body)
    return kept, len(kept.ids)


def _moment(query: QueryParams, parameter: str | None) -> str | None:
    """A filter's date or date-time as sent, with or without a zone; anything else is refused."""
    moment = query.get(parameter) if parameter else None
    if not moment:
        return None
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        raise Refusal(400, "BAD_REQUEST", f"{parameter} is invalid") from None
    return moment


def _matches(item: Item, path: str, values: list[str]) -> bool:
    found: Any = item
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    wanted = {part for value in values for part in value.split(",")}
    return bool(wanted & set(found)) if isinstance(found, list) else str(found) in wanted


def _page(endpoint: Endpoint, rows: Rows, count: int, cursor: str | None, limit: int) -> bytes:
    offset = 0
    if cursor is not None:
        limit, offset = _position(cursor)
        if not 0 < limit <= endpoint.maximum:
            raise Refusal(400, "BAD_REQUEST", "Invalid cursor")
    items = b",".join(rows.bodies[offset : min(offset + limit, count)])
    end = offset + limit
    more = end < count
    following = _cursor(limit, end).encode() if more else b""
    tail = b'"next_cursor":"' + following + b'"' if more else b'"next_cursor":null'
    if endpoint.shape is Shape.RECORDS:
        tail += b',"has_next_page":' + (b"true" if more else b"false")
        tail += b',"total_count":%d' % count
    return b'{"items":[' + items + b"]," + tail + b"}"


def _cursor(limit: int, offset: int) -> str:
    return base64.b64encode(b'{"limit":%d,"offset":%d}' % (limit, offset)).decode()


def _position(cursor: str) -> tuple[int, int]:
    try:
        position = msgspec.json.decode(base64.b64decode(cursor, validate=True))
        return int(position["limit"]), int(position["offset"])
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError):
        raise Refusal(400, "BAD_REQUEST", "Invalid cursor") from None


async def _wait(fault: Fault) -> None:
    if fault.kind is Kind.DELAY:
        await asyncio.sleep(fault.seconds)
    elif fault.kind is Kind.HANG:
        await asyncio.sleep(3600)


def _refuse(fault: Fault) -> None:
    if fault.kind is Kind.STATUS:
        refusal = Refusal(fault.status, "", "", **fault.headers)
        refusal.response.body = fault.body.encode()
        refusal.response.headers["content-length"] = str(len(refusal.response.body))
        raise refusal
    if fault.kind is Kind.EXPIRED_CURSOR:
        raise Refusal(400, "BAD_REQUEST", "Invalid cursor")
    if fault.kind is Kind.SMALL_PAGES:
        raise Refusal(400, "BAD_REQUEST", f"limit must be less than or equal to {fault.limit}")


def _spoil(fault: Fault, body: bytes, cursor: str | None) -> Response:
    """The answer as the fault leaves it."""
    if fault.kind is Kind.HTML:
        return Response("<html><body>Bad gateway</body></html>", media_type="text/html")
    spoilt = {
        Kind.BODY: fault.body.encode(),
        Kind.TRUNCATED: body[: len(body) // 2],
        Kind.EMPTY: b"",
        Kind.NO_ITEMS: b'{"next_cursor":null}',
        Kind.NULL_ITEMS: b'{"items":null,"next_cursor":null}',
    }
    if fault.kind is Kind.LOOP and cursor is not None:
        envelope = msgspec.json.decode(body) | {"next_cursor": cursor}
        return Response(msgspec.json.encode(envelope), media_type="application/json")
    return Response(spoilt.get(fault.kind, body), media_type="application/json")
