"""A step's request to Brex, and what is kept of the answer."""

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
from brex_sync.warehouse.workflow_runs import Answer
from brex_sync.workflows.declare import Kept, Step
from brex_sync.workflows.files import read_inside

EXPENSE = "/v1/expenses/{id}"
READINGS = 5
"""How often a list of several pages is read until two readings agree."""
_PLACE = re.compile(r"\{\w+\}")


@dataclass(slots=True)
class Sent:
    """What became of a request so far."""

    meter: Meter = field(default_factory=Meter)
    reply: Reply | None = None

    def answer(self, error: BrexError | None = None, told: str | None = None) -> Answer:
        """The same for the record; `error` is why it did not succeed, `told` how that is said."""
        said = error.fault if error is not None else self.reply
        status, trace_id = (said.status, said.trace_id) if said else (None, None)
        return Answer(self.meter.requests, status, told, trace_id)


async def look(client: BrexClient, step: Step) -> Any:
    """What is kept of something that is only looked at.

    Raises:
        BrexError: it could not be seen.
    """
    if not step.every:
        return await client.get(step.url, step.params, partial(_kept, step.keep), Meter())
    return await _list(client, step)


def distinct(step: Step, items: Iterable[Kept]) -> list[Kept]:
    """The items of a list, each once, in the order in which they were first listed.

    Brex's cursors are positions in a list that moves, so an item may come twice; what was listed
    last of it counts. Items without an identifier are all kept.
    """
    found: dict[Hashable, Kept] = {}
    for number, item in enumerate(items):
        found[_identity(step, item) or number] = item
    return list(found.values())


async def _list(client: BrexClient, step: Step) -> list[Kept]:
    """A whole list. One of several pages is read again until a reading adds nothing: an item may
    have slipped from one page to another that was read before."""
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
    """What tells an item of a list from others: the key of the stream that is the same list."""
    path = _PLACE.sub("{}", step.call.path)
    keys = (s.key for s in STREAMS.values() if _PLACE.sub("{}", s.path) == path)
    names = [name for name in next(keys, ("id",)) if name in item]
    values = tuple(item[name] for name in names)
    return values if values and all(isinstance(value, str) for value in values) else None


async def send(client: BrexClient, step: Step, key: str, sent: Sent) -> Kept:
    """What is kept of the answer to a write.

    Raises:
        BrexError: it was refused, or it is not known whether it was done.
    """
    return _pick(step.keep, await _ask(client, step, key, sent, step.keep))


async def ask_for_link(client: BrexClient, step: Step, key: str, sent: Sent) -> tuple[str, Kept]:
    """Where to put a file, which is a permission to be kept nowhere; and what is kept.

    Raises:
        BrexError: it was refused, or no answer came.
    """
    answer = await _ask(client, step, key, sent, ("id", "uri"))
    return str(answer["uri"]), _pick(step.keep, answer)


async def is_attached(client: BrexClient, step: Step, receipt: str) -> bool:
    """Whether an expense has a receipt. Raises BrexError."""
    path = EXPENSE.replace("{id}", quote(step.id or "", safe=""))
    expense = await client.get(path, {}, _object, Meter())
    return any(one.get("id") == receipt for one in expense.get("receipts") or ())


def read_file(step: Step) -> bytes:
    """A step's file, if it is still what it was.

    Raises:
        Refused: it is not.
    """
    if step.file is None:
        raise ValueError(f"step {step.name!r} has no file")
    try:
        content = read_inside(step.file.path.parent, step.file.path.name, LARGEST)
    except UnfitFile as unfit:
        raise Refused(f"{step.file.path}: {unfit}") from None
    if digest_of(content) != step.file.digest:
        raise Refused(f"{step.file.path} was changed since the workflow was asked for")
    return content


def digest_of(content: bytes) -> str:
    """SHA-256, by which a file is known again."""
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
    """Raises UnusableAnswer for what is no JSON object."""
    read: dict[str, Any] = msgspec.json.decode(read_item(body).items[0])
    return read


def _kept(keep: tuple[str, ...], body: bytes) -> Kept:
    return _pick(keep, _checked(keep, body))


def _checked(keep: tuple[str, ...], body: bytes) -> dict[str, Any]:
    answer = _object(body)
    _needed(("id",) if "id" in keep else (), answer)
    return answer


def _needed(names: tuple[str, ...], answer: Mapping[str, Any]) -> None:
    for name in names:
        if not isinstance(answer.get(name), str) or not answer[name]:
            raise UnusableAnswer(f"the answer has no {name}")


def _pick(keep: tuple[str, ...], answer: Mapping[str, Any]) -> Kept:
    return {name: answer.get(name) for name in keep}
