"""Receipts: writes that return a pre-signed link, and the files put there without a credential."""

import hashlib
from datetime import timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.write_log import Upload
from brex_sync.sandbox.writes.card_expenses import check_is_on_card, edit_expense
from brex_sync.sandbox.writes.declare import ReceivedWrite, Text, WriteEndpoint

PATH = "/_uploads/{id}"
LIFE = timedelta(minutes=30)
LARGEST = 50 * 1024 * 1024


class NewReceipt(msgspec.Struct):
    """A file to come."""

    receipt_name: Text


def match_receipt(call: ReceivedWrite) -> Item:
    """Takes a file for whichever expense it fits; Brex tells by e-mail which it was."""
    return open_upload(call.world, call.body.receipt_name, None, call.base)


def upload_receipt(call: ReceivedWrite) -> Item:
    """Takes a file for one expense."""
    check_is_on_card(call)
    return open_upload(call.world, call.body.receipt_name, call.id, call.base)


def open_upload(world: World, name: str, expense_id: str | None, base: str) -> Item:
    """Waits for a file, and says where to put it."""
    key = world.new_id("receipt")
    signature = hashlib.sha256(f"{world.seed} {key}".encode()).hexdigest()
    world.uploads[key] = Upload(name, expense_id, signature, world.now() + LIFE)
    return {"id": key, "uri": f"{base.rstrip('/')}/_uploads/{key}?signature={signature}"}


async def put(world: World, request: Request) -> Response:
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
        edit_expense(world, expense["id"], receipts=receipts)
    return Response(status_code=200)


RECEIPT_WRITES = (
    WriteEndpoint(
        "POST", "/v1/expenses/card/receipt_match", "", match_receipt, NewReceipt, status=201
    ),
    WriteEndpoint(
        "POST",
        "/v1/expenses/card/{id}/receipt_upload",
        "",
        upload_receipt,
        NewReceipt,
        status=201,
    ),
)
