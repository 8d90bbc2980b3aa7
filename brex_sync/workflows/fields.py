"""The types of inputs that several workflows share."""

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
"""Text that Brex accepts: ASCII only, by its error-code guide."""
Amount = Annotated[str, AfterValidator(_is_amount)]
"""An amount such as 1500, 1500.00 or 1500.00 EUR; US dollars if it names no currency."""
AmountOrNone = Annotated[str, AfterValidator(_is_amount_or_none)]
"""An amount, or the word none, which removes a limit."""
Email = Annotated[Text, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Day = Annotated[str, AfterValidator(lambda text: date.fromisoformat(text).isoformat())]
Period = Literal["MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME"]
Line = Annotated[Text, StringConstraints(max_length=59)]


class Address(Inputs):
    """A postal address; its lines are printed on a label, and are short."""

    line1: Line
    line2: Line | None = None
    city: Text
    state: Text
    country: Annotated[Text, StringConstraints(pattern="^[A-Z]{2}$")] = "US"
    postal_code: Text
    phone_number: Text | None = None


def minor(amount: str) -> dict[str, Any]:
    """Returns an amount as Brex's Money object: an exact integer of the currency's minor units.

    Raises:
        ValueError: the text is no amount, or has more decimal places than its currency.
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
    """Returns `minor(amount)`, or None for None."""
    return None if amount is None else minor(amount)
