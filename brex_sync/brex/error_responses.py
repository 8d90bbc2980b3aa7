"""The exception for each kind of unsuccessful response."""

import codecs
import re

import msgspec

from brex_sync.errors import (
    BrexError,
    CredentialRefused,
    ErrorResponse,
    NotAllowed,
    NotFound,
    PageTooLarge,
    RateLimited,
    Refused,
    ServerFault,
    UnusableAnswer,
)
from brex_sync.sensitive import scrubbed
from brex_sync.texts import visible

_DEAD = re.compile(
    r"(?=.*\b(?:token|credential|api key)s?\b)(?=.*\b(?:invalid|revoked|expired)\b)", re.DOTALL
)
_REACH = re.compile(r"\b(?:scope|role|permission)s?\b")
_RATE = re.compile(
    r"\brate[ -]?limit|\btoo many requests\b|\bthrottl|\brequests? per (?:second|minute|hour|day)\b"
)
_PAGE_LIMIT = re.compile(
    r"(?:^|[^\w\s]\s*|\b(?:page|pagination|query|parameter|param|field|argument|value|result|results|"
    r"the|a|of|for|your|given|requested|invalid|bad|maximum|max|request)\s+)limit\b"
    r"|\bpage size\b"
)
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_EXCERPT = 300
_LATER = (408, 425)
"""The request came too slowly, or too early: said of the connection, never of what was asked."""
_NOT_BREXS = "that is not Brex's form of an error, so something on the way to it may have said so"


def classify(fault: ErrorResponse, request: str) -> BrexError:
    """The exception for an unsuccessful response. `request` is the method and path, for messages.

    A rejection counts only in Brex's form, because proxies, firewalls and load balancers use the
    same statuses. Brex returns 403 for an expired token and 401 for a missing role, so its words
    decide between the two (Brex's error-code guide, and live responses).
    """
    told = _message(fault.body)
    says = f"{request} answered {fault.status}: {scrubbed(told) or 'without a message'}"
    if fault.trace_id:
        says += f" (Brex trace id {fault.trace_id})"
    if fault.status == 429:
        return RateLimited(says, fault.retry_after)
    if fault.status >= 500 or fault.status in _LATER:
        return ServerFault(says, fault.retry_after)
    kind = _kind(fault.body) if 400 <= fault.status < 500 else None
    if kind is None:
        return UnusableAnswer(f"{says}; {_NOT_BREXS}", fault.retry_after)
    words = f"{kind}: {told}".replace("_", " ").lower()
    if _RATE.search(words):
        return RateLimited(says, fault.retry_after)
    if fault.status == 400 and _PAGE_LIMIT.search(told.replace("_", " ").lower()):
        return PageTooLarge(says, _numbers(told))
    return _refusal(fault.status, words, says)


def _refusal(status: int, words: str, says: str) -> Refused:
    """The exception for what Brex itself rejects: the request, the row, the list or the token."""
    if status in (401, 403):
        dead = _DEAD.search(words) and not _REACH.search(words)
        return CredentialRefused(says) if dead else NotAllowed(says)
    if status == 404:
        return NotFound(says)
    return Refused(says)


def _kind(body: bytes) -> str | None:
    """The kind of an error in Brex's form; None for any other form.

    The form is that of Brex's error-code guide, `type` and `message`, or of its Accounting API,
    `error_code` and `message`.
    """
    answer = _decoded(body)
    if not isinstance(answer, dict) or not isinstance(answer.get("message"), str):
        return None
    kinds = (answer.get("type"), answer.get("error_code"))
    return next((kind for kind in kinds if isinstance(kind, str) and kind), None)


def _message(body: bytes) -> str:
    answer = _decoded(body)
    if answer is None:
        return visible(body[:_EXCERPT].decode("utf-8", "replace").strip())
    return visible(str(answer.get("message") or "")) if isinstance(answer, dict) else ""


def _decoded(body: bytes) -> object:
    """The response's JSON; None if it is not JSON."""
    try:
        return msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _numbers(told: str) -> tuple[int, ...]:
    return tuple(int(re.sub(r"\D", "", number)) for number in _NUMBER.findall(told))
