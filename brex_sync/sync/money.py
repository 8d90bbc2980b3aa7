"""Money without floats: minor units as Brex sends them, major units by the currency's exponent."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from functools import cache

from iso4217 import Currency

DEFAULT_CURRENCY = "USD"
"""What Brex means where it names no currency (its Money schema)."""

_EXACT = Context(prec=38)


@cache
def places(currency: str | None) -> int | None:
    """Decimal places of a currency, by ISO 4217; None where the code is unknown or has none."""
    try:
        found: int | None = Currency(currency or DEFAULT_CURRENCY).exponent
    except ValueError:
        return None
    return found


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
