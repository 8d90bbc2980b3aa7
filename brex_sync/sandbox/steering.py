"""The door by which another process steers a sandbox: faults, the log of requests, the truth."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from brex_sync.sandbox.events.changes import emit_purchase
from brex_sync.sandbox.events.signing_secrets import revoke_old_secrets, rotate_secret
from brex_sync.sandbox.faults import Fault, Faults
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import decode


@dataclass(frozen=True, slots=True)
class Logged:
    """A request as it came: monotonic seconds, method, path, query and the status answered."""

    at: float
    method: str
    path: str
    query: str
    status: int


async def steer(
    world: World, faults: Faults, requests: Iterable[Logged], request: Request
) -> Response:
    """One look or one turn.

    GET /_sandbox/requests, …/writes, …/events, …/attempts: the logs. POST or DELETE …/faults.
    POST …/edit: an item. POST …/emit {"event_type", fields}: an event, answered with its id.
    POST …/purchase {"expense_id", "version", "status"}: an EXPENSE_PAYMENT_UPDATED of it.
    POST …/conduct: fields of `Conduct`. POST …/secrets {"rotate": true, "prefix": ""} or
    {"rotate": false}, which revokes what is about to be.
    """
    what = request.path_params["what"]
    if what == "requests":
        return JSONResponse([asdict(entry) for entry in requests])
    if request.method == "GET":
        return _look(world, what)
    if what == "faults" and request.method == "DELETE":
        faults.clear()
    elif what == "faults":
        faults.add(Fault(**await request.json()))
    elif what == "edit":
        return _edit(world, await request.json())
    elif what in _TURNS:
        try:
            return _TURNS[what](world, await request.json())
        except TypeError as error:
            return JSONResponse({"message": str(error)}, 400)
    else:
        return _unknown()
    return JSONResponse({"done": True})


def _look(world: World, what: str) -> Response:
    if what == "writes":
        return JSONResponse([asdict(entry) for entry in world.writes])
    if what == "attempts":
        return JSONResponse([asdict(entry) for entry in world.events.attempts])
    if what == "events":
        emitted = world.events.emitted
        return JSONResponse([asdict(e) | {"body": decode(e.body)} for e in emitted])
    return _unknown()


def _unknown() -> Response:
    return JSONResponse({"message": "there is nothing of that name to see or to turn"}, 404)


def _emit(world: World, event: dict[str, Any]) -> Response:
    return JSONResponse({"id": world.emit(**event).id})


def _purchase(world: World, purchase: dict[str, Any]) -> Response:
    return JSONResponse({"id": emit_purchase(world, **purchase).id})


def _conduct(world: World, conduct: dict[str, Any]) -> Response:
    world.events.conduct = replace(world.events.conduct, **conduct)
    return JSONResponse({"done": True})


def _secrets(world: World, wish: dict[str, Any]) -> Response:
    if wish.get("rotate", True):
        return JSONResponse({"secret": rotate_secret(world, wish.get("prefix", ""))})
    revoke_old_secrets(world)
    return JSONResponse({"done": True})


_TURNS: dict[str, Callable[[World, dict[str, Any]], Response]] = {
    "emit": _emit,
    "purchase": _purchase,
    "conduct": _conduct,
    "secrets": _secrets,
}


def _edit(world: World, change: dict[str, Any]) -> Response:
    """Adds, deletes or changes an item of a collection."""
    try:
        collection = world.collection(change["collection"])
        if "add" in change:
            collection.add(change["add"], change.get("parent"))
        elif "delete" in change:
            collection.delete(change["delete"])
        else:
            collection.edit(change["edit"], **change["changes"])
    except KeyError as error:
        return JSONResponse({"message": f"there is no {error}"}, 404)
    return JSONResponse({"done": True})
