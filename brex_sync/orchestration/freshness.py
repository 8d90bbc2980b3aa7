"""How old a table may grow before the UI calls it stale."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

WARN_AFTER = 2
"""Gaps between two ticks of the schedule after which a table is called late."""
FAIL_AFTER = 3
SHORTEST = timedelta(hours=1)
"""The least a gap counts for: a long first sync is not late."""
_FRIDAY = datetime(2024, 1, 5, tzinfo=UTC)
_TICKS = 800


def policy(cron: str) -> dg.FreshnessPolicy:
    """Warns when one tick of the schedule was missed, fails at the second."""
    gap = max(longest_gap(cron), SHORTEST)
    return dg.FreshnessPolicy.time_window(
        fail_window=FAIL_AFTER * gap, warn_window=WARN_AFTER * gap
    )


def longest_gap(cron: str) -> timedelta:
    """The longest time between two ticks, nights and weekends included."""
    ticks = islice(cron_string_iterator(_FRIDAY.timestamp(), cron, "UTC"), _TICKS)
    return max(later - earlier for earlier, later in pairwise(ticks))
