"""Money without floats: minor units as Brex sends them, major units by the currency's exponent."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from functools import cache

from babel.numbers import get_currency_precision, is_currency
from iso4217 import Currency

DEFAULT_CURRENCY = "USD"
"""What Brex means where it names no currency (its Money schema)."""

LISTED = {"MRO": 2, "SLL": 2, "STD": 2}
"""Withdrawn currencies that ISO 4217 gave these decimal places as long as it listed them, and that
Unicode CLDR gives none, as nobody there used them."""

_EXACT = Context(prec=38)


@cache
def places(currency: str | None) -> int | None:
    """Decimal places of a currency, whatever the case of its letters, by ISO 4217; of one that ISO
    has withdrawn, by what ISO listed last where that is known, else by Unicode CLDR. None where
    neither knows the code, or it has none."""
    code = DEFAULT_CURRENCY if currency is None else currency.upper()
    try:
        found: int | None = Currency(code).exponent
    except ValueError:
        if code in LISTED:
            return LISTED[code]
        return get_currency_precision(code) if is_currency(code) else None
    return found


def is_known(currency: str | None) -> bool:
    """Whether the decimal places of a currency are known."""
    return places(currency) is not None


def unit(currency: str | None) -> Decimal | None:
    """A currency's smallest unit in major ones; None where it has no known decimal places."""
    digits = places(currency)
    return None if digits is None else Decimal(1).scaleb(-digits)


def majors(minors: Sequence[int | None], currencies: Sequence[str | None]) -> list[Decimal | None]:
    """Amounts in major units; None for an unknown currency, whose smallest unit is not known."""
    units = {currency: unit(currency) for currency in set(currencies)}
    with localcontext(_EXACT):
        return [
            None if minor is None or (smallest := units[currency]) is None else minor * smallest
            for minor, currency in zip(minors, currencies, strict=True)
        ]
