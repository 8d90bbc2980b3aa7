"""Files by pre-signed links: outside the API, and without its credential."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from brex_sync.sandbox.data.expenses import change
from brex_sync.sandbox.world.collection import Item

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

PATH = "/_uploads/{id}"
LIFE = timedelta(minutes=30)
LARGEST = 50 * 1024 * 1024


@dataclass(slots=True)
class Upload:
    """A file that may come: for an expense, or for one yet to be found; `content` once it came."""

    name: str
    expense_id: str | None
    signature: str
    ends_at: datetime
    content: bytes | None = None


def open_upload(world: "World", name: str, expense_id: str | None, base: str) -> Item:
    """Waits for a file, and says where to put it."""
    key = world.new_id("receipt")
    signature = hashlib.sha256(f"{world.seed} {key}".encode()).hexdigest()
    world.uploads[key] = Upload(name, expense_id, signature, world.now() + LIFE)
    return {"id": key, "uri": f"{base.rstrip('/')}/_uploads/{key}?signature={signature}"}


async def put(world: "World", request: Request) -> Response:
    """Takes the file; the receipt then shows in its expense.

    A request with an Authorization header is refused with 400, as S3 does: the link is enough, and
    the token is for Brex alone.
    """
    if "Authorization" in request.headers:
        return Response("InvalidArgument: Only one auth mechanism allowed", 400)
    key = request.path_params["id"]
    upload = world.uploads.get(key)
    if upload is None or request.query_params.get("signature") != upload.signature:
        return Response("SignatureDoesNotMatch", 403)
    if world.now() > upload.ends_at:
        return Response("AccessDenied: Request has expired", 403)
    content = await request.body()
    if len(content) > LARGEST:
        return Response("EntityTooLarge", 400)
    first = upload.content is None
    upload.content = content
    expense = world.collection("expenses").get(upload.expense_id or "")
    if first and expense is not None:
        receipts = [*(expense.get("receipts") or ()), {"id": key}]
        change(world, expense["id"], receipts=receipts)
    return Response(status_code=200)
