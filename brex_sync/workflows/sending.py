"""Sends the request of a step to Brex, and keeps fields of the response."""

import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from brex_sync.brex.client import BrexClient, BrexRequest, Meter, Reply
from brex_sync.brex.paging import Listing, walk
from brex_sync.brex.strict_json import read_item
from brex_sync.brex.uploads import LARGEST
from brex_sync.errors import BrexError, Refused, UnfitFile, UnusableAnswer
from brex_sync.streams import STREAMS
from brex_sync.streams.declare import Shape
from brex_sync.warehouse.workflows.step_log import WriteResult
from brex_sync.workflows.declare import Kept, Step
from brex_sync.workflows.files import read_inside

EXPENSE = "/v1/expenses/{id}"
READINGS = 5
"""How often a list of several pages is read, at most, until a reading adds no item."""
_PLACE = re.compile(r"\{\w+\}")


@dataclass(slots=True)
class Sent:
    """The requests that a write has taken so far, and the last response."""

    meter: Meter = field(default_factory=Meter)
    reply: Reply | None = None

    def result(self, error: BrexError | None = None, message: str | None = None) -> WriteResult:
        """Returns the result to record; `error` is why the write failed, `message` its text."""
        last = error.fault if error is not None else self.reply
        status, trace_id = (last.status, last.trace_id) if last else (None, None)
        return WriteResult(self.meter.requests, status, message, trace_id)


async def look(client: BrexClient, step: Step) -> Any:
    """Returns the fields kept of an object, or of the items of a list.

    Raises:
        BrexError: it could not be read.
    """
    if not step.every:
        return await client.get(step.url, step.params, partial(_kept, step.keep), Meter())
    return await _list(client, step)


def distinct(step: Step, items: Iterable[Kept]) -> list[Kept]:
    """Returns the items of a list, each once, in the order in which they were first listed.

    Brex's cursors are positions in a list that moves, so an item may be listed twice; the last
    occurrence counts. Items without an identifier are all kept.
    """
    found: dict[Hashable, Kept] = {}
    for number, item in enumerate(items):
        found[_identity(step, item) or number] = item
    return list(found.values())


async def _list(client: BrexClient, step: Step) -> list[Kept]:
    """Returns a whole list. One of several pages is read again until a reading adds no item: an
    item may have moved to a page that had been read already."""
    found: dict[Hashable, Kept] = {}
    for _ in range(READINGS):
        pages, known, nameless = 0, len(found), []
        async for page in walk(client, _listing(step), Meter()):
            pages += 1
            for body in page.items:
                item = _checked(step.keep, body)
                kept, identity = _pick(step.keep, item), _identity(step, item)
                if identity is None:
                    nameless.append(kept)
                else:
                    found[identity] = kept
        if pages == 1 or len(found) == known:
            return [*found.values(), *nameless]
    raise UnusableAnswer(f"{step}: rows moved from page to page in each of {READINGS} readings")


def _listing(step: Step) -> Listing:
    return Listing(step.url, step.params, None, Shape.ENVELOPE)


def _identity(step: Step, item: Mapping[str, Any]) -> Hashable | None:
    """Returns the values that identify an item: the key of the stream that reads the same list."""
    path = _PLACE.sub("{}", step.call.path)
    keys = (s.key for s in STREAMS.values() if _PLACE.sub("{}", s.path) == path)
    names = [name for name in next(keys, ("id",)) if name in item]
    values = tuple(item[name] for name in names)
    return values if values and all(isinstance(value, str) for value in values) else None


async def send(client: BrexClient, step: Step, key: str, sent: Sent) -> Kept:
    """Sends a write; returns the fields kept of the response.

    Raises:
        BrexError: Brex refused it, or it is not known whether it was done.
    """
    return _pick(step.keep, await _ask(client, step, key, sent, step.keep))


async def ask_for_link(client: BrexClient, step: Step, key: str, sent: Sent) -> tuple[str, Kept]:
    """Asks Brex for an upload link; returns it with the fields kept of the response.

    The link permits the upload by itself, so it must not be stored or logged.

    Raises:
        BrexError: Brex refused the request, or sent no response.
    """
    response = await _ask(client, step, key, sent, ("id", "uri"))
    return str(response["uri"]), _pick(step.keep, response)


async def is_attached(client: BrexClient, step: Step, receipt: str) -> bool:
    """Returns whether an expense has the receipt with this id. Raises BrexError."""
    path = EXPENSE.replace("{id}", quote(step.id or "", safe=""))
    expense = await client.get(path, {}, _object, Meter())
    return any(one.get("id") == receipt for one in expense.get("receipts") or ())


def read_file(step: Step) -> bytes:
    """Returns the content of a step's file.

    Raises:
        Refused: the file cannot be read, or has changed since the run was requested.
    """
    if step.file is None:
        raise ValueError(f"step {step.name!r} has no file")
    try:
        content = read_inside(step.file.path.parent, step.file.path.name, LARGEST)
    except UnfitFile as unfit:
        raise Refused(f"{step.file.path}: {unfit}") from None
    if digest_of(content) != step.file.digest:
        raise Refused(f"{step.file.path} was changed since the run was requested")
    return content


def digest_of(content: bytes) -> str:
    """Returns the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


async def _ask(
    client: BrexClient, step: Step, key: str, sent: Sent, needed: tuple[str, ...]
) -> Mapping[str, Any]:
    body = None if step.body is None else msgspec.json.encode(step.body)
    call = BrexRequest(step.method, step.url, step.params, body, key)

    def check(reply: Reply) -> None:
        _needed(needed, _object(reply.body))

    sent.reply = await client.send(call, sent.meter, check)
    return _object(sent.reply.body)


def _object(body: bytes) -> dict[str, Any]:
    """Returns a JSON object. Raises UnusableAnswer for any other body."""
    read: dict[str, Any] = msgspec.json.decode(read_item(body).items[0])
    return read


def _kept(keep: tuple[str, ...], body: bytes) -> Kept:
    return _pick(keep, _checked(keep, body))


def _checked(keep: tuple[str, ...], body: bytes) -> dict[str, Any]:
    response = _object(body)
    _needed(("id",) if "id" in keep else (), response)
    return response


def _needed(names: tuple[str, ...], response: Mapping[str, Any]) -> None:
    for name in names:
        if not isinstance(response.get(name), str) or not response[name]:
            raise UnusableAnswer(f"the answer has no {name}")


def _pick(keep: tuple[str, ...], response: Mapping[str, Any]) -> Kept:
    return {name: response.get(name) for name in keep}
