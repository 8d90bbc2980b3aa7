"""Conditions on one field of an item, as the filters of the API put them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

Operator = Literal["in", "not in", "contains", "from day", "from", "after", "until", "before"]
Operand = str | frozenset[str]


def instant(value: object) -> str:
    """A date or timestamp as text that sorts by time; without a zone it is read as UTC.

    Missing values sort first, text that is no time sorts as it is.
    """
    if not isinstance(value, str) or len(value) <= 10:
        return value if isinstance(value, str) else ""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return value
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%f")


def parse_moment(text: str) -> datetime:
    """A filter's date or timestamp, in UTC. ValueError if it is neither."""
    if len(text) == 10:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return utc(datetime.fromisoformat(text))


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken to be UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _contains(value: Any, operand: Any) -> bool:
    return isinstance(value, str) and operand.casefold() in value.casefold()


TESTS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, unwanted: value not in unwanted,
    "contains": _contains,
    "from day": lambda value, day: instant(value)[:10] >= day,
    "from": lambda value, moment: value is not None and instant(value) >= moment,
    "after": lambda value, moment: value is not None and instant(value) > moment,
    "until": lambda value, moment: value is not None and instant(value) <= moment,
    "before": lambda value, moment: value is not None and instant(value) < moment,
}


@dataclass(frozen=True)
class Condition:
    """`field` stands in the relation `operator` to `operand`; times are `instant` text."""

    field: str
    operator: Operator
    operand: Operand

    def accepts(self, value: Any) -> bool:
        """Whether a field with this value meets the condition."""
        return TESTS[self.operator](value, self.operand)

    @property
    def floor(self) -> str | None:
        """The least value that can pass, where the condition is just a lower bound."""
        bound = self.operator in ("from", "from day") and isinstance(self.operand, str)
        return str(self.operand) if bound else None
