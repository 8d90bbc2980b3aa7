"""Every query of the cookbook runs, and a second, longer computation confirms its answer."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brex_sync_tests.marts.confirming import CONFIRMED

PAGE = (Path(__file__).parents[2] / "docs" / "sql-cookbook.md").read_text()
QUESTIONS = {
    question: query.strip()
    for question, query in re.findall(r"^### (.+?)\n(?:.*?)^```sql\n(.*?)^```", PAGE, re.M | re.S)
}
EMPTY = {"Which statements do the transactions not explain?"}
"""What has no rows where all is well."""


def same(rows: list[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    """Rows to compare: in no order, and 1.50 like 1.5."""
    return sorted(
        tuple(str(v.normalize() + 0) if isinstance(v, Decimal) else str(v) for v in row)
        for row in rows
    )


def test_the_page_has_twenty_five_questions_and_each_a_query_and_its_confirmation() -> None:
    titles = re.findall(r"^### (.+)$", PAGE, re.M)
    assert len(titles) == len(set(titles)) == 25
    assert list(QUESTIONS) == titles
    assert CONFIRMED.keys() == QUESTIONS.keys()


def test_no_query_is_longer_than_ten_lines() -> None:
    assert {q: n for q, sql in QUESTIONS.items() if (n := len(sql.splitlines())) > 10} == {}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_confirmed(synced: Any, question: str) -> None:
    answer = synced.rows(QUESTIONS[question])
    assert same(answer) == same(CONFIRMED[question](synced))
    assert bool(answer) is (question not in EMPTY)
