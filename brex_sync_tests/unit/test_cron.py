"""Schedules: what we accept is exactly what Dagster runs, at the times at which Dagster runs it."""

from datetime import UTC, datetime
from itertools import islice, product

import pytest
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_schedule

from brex_sync import cron

START = datetime(2024, 1, 5, tzinfo=UTC)
SHOWN = 40
"""Ticks that are compared."""
DAILY = ("0", "0", "*", "*", "*")
ODD = (
    *("0", "1", "7", "12", "23", "24", "29", "30", "31", "32", "59", "60", "007", "１", "-1", ""),
    *("*/5", "*/0", "*/61", "0/7", "5-1/2", "1-5", "9-2", "1-", "1,1", "1,15", "30,31", "1,,2"),
    *("*", "?", "**", "l", "L", "1-l", "l5", "5l", "15w", "w", "h", "h(1-3)", "#", "1#2", "1#6"),
    *("7#1", "mon#5", "fri#l", "mon", "MON", "mon,wed", "sun-sat", "monday", "jan", "feb", "dec"),
    *("jan-mar", "oct-feb", "jan-jan", "*-5", "1/2/3", "0-59", "0x1", "1.5", "é"),
)
DAYS = ("*", "?", "1", "15", "29", "30", "31", "29,31", "l", "*/31")
MONTHS = ("*", "2", "feb", "4", "2,4", "4-6")
WEEKDAYS = ("*", "1", "mon#5", "l5", "1#1,3#2", "6-1")
WHOLE = (
    *("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@annually", "@yearly", "@reboot"),
    *("@every 5m", "@HOURLY", "", " ", "*", "* * * *", "* * * * * *", "* * * * * * *"),
    *("\t0 0 * * *", "0 0 * * * *", "0 0 1 1 * 0 2030"),
    *("0\u00a00 * * *", "0  0 * * *", "0 0 * * *\n", "0 0 * * * ;", "hourly", "0\n0\n*\n*\n*"),
    *("* 8-18 * * 1-5", "0 9-17 * * 1-5", "0 22-3 * * mon-fri", "30-10 * * * *", "15 3 1 */3 *"),
)


def _expressions() -> list[str]:
    """Every odd word in every field, every combination of odd days, and whole lines."""
    fields = [
        " ".join([*DAILY[:at], word, *DAILY[at + 1 :]]) for at in range(len(DAILY)) for word in ODD
    ]
    days = [f"0 0 {' '.join(of)}" for of in product(DAYS, MONTHS, WEEKDAYS)]
    return [*fields, *days, *WHOLE]


def _ticks_of_dagster(schedule: str) -> list[datetime]:
    """Dagster's own ticks after the start; none where it runs no such schedule."""
    if not is_valid_cron_schedule(schedule):
        return []
    ticks = cron_string_iterator(START.timestamp(), schedule, "UTC")
    found: list[datetime] = []
    try:
        found.extend(islice((tick for tick in ticks if tick > START), SHOWN))
    except ValueError:
        return []
    return found


@pytest.mark.parametrize("part", range(4))
def test_what_is_accepted_and_when_it_ticks_is_what_dagster_says(part: int) -> None:
    differing = {}
    accepted = 0
    for schedule in _expressions()[part::4]:
        told = _ticks_of_dagster(schedule)
        ours = [] if cron.fault(schedule) else list(islice(cron.ticks(schedule), SHOWN))
        accepted += bool(ours)
        if ours != told:
            differing[schedule] = (told[:2], ours[:2])
    assert differing == {}
    assert accepted > 50


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", "0 0 30,31 feb *", "0 0 31 4,6 *"])
def test_a_day_that_no_month_has_is_called_that(schedule: str) -> None:
    assert cron.fault(schedule) == cron.NEVER
