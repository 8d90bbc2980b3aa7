"""The kinds of input that several workflows share."""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from brex_sync.sync.normalise.money import DEFAULT_CURRENCY, places
from brex_sync.workflows.declare import Inputs

NONE = "none"
_AMOUNT = re.compile(r"(\d{1,15})(?:\.(\d{1,4}))?(?: ?([A-Z]{3}))?")


def _is_ascii(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("Brex takes only plain (ASCII) characters")
    return text


def _is_amount(text: str) -> str:
    minor(text)
    return text


def _is_amount_or_none(text: str) -> str:
    return text if text == NONE else _is_amount(text)


Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_is_ascii)]
"""Text Brex takes: by its error-code guide, ASCII alone."""
Amount = Annotated[str, AfterValidator(_is_amount)]
"""An amount as people write it: 1500, 1500.00, 1500.00 EUR; US dollars where it names none."""
AmountOrNone = Annotated[str, AfterValidator(_is_amount_or_none)]
"""An amount, or the word none: that it is taken away is said, not left out."""
Email = Annotated[Text, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Day = Annotated[str, AfterValidator(lambda text: date.fromisoformat(text).isoformat())]
Period = Literal["MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME"]
Line = Annotated[Text, StringConstraints(max_length=59)]


class Address(Inputs):
    """An address. Its lines go on a label, so they are short."""

    line1: Line
    line2: Line | None = None
    city: Text
    state: Text
    country: Annotated[Text, StringConstraints(pattern="^[A-Z]{2}$")] = "US"
    postal_code: Text
    phone_number: Text | None = None


def minor(amount: str) -> dict[str, Any]:
    """An amount as Brex's Money: in the currency's smallest unit, exactly.

    Raises:
        ValueError: it is no amount, or has more decimal places than its currency.
    """
    found = _AMOUNT.fullmatch(amount)
    if found is None:
        raise ValueError("expected an amount such as 1500.00 or 1500.00 EUR")
    whole, part, currency = found[1], found[2] or "", found[3] or DEFAULT_CURRENCY
    digits = places(currency)
    if digits is None:
        raise ValueError(f"{currency} is no currency with a known number of decimal places")
    if len(part) > digits:
        raise ValueError(f"{currency} has {digits} decimal places")
    return {"amount": int(whole + part.ljust(digits, "0")), "currency": currency}


def maybe_minor(amount: str | None) -> dict[str, Any] | None:
    """The same where one is given."""
    return None if amount is None else minor(amount)
