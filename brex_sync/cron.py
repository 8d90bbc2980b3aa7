"""Which schedules Dagster runs, and when they tick, without importing Dagster.

Dagster has its own copy of croniter. Our release of croniter is the one that agrees with it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

EXPECTED = "expected five cron fields, such as '0 * * * *'"
NEVER = "there is no such day, so it would never sync"
_FRIDAY = datetime(2024, 1, 5, tzinfo=UTC)
_TICKS = 800
_FIELDS = 5
"""Dagster runs no schedule with seconds or years."""


def fault(schedule: str) -> str | None:
    """Why Dagster cannot run a schedule; None if it can."""
    from croniter import croniter

    if not croniter.is_valid(schedule) or len(croniter.expand(schedule)[0]) != _FIELDS:
        return EXPECTED
    return None if len(list(islice(ticks(schedule), 2))) == 2 else NEVER


def longest_gap(schedule: str) -> timedelta:
    """The longest time between two ticks, nights and weekends included."""
    found = islice(ticks(schedule), _TICKS)
    return max(later - earlier for earlier, later in pairwise(found))


def ticks(schedule: str) -> Iterator[datetime]:
    """The ticks after the start of a Friday (UTC), as far as the library finds any."""
    from croniter import croniter

    try:
        yield from croniter(schedule, _FRIDAY, ret_type=datetime)
    except ValueError:
        return
