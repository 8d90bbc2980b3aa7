"""How old a table may grow before the UI calls it stale."""

from datetime import timedelta

import dagster as dg

from brex_sync.cron import longest_gap

WARN_AFTER = 2
"""Gaps between two ticks of the schedule after which a table is called late."""
FAIL_AFTER = 3
SHORTEST = timedelta(hours=1)
"""The least a gap counts for: a long first sync is not late."""


def policy(cron: str) -> dg.FreshnessPolicy:
    """Warns when one tick of the schedule was missed, fails at the second."""
    gap = max(longest_gap(cron), SHORTEST)
    return dg.FreshnessPolicy.time_window(
        fail_window=FAIL_AFTER * gap, warn_window=WARN_AFTER * gap
    )
