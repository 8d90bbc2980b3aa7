"""The history that fillers make: how long it is, and how much is in it."""

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class CardPayment:
    """What was paid to Brex for a card account: `amount` in minor units, on `day` (YYYY-MM-DD)."""

    day: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class CompanyHistory:
    """The `months` from the day `first` to the world's today, with their numbers of items.

    `card_payments`, oldest first, are filled in by `card_spending`; `cash_flow` reads them.
    """

    first: date
    months: int
    card_transactions: int
    expenses: int
    card_payments: list[CardPayment] = field(default_factory=list)
