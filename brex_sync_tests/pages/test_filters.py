"""Months, values and charts, without a server."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.marts.questions import Days
from brex_sync.pages import charts, formats
from brex_sync.pages.filters import months_before, spans

DAYS = st.dates(date(2000, 2, 1), date(2100, 12, 31))


@pytest.mark.parametrize(
    ("month", "today", "this", "before"),
    [
        ("2026-11-01", "2026-11-27", ("11-01", "11-27"), ("10-01", "10-27")),
        ("2026-03-01", "2026-03-30", ("03-01", "03-30"), ("02-01", "02-28")),
        ("2026-03-01", "2026-03-31", ("03-01", "03-31"), ("02-01", "02-28")),
        ("2026-02-01", "2026-02-28", ("02-01", "02-28"), ("01-01", "01-31")),
        ("2026-04-01", "2026-11-27", ("04-01", "04-30"), ("03-01", "03-31")),
    ],
)
def test_a_month_is_compared_to_the_same_day_or_whole_with_whole(
    month: str, today: str, this: tuple[str, str], before: tuple[str, str]
) -> None:
    def span(days: tuple[str, str]) -> Days:
        first, last = (date.fromisoformat(f"2026-{day}") for day in days)
        return Days(first, last)

    found = spans(date.fromisoformat(month), date.fromisoformat(today))
    assert found == (span(this), span(before))


@given(DAYS, st.integers(0, 30))
def test_spans_lie_in_their_months_one_before_the_other(today: date, back: int) -> None:
    month = months_before(today.replace(day=1), back)
    this, before = spans(month, today)
    assert this.first == month
    assert month <= this.last <= today
    assert before.first == months_before(month, 1)
    assert before.first <= before.last < this.first


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        ("1234567.5", "USD", "1,234,567.50 USD"),
        ("-20", "USD", "\u221220.00 USD"),
        ("0.125", "USD", "0.125 USD"),
        ("1000", "JPY", "1,000 JPY"),
        ("1.5", "KWD", "1.500 KWD"),
        ("7.00", "XTS", "7.00 XTS"),
        ("12.5000000000", None, "12.50"),
        ("12345678901234567890.12", "USD", "12,345,678,901,234,567,890.12 USD"),
    ],
)
def test_an_amount_has_every_digit(value: str, currency: str | None, text: str) -> None:
    assert formats.amount(Decimal(value), currency) == text


def test_what_is_not_known_is_said_and_never_zero() -> None:
    assert formats.amount(None, "USD") == "not known"
    assert formats.known(None, 0) == 0
    assert formats.known(None, 2) is None
    assert formats.change(Decimal(5), None) == "new"
    assert formats.change(Decimal(110), Decimal(100)) == "+10 %"


def test_a_chart_says_in_words_what_it_shows_and_its_labels_are_text() -> None:
    series = [charts.Series("<Cash>", "one", [Decimal(1), None, Decimal(-2)])]
    drawn = charts.lines('A "chart"', series, "first", "last", "1", "-2").__html__()
    assert 'aria-label="A &#34;chart&#34;"' in drawn
    assert "&lt;Cash&gt;" in drawn
    assert 'class="zero"' in drawn
    assert "<Cash>" not in drawn
