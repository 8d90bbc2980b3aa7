"""When schedules tick, by the library with which Dagster itself reads and keeps them.

Importing Dagster costs a second, so it is imported where a schedule is asked about.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

EXPECTED = "expected five cron fields, such as '0 * * * *'"
NEVER = "there is no such day, so it would never sync"
_FRIDAY = datetime(2024, 1, 5, tzinfo=UTC)
_TICKS = 800


def fault(schedule: str) -> str | None:
    """Why Dagster cannot run a schedule; None if it can."""
    from dagster._utils.schedules import is_valid_cron_schedule

    if not is_valid_cron_schedule(schedule):
        return EXPECTED
    return None if len(list(islice(_ticks(schedule), 2))) == 2 else NEVER


def longest_gap(schedule: str) -> timedelta:
    """The longest time between two ticks, nights and weekends included."""
    ticks = islice(_ticks(schedule), _TICKS)
    return max(later - earlier for earlier, later in pairwise(ticks))


def _ticks(schedule: str) -> Iterator[datetime]:
    """The ticks from a Friday on (UTC), as far as the library finds any."""
    from dagster._utils.schedules import cron_string_iterator

    try:
        yield from cron_string_iterator(_FRIDAY.timestamp(), schedule, "UTC")
    except ValueError:
        return
