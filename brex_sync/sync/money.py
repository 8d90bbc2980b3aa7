"""Money without floats: minor units as Brex sends them, major units by the currency's exponent."""

from decimal import Context, Decimal
from functools import cache

from iso4217 import Currency

DEFAULT_CURRENCY = "USD"
"""What Brex means where it names no currency (its Money schema)."""

_EXACT = Context(prec=38)


@cache
def exponent(currency: str | None) -> int | None:
    """Decimal places of a currency by ISO 4217; None where the code is unknown or has none."""
    try:
        return Currency(currency or DEFAULT_CURRENCY).exponent
    except ValueError:
        return None


def major(minor: int | None, currency: str | None) -> Decimal | None:
    """The amount in major units; None for an unknown currency, which has no known exponent."""
    if minor is None:
        return None
    places = exponent(currency)
    return None if places is None else Decimal(minor).scaleb(-places, _EXACT)
