"""What the address says the page is to show. Pure."""

import calendar
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from brex_sync.errors import BadFilter
from brex_sync.marts.questions import Days, Question

NAMES = ("connection", "month", "department", "person", "currency")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LONGEST = 200
"""Characters of a value."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of the page; `month` is its first day, None is no filter."""

    connection: str
    month: date
    department: str | None = None
    person: str | None = None
    currency: str | None = None

    def question(self, today: date) -> Question:
        """What is asked of the marts: the month so far, and the one before up to the same day."""
        this, before = spans(self.month, today)
        return Question(self.connection, this, before, self.department, self.person, self.currency)

    def parameters(self, today: date) -> dict[str, str]:
        """The parameters of the address that say the same; what is the default is left out."""
        said = {
            "connection": self.connection,
            "month": None if self.month == today.replace(day=1) else f"{self.month:%Y-%m}",
            "department": self.department,
            "person": self.person,
            "currency": self.currency,
        }
        return {name: value for name, value in said.items() if value}


def parse(
    parameters: Iterable[tuple[str, str]], connections: Sequence[str], today: date
) -> Filters:
    """The filters that an address names; an empty value is no filter.

    Raises:
        BadFilter: a filter is unknown, named twice, or its value is none.
    """
    said: dict[str, str] = {}
    for name, value in parameters:
        if name not in NAMES:
            raise BadFilter(f"No filter is called {name!r}; there are {', '.join(NAMES)}.")
        if name in said:
            raise BadFilter(f"The filter {name} is there twice; name it once.")
        said[name] = checked_text(name, value)
    given = {name: value for name, value in said.items() if value}
    connection = given.get("connection", connections[0])
    if connection not in connections:
        known = ", ".join(connections)
        raise BadFilter(f"No connection is called {connection!r}; there is {known}.")
    found = Filters(connection, parse_month(given["month"]) if "month" in given else today)
    if found.month > today:
        raise BadFilter(f"The month {found.month:%Y-%m} has not begun.")
    currency = given.get("currency")
    if currency and not _CURRENCY.fullmatch(currency):
        raise BadFilter(f"{currency!r} is not the code of a currency, such as EUR.")
    return replace(
        found,
        month=found.month.replace(day=1),
        department=given.get("department"),
        person=given.get("person"),
        currency=currency,
    )


def parse_month(text: str) -> date:
    """The first day of a month written YYYY-MM.

    Raises:
        BadFilter: it is none.
    """
    try:
        if not _MONTH.fullmatch(text):
            raise ValueError
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise BadFilter(f"{text!r} is not a month, such as 2026-10.") from None


def checked_text(name: str, value: str) -> str:
    """The value of a parameter, if it is a text that may be compared with others.

    Raises:
        BadFilter: it is too long, or has a control character in it.
    """
    if len(value) > _LONGEST:
        raise BadFilter(f"The value of {name} has more than {_LONGEST} characters.")
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise BadFilter(f"The value of {name} has a character in it that no name has.")
    return value


def spans(month: date, today: date) -> tuple[Days, Days]:
    """The days of a month until today, and those of the month before up to the same day.

    A month that is over, or ends today, is compared with the whole month before.
    """
    end = _end(month)
    previous_end = month - timedelta(days=1)
    previous = previous_end.replace(day=1)
    if today >= end:
        return Days(month, end), Days(previous, previous_end)
    same_day = min(previous.replace(day=1) + timedelta(days=today.day - 1), previous_end)
    return Days(month, today), Days(previous, same_day)


def months_before(month: date, number: int) -> date:
    """The first day of the month so many months before."""
    count = month.year * 12 + month.month - 1 - number
    return date(count // 12, count % 12 + 1, 1)


def _end(month: date) -> date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])
