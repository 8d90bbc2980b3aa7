"""What each type of event tells of: the rows to fetch again, and the table it fills."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from brex_sync.brex.strict_json import exact
from brex_sync.errors import MalformedEvent
from brex_sync.sensitive import purge
from brex_sync.streams import EVENT_TABLES, STREAMS, EventTable, Stream
from brex_sync.sync.normalise.values import encode

_decode = msgspec.json.Decoder(float_hook=exact).decode


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event: the stream whose rows changed, and the fields that name them.

    A field holds an id or a list of ids; those after the first may be null or missing. `table` is
    the table in which the body itself is a row.
    """

    name: str
    stream: Stream
    fields: tuple[str, ...]
    table: EventTable | None = None

    def keys(self, body: str) -> list[str]:
        """The ids of the rows an event concerns, each once.

        Raises:
            MalformedEvent: the first field holds none, or a field holds something else.
        """
        content = _object(body)
        found = list(dict.fromkeys(self._keys(content)))
        if not found:
            raise MalformedEvent(f"{self.name} without {self.fields[0]}")
        return found

    def _keys(self, content: dict[str, Any]) -> Iterator[str]:
        for number, field in enumerate(self.fields):
            value = content.get(field)
            if value is None and number > 0:
                continue
            values: list[Any] = value if isinstance(value, list) else [value]
            if not all(isinstance(one, str) and one for one in values):
                raise MalformedEvent(f"{self.name}: {field} is no id and no list of ids")
            yield from values


def company_of(body: str) -> str | None:
    """The company an event is about, where it says so, in either spelling Brex uses."""
    content: Any = msgspec.json.decode(body)
    found = content.get("company_id", content.get("companyId"))
    return found if isinstance(found, str) else None


def storable(body: str) -> str:
    """The body without what must not be stored; identifiers and amounts stay as they are."""
    content: Any = _decode(body)
    names = {name for kind in EVENT_TYPES.values() for name in kind.fields}
    columns = [c for table in EVENT_TABLES.values() for c in table.columns]
    names |= {c.keys[-1] for c in columns if c.name.endswith("_id")}
    changed = purge(content, exempt=names | {"amount", "version", "company_id", "companyId"})
    return encode(content).decode() if changed else body


def _object(body: str) -> dict[str, Any]:
    content: Any = msgspec.json.decode(body)
    if not isinstance(content, dict):
        raise MalformedEvent("the body is no object")
    return content


EVENT_TYPES: dict[str, EventType] = {
    one.name: one
    for one in (
        EventType("USER_UPDATED", STREAMS["users"], ("user_id",)),
        EventType("TRANSFER_PROCESSED", STREAMS["transfers"], ("transfer_id", "return_for_id")),
        EventType("TRANSFER_FAILED", STREAMS["transfers"], ("transfer_id", "return_for_id")),
        EventType(
            "EXPENSE_PAYMENT_UPDATED",
            STREAMS["expenses"],
            ("expense_id",),
            EVENT_TABLES["expense_payments"],
        ),
        EventType(
            "ACCOUNTING_RECORD_READY_FOR_EXPORT",
            STREAMS["accounting_records"],
            ("accountingRecordIds",),
        ),
        EventType("REFERRAL_CREATED", STREAMS["referrals"], ("referral_id",)),
        EventType("REFERRAL_ACTIVATED", STREAMS["referrals"], ("referral_id",)),
        EventType("REFERRAL_APPLICATION_STATUS_CHANGED", STREAMS["referrals"], ("referral_id",)),
    )
}
"""The types Brex publishes the bodies of; others are kept, and nothing comes of them."""
