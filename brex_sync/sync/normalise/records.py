"""A page's items as records of declared shape: the quick way, for pages that are as declared.

Decoding and checking in one step, without a dict per object, takes half the time and none of the
garbage collector's. Whatever does not fit is left to the patient way, which tells why.
"""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from brex_sync.streams.columns import Column, Kind
from brex_sync.sync.normalise.values import storable

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.INTEGER: int | None,
    Kind.BOOLEAN: bool | None,
    Kind.DATE: str | None,
    Kind.TIMESTAMP: str | None,
    Kind.DECIMAL: Any,
    Kind.JSON: Any,
}
_MONEY = {"amount": _TYPES[Kind.INTEGER], "currency": _TYPES[Kind.TEXT]}
_PREFIX = "x_"
"""Before every field, so that one may be called like a word of Python."""


def read_records(columns: tuple[Column, ...], raw: Sequence[bytes]) -> list[Any] | None:
    """The items as records; None where one of them is not as declared, or has a field more."""
    try:
        return _decoder(columns).decode(b"[" + b",".join(raw) + b"]")
    except (msgspec.DecodeError, RecursionError):
        return None


def follow(records: Sequence[Any], key: str) -> list[Any]:
    """The field `key` of every record, None where there is none."""
    field = attrgetter(_PREFIX + key)
    try:
        return list(map(field, records))
    except AttributeError:
        return [None if record is None else field(record) for record in records]


@lru_cache(maxsize=256)
def _decoder(columns: tuple[Column, ...]) -> "msgspec.json.Decoder[list[Any]]":
    shape: dict[str, Any] = {}
    for column in columns:
        *above, last = column.keys
        inner = shape
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = dict(_MONEY) if column.kind is Kind.MONEY else _TYPES[column.kind]
    return msgspec.json.Decoder(list[_record(shape)], float_hook=storable)  # type: ignore[misc]


def _record(shape: dict[str, Any]) -> type[msgspec.Struct]:
    fields = [
        (_PREFIX + key, _record(inner) | None if isinstance(inner, dict) else inner, None)
        for key, inner in shape.items()
    ]
    return msgspec.defstruct(
        "Record",
        fields,
        rename=lambda name: name.removeprefix(_PREFIX),
        forbid_unknown_fields=True,
        gc=False,
    )
