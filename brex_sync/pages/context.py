"""What a panel is made from: the question, the marts, and where its numbers lead."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from brex_sync.marts import questions
from brex_sync.marts.questions import Question
from brex_sync.pages.formats import counted
from brex_sync.pages.freshness import Freshness
from brex_sync.pages.links import Conditions, Links, narrowed
from brex_sync.pages.model import Banner

DIMENSIONS = ("department", "person", "currency")
"""The filters that spend knows."""


@dataclass(frozen=True)
class PageContext:
    """One reading of the warehouse, for one address."""

    db: sa.Connection
    question: Question
    links: Links
    marts: frozenset[str]
    today: date
    freshness: Freshness

    @cached_property
    def spend(self) -> questions.Answer:
        """Spend of both months, by every group."""
        return questions.spend_by_group(self.db, self.question)

    @cached_property
    def payables(self) -> questions.Answer:
        """Bills that are not paid, and transfers under way."""
        return questions.open_payables(self.db, self.question)

    def spend_by(self, group: str) -> list[sa.Row[Any]]:
        """Spend of both months by one of its groups."""
        return [row for row in self.spend if row.grouped_by == group]

    @property
    def unit(self) -> str:
        """What sums are in."""
        return self.question.currency or "USD equivalent"

    @property
    def code(self) -> str:
        """The currency that sums are in."""
        return self.question.currency or "USD"

    @property
    def is_current(self) -> bool:
        """Whether the month is the one that is under way."""
        return self.question.this.last == self.today

    def without_amount(
        self,
        lines: int,
        mart: str,
        conditions: Conditions | None = None,
        by: Iterable[str] = DIMENSIONS,
    ) -> list[Banner]:
        """Says how many lines are in no sum, as their amount in the unit is not known."""
        if not lines:
            return []
        what = "amount" if self.question.currency else "USD amount"
        said = {
            **narrowed(self.question, *by),
            **(conditions or {}),
            f"{self.question.measured}__empty": "true",
        }
        text = f"{counted(lines, 'line')} without {what}, in no sum"
        return [Banner(text, href=self.links.rows(mart, **said))]
