"""Where a number leads: to its rows, to a download, to Dagster."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeAlias
from urllib.parse import quote, urlencode

from brex_sync.marts.questions import NOBODY_S, Days, Question
from brex_sync.pages.filters import Filters

Conditions: TypeAlias = dict[str, str | list[str] | None]
"""Conditions on the rows of a mart, by column; `__` stands for the point before an operator."""


class Links(Protocol):
    """Addresses, or None where nothing can be followed."""

    def rows(self, mart: str, **conditions: str | list[str] | None) -> str | None:
        """The rows of a mart under conditions: `department="x"`, `day__from="2026-11-01"`."""

    def download(self, panel: str) -> str | None:
        """A panel's table as CSV."""

    def dagster(self, path: str) -> str | None:
        """A page of Dagster's UI."""


class NoLinks:
    """Of a page that is read elsewhere."""

    def rows(self, mart: str, **conditions: str | list[str] | None) -> None:
        """None."""

    def download(self, panel: str) -> None:
        """None."""

    def dagster(self, path: str) -> None:
        """None."""


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Of the page as it is served. `ui` is where Dagster's UI is; None where that is not known."""

    filters: Filters
    today: date
    ui: str | None

    def rows(self, mart: str, **conditions: str | list[str] | None) -> str:
        """The address of a table of rows."""
        named = {name.replace("__", "."): one for name, one in conditions.items() if one}
        query = urlencode({"connection": self.filters.connection, **named}, doseq=True)
        return f"/rows/{quote(mart, safe='')}?{query}"

    def download(self, panel: str) -> str:
        """The address of a panel's table as CSV."""
        return f"/panels/{panel}.csv?{urlencode(self.filters.parameters(self.today))}"

    def dagster(self, path: str) -> str | None:
        """The address of a page of Dagster's UI."""
        return None if self.ui is None else f"{self.ui}{path}"


def within(span: Days, column: str = "spend_date") -> Conditions:
    """The conditions of the rows of a span."""
    return {f"{column}__from": span.first.isoformat(), f"{column}__to": span.last.isoformat()}


def narrowed(question: Question, *by: str) -> Conditions:
    """The conditions that a question's filters are, for a mart that knows these of them."""
    nobody = question.department == NOBODY_S
    found: Conditions = {}
    if "department" in by:
        found["department__empty" if nobody else "department"] = (
            "true" if nobody else question.department
        )
    if "person" in by:
        found["user_id"] = question.person
    if "currency" in by:
        found["amount_currency"] = question.currency
    if "limit_currency" in by:
        found["limit_amount_currency"] = question.currency
    return found
