"""What can go wrong between us and Brex, as one tree.

Every message says what happened in words for people and carries no credential.
"""

import re
from dataclasses import dataclass

import msgspec

from brex_sync.sensitive import scrubbed

_TOKEN = re.compile(r"\btoken\b", re.IGNORECASE)
_REACH = re.compile(r"\b(scope|role|permission)s?\b", re.IGNORECASE)
_EXCERPT = 300
_NOT_BREXS = "that is not Brex's form of an error, so something on the way to it may have said so"


class BrexError(Exception):
    """Anything that kept Brex from giving a usable answer. `fault` is the answer, if one came."""

    fault: "Fault | None" = None


class Transient(BrexError):
    """May pass by itself: worth asking again. `retry_after` is in seconds, if Brex said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreachable(Transient):
    """No answer came: no connection, a broken one, or none within the deadline."""


class RateLimited(Transient):
    """HTTP 429."""


class ServerFault(Transient):
    """HTTP 5xx."""


class UnusableAnswer(Transient):
    """A body that is not the JSON the endpoint promises. Never an end of data, nor a row's."""


class NeverAsked(BrexError):
    """The request was not made, and never will be: the message says why."""


class Oversized(BrexError):
    """The answer is larger than is taken."""


class LoopingCursor(BrexError):
    """The pages of a list do not end."""


class Refused(BrexError):
    """HTTP 4xx: asking again the same way would change nothing."""


class CursorRefused(Refused):
    """HTTP 4xx on a page cursor: it expired, or belongs to another list."""


class PageTooLarge(Refused):
    """HTTP 400 that names the page limit. `allowed` is the number it names, if it names one."""

    def __init__(self, message: str, allowed: int | None) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotFound(Refused):
    """HTTP 404, from Brex itself."""


class CredentialRefused(Refused):
    """The token is missing, expired or revoked: every stream of the connection is concerned."""


class NotAllowed(Refused):
    """The credential's role or scope does not reach this endpoint; others may still be read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The parts of an error answer that decide what it means."""

    status: int
    body: bytes
    trace_id: str | None
    retry_after: float | None


def classify(fault: Fault, request: str) -> BrexError:
    """Turns an answer other than 200 into the exception that fits it.

    Brex answers an expired token with 403 and a missing role with 401, so the body decides
    (Brex's error-code guide, and live answers). `request` is the method and path, for people.
    """
    told = _message(fault.body)
    where = f"{request} answered {fault.status}"
    says = f"{where}: {scrubbed(told) or 'without a message'}"
    if fault.trace_id:
        says += f" (Brex trace id {fault.trace_id})"
    if fault.status == 429:
        return RateLimited(says, fault.retry_after)
    if fault.status >= 500:
        return ServerFault(says, fault.retry_after)
    if fault.status in (401, 403):
        refused = _TOKEN.search(told) and not _REACH.search(told)
        return CredentialRefused(says) if refused or not fault.body.strip() else NotAllowed(says)
    if fault.status == 404:
        return NotFound(says) if _is_brexs(fault.body) else UnusableAnswer(f"{says}; {_NOT_BREXS}")
    if fault.status == 400 and "limit" in told.lower():
        return PageTooLarge(says, _allowed(told))
    return Refused(says)


def _is_brexs(body: bytes) -> bool:
    """Whether an error has Brex's form (its error-code guide; the Accounting API's own), and is
    not of a gateway on the way, which knows nothing of rows."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(answer, dict) or not isinstance(answer.get("message"), str):
        return False
    return any(isinstance(answer.get(name), str) for name in ("type", "error_code"))


def _message(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:_EXCERPT].decode("utf-8", "replace").strip()
    return str(answer.get("message") or "") if isinstance(answer, dict) else ""


def _allowed(message: str) -> int | None:
    numbers = [int(number) for number in re.findall(r"\d+", message)]
    return min(numbers, default=None)
