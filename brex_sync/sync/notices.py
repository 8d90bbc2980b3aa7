"""What is told to others when rows changed. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec

from brex_sync.warehouse.events.outbox import Notice

CHANGED = "stream.changed"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to the rows of a stream.

    `kind` is that of the sync, or `webhook`; whoever asks for rows with `_changed_at` at or after
    `changed_since` gets all that changed, deletions included.
    """

    connection: str
    stream: str
    kind: str
    inserted: int
    updated: int
    deleted: int
    changed_since: datetime

    def __bool__(self) -> bool:
        return bool(self.inserted or self.updated or self.deleted)


def of_change(urls: Sequence[str], change: Change, now: datetime) -> list[Notice]:
    """The notices of a change; none where nothing changed."""
    return notices(urls, CHANGED, asdict(change), now) if change else []


def notices(urls: Sequence[str], kind: str, data: dict[str, Any], now: datetime) -> list[Notice]:
    """One message for every URL, in the form that Standard Webhooks recommends."""
    if not urls:
        return []
    body = msgspec.json.encode({"type": kind, "timestamp": now, "data": data}).decode()
    return [Notice(url, kind, body) for url in urls]
