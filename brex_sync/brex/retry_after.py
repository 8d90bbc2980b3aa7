"""The header Retry-After: how long Brex, or a gateway on the way, asks clients to wait."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 120.0
"""Seconds that are waited at most. More is no delay that Brex means (its limit counts 60 s), but an
epoch second or another's rule, and would keep a whole connection from working."""

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def asked_for(header: str | None, answered: str | None = None) -> float | None:
    """The delay in seconds, not negative, from a number or an HTTP date (RFC 9110, 10.2.3); None if
    the header has neither.

    A date counts from `answered`, the response's own Date, so that the clocks need not agree.
    """
    told = (header or "").strip()
    if _NUMBER.fullmatch(told):
        return float(told)
    moment = _moment(told)
    if moment is None:
        return None
    return max(0.0, (moment - (_moment(answered or "") or datetime.now(UTC))).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
