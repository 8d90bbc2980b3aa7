"""The door by which another process steers a sandbox: faults, the log of requests, the truth."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from brex_sync.sandbox.faults import Fault, Faults
from brex_sync.sandbox.world import World


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
    """GET /_sandbox/requests; POST or DELETE …/faults; POST …/edit."""
    what = request.path_params["what"]
    if what == "requests":
        return JSONResponse([asdict(entry) for entry in requests])
    if what == "faults" and request.method == "DELETE":
        faults.clear()
    elif what == "faults":
        faults.add(Fault(**await request.json()))
    elif what == "edit":
        return _edit(world, await request.json())
    else:
        return JSONResponse({"message": "requests, faults or edit"}, 404)
    return JSONResponse({"done": True})


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
