"""How a number of things spreads over days: more on working days, more as the company grows."""

from collections.abc import Iterator
from datetime import date, timedelta

SATURDAY = 5
AT_WEEKENDS = 0.35
GROWTH = 0.8


def days(first: date, last: date) -> list[str]:
    """Every day from first to last, YYYY-MM-DD."""
    return [(first + timedelta(n)).isoformat() for n in range((last - first).days + 1)]


def spread(number: int, first: date, last: date) -> Iterator[tuple[date, int]]:
    """Each day with its share of `number`, oldest first; the last day has the last of them."""
    span = (last - first).days + 1
    weights = [
        (1 + GROWTH * n / span) * (AT_WEEKENDS if _weekend(first, n) else 1.0) for n in range(span)
    ]
    total, reached, given = sum(weights), 0.0, 0
    for n, weight in enumerate(weights):
        reached += weight
        until = number if n == span - 1 else min(number - 1, int(number * reached / total))
        until = max(given, until)
        yield first + timedelta(n), until - given
        given = until


def _weekend(first: date, n: int) -> bool:
    return (first.weekday() + n) % 7 >= SATURDAY
