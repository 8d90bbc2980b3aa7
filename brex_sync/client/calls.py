"""Requests checked before they are made, and JSON without any number rounded."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec

from brex_sync.brex.allowed import refusal
from brex_sync.brex.client import BrexRequest
from brex_sync.brex.strict_json import clean, exact
from brex_sync.errors import NeverAsked, UnusableAnswer

WRITES_ONCE = ("POST", "PUT")
"""The methods that take an idempotency key (Brex's idempotency guide)."""

Value = str | int | Decimal | bool
Params = Mapping[str, Value | Sequence[Value]]
"""Query parameters; a sequence is sent as one parameter per element."""

_DECODER = msgspec.json.Decoder(float_hook=exact)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def call_of(
    method: str,
    path: str,
    params: Params | None = None,
    body: bytes | None = None,
    idempotency_key: str | None = None,
) -> BrexRequest:
    """A request that may be made; with a key of its own, where the method takes one.

    Raises:
        NeverAsked: it may not.
    """
    method = method.upper()
    if why := refusal(method, path):
        raise NeverAsked(f"{method[:20]} {path[:100]!a} is not asked: {why}")
    if idempotency_key is None and method in WRITES_ONCE:
        idempotency_key = str(uuid4())
    return BrexRequest(method, path, texts(params or {}), body, idempotency_key)


def texts(params: Params) -> dict[str, str | list[str]]:
    """Parameters as they are sent."""
    return {
        name: [_text(one) for one in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else _text(value)
        for name, value in params.items()
    }


def decode(body: bytes) -> Any:
    """JSON as Python values, floats as Decimal; None for an empty body.

    Raises:
        UnusableAnswer: it is no JSON.
    """
    if not body.strip():
        return None
    try:
        return _DECODER.decode(clean(body)[0])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnusableAnswer(f"the answer is not JSON: {error}") from None


encode = partial(_ENCODER.encode)
"""Python values as JSON, Decimals as numbers."""


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
