"""A receiver of webhooks that notes all it is sent."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brex_sync.http_server import running
from brex_sync.sandbox import World
from brex_sync.sandbox.events.signing_secrets import ensure_secret


@dataclass
class Heard:
    """A delivery as it came: seconds, headers by lower-case name, the raw body and its JSON."""

    at: float
    headers: dict[str, str]
    raw: bytes
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """What was heard; `statuses` are answered one after the other, and then 204."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def ids(self) -> list[str]:
        """The ids heard, in order."""
        return [heard.id for heard in self.heard]

    async def take(self, request: Request) -> Response:
        raw = await request.body()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(time.monotonic(), headers, raw, await request.json()))
        return Response(status_code=self.statuses.pop(0) if self.statuses else 204)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own while the block runs."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/hook", receiver.take, methods=["POST"])])
    with running(app) as url:
        receiver.url = f"{url}/hook"
        yield receiver


def subscribe(world: World, url: str, *events: str, status: str = "ACTIVE") -> str:
    """A subscription in the world, as if registered; returns its id."""
    key = world.new_id("wsub")
    hook = {"id": key, "group_id": None, "url": url, "event_types": list(events), "status": status}
    world.collection("webhooks").add(hook)
    ensure_secret(world)
    return key
