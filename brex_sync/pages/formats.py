"""Values as people read them: exact, aligned, and never mistaken for markup."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from brex_sync.sync.normalise.money import places

UNKNOWN = "not known"
MINUS = "\u2212"
NO_BREAK = "\u00a0"


def amount(value: Decimal | None, currency: str | None = None) -> str:
    """An amount with separators, and the currency's code where one is named: 1,234.50 EUR.

    No digit is rounded away: what is finer than the currency's smallest unit is shown.
    """
    if value is None:
        return UNKNOWN
    text = f"{_scaled(value, currency):,f}".replace("-", MINUS)
    return f"{text} {currency}" if currency else text


def known(sum_of_lines: Decimal | None, unknown: int) -> Decimal | None:
    """A sum as it may be told: zero where there are no lines, None where none has an amount."""
    return Decimal(0) if sum_of_lines is None and not unknown else sum_of_lines


def count(number: int) -> str:
    """A number of things."""
    return f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 line, 2 lines."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(fraction: Decimal | None) -> str:
    """A part of a whole: 87 %."""
    return UNKNOWN if fraction is None else f"{fraction * 100:,.0f} %".replace("-", MINUS)


def change(now: Decimal | None, before: Decimal | None) -> str:
    """By how much a sum grew, in percent; what cannot be said in percent is said in words."""
    if not before:
        return "new" if now else ""
    grown = ((now or Decimal(0)) - before) / abs(before) * 100
    sign = "+" if grown > 0 else ""
    return f"{sign}{grown:,.0f} %".replace("-", MINUS)


def day(value: date | None) -> str:
    """A day: 7 Nov 2026, which no line break parts."""
    return "" if value is None else f"{value.day} {value:%b %Y}".replace(" ", NO_BREAK)


def days(first: date, last: date) -> str:
    """Days of one month: 1–27 Nov."""
    return f"{first.day}–{last.day} {last:%b}".replace(" ", NO_BREAK)


def month(value: date) -> str:
    """A month: November 2026."""
    return f"{value:%B %Y}"


def moment(value: datetime | None) -> str:
    """A moment in UTC: 7 Nov 2026, 09:05 UTC."""
    return "never" if value is None else f"{day(value.date())}, {value:%H:%M} UTC"


def plain(value: Any) -> str:
    """A value as a file for programs has it: ISO dates, a point in numbers, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def _scaled(value: Decimal, currency: str | None) -> Decimal:
    """With as many decimal places as the currency has, or as many more as it needs; as it is where
    the currency's are not known."""
    digits = places(currency) if currency else 2
    needed = max(_decimals(value.normalize()), 0)
    return value if digits is None else value.quantize(Decimal(1).scaleb(-max(digits, needed)))


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
