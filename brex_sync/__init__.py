"""A company's Brex account in Postgres; and, for Python programs, Brex itself.

`from brex_sync import Brex`, then `Brex.connect("brex").get("/v2/users/me")`. The clients are
loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from brex_sync.errors import (
    ActionNeeded,
    BrexError,
    CredentialRefused,
    LoopingCursor,
    NeverAsked,
    NotAllowed,
    NotFound,
    Oversized,
    RateLimited,
    Refused,
    ServerFault,
    Transient,
    Unreachable,
    UnusableAnswer,
)

if TYPE_CHECKING:
    from brex_sync.client.clients import AsyncBrex, Brex

__all__ = [
    "ActionNeeded",
    "AsyncBrex",
    "Brex",
    "BrexError",
    "CredentialRefused",
    "LoopingCursor",
    "NeverAsked",
    "NotAllowed",
    "NotFound",
    "Oversized",
    "RateLimited",
    "Refused",
    "ServerFault",
    "Transient",
    "Unreachable",
    "UnusableAnswer",
]


def __getattr__(name: str) -> Any:
    if name not in ("AsyncBrex", "Brex"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from brex_sync.client import clients

    return getattr(clients, name)
