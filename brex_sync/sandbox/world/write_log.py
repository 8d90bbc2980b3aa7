"""What is remembered of writes: the log for tests, answers by Idempotency-Key, and files."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Written:
    """A write that came with a good credential.

    `body` is its JSON (None without one), `key` its Idempotency-Key, `status` the answer before
    any fault; `repeated` tells that the key was known and nothing was done.
    """

    method: str
    path: str
    key: str | None
    body: Any
    repeated: bool
    status: int

    @property
    def done(self) -> bool:
        """Whether it changed the world."""
        return self.status < 300 and not self.repeated


@dataclass(frozen=True, slots=True)
class Answered:
    """The first answer to an Idempotency-Key, and the request it answered."""

    request: tuple[str, str, Any]
    status: int
    body: bytes


@dataclass(slots=True)
class Upload:
    """A file that may come: for an expense, or for one yet to be found; `content` once it came."""

    name: str
    expense_id: str | None
    signature: str
    ends_at: datetime
    content: bytes | None = None
