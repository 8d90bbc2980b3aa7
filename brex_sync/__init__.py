"""A company's Brex account in Postgres; and, for Python programs, Brex itself.

`from brex_sync import Brex`, then `Brex.connect("brex").get("/v2/users/me")`. What is imported
from here is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from brex_sync.requests.clients import AsyncBrex, Brex

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

_ELSEWHERE = {
    "ActionNeeded": "brex_sync.connections.credentials",
    "AsyncBrex": "brex_sync.requests.clients",
    "Brex": "brex_sync.requests.clients",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "brex_sync.brex.error_responses")), name)
