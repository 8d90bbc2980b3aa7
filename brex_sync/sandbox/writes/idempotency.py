"""Makes each write once per Idempotency-Key, and logs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from brex_sync.sandbox.error_replies import ErrorReply, bad_request
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import encode
from brex_sync.sandbox.world.write_log import Answered, Written
from brex_sync.sandbox.writes.declare import ReceivedWrite, WriteEndpoint, read_body

KEYED_METHODS = ("POST", "PUT")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A write as HTTP brings it; `base` is the address it was sent to."""

    path: str
    names: Mapping[str, str]
    key: str | None
    raw: bytes
    base: str


def perform(world: World, write: WriteEndpoint, arrived: Arrived) -> Answered:
    """Makes the change, unless its Idempotency-Key was answered already: then that answer again.

    Brex says that a key must never be used for another request, and not what happens if it is:
    here it is refused with 400. Only what was done is remembered, so a refused write may be
    corrected under its key. Nothing is awaited in between, so writes come one after the other.

    Raises:
        ErrorReply: the write is not well, or cannot be.
    """
    key = arrived.key if write.method in KEYED_METHODS else None
    body = _json(arrived.raw)
    request = (write.method, arrived.path, body)
    known = world.answered.get(key) if key else None
    try:
        answer = _repeat(known, request) if known else _do(world, write, arrived, key, request)
    except ErrorReply as refusal:
        world.writes.append(Written(*request[:2], key, body, False, refusal.status))
        raise
    world.writes.append(Written(*request[:2], key, body, known is not None, answer.status))
    return answer


def _repeat(known: Answered, request: tuple[str, str, Any]) -> Answered:
    if known.request != request:
        raise bad_request("Idempotency-Key was used for another request")
    return known


def _do(
    world: World,
    write: WriteEndpoint,
    arrived: Arrived,
    key: str | None,
    request: tuple[str, str, Any],
) -> Answered:
    if write.keyed and not key:
        raise bad_request("Idempotency-Key header is required")
    body = read_body(write, arrived.raw)
    shown = write.apply(ReceivedWrite(world, arrived.names, body, arrived.base))
    answer = Answered(request, write.status, b"" if shown is None else encode(shown))
    if key:
        world.answered[key] = answer
    return answer


def _json(raw: bytes) -> Any:
    """The body's JSON; what is none, as text."""
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode(errors="replace")
