"""What an account's movements add up to: its balance, and a statement for every closed month."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from brex_sync.sandbox.world.collection import Item


def usd(amount: int) -> Item:
    """An amount of US cents."""
    return money(amount, "USD")


def money(amount: int, currency: str) -> Item:
    """An amount in minor units."""
    return {"amount": amount, "currency": currency}


def month_after(day: date) -> date:
    """The first day of the next month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


class AccountLedger:
    """An account in one currency that held `opening` minor units before the month of `first`."""

    def __init__(self, first: date, currency: str = "USD", opening: int = 0) -> None:
        self.currency = currency
        self.balance = opening
        self._closed = opening
        self._month = first.replace(day=1)
        self._moved: dict[str, int] = defaultdict(int)

    def post(self, day: str, amount: int) -> None:
        """A movement settled on `day` (YYYY-MM-DD)."""
        self.balance += amount
        self._moved[day[:7]] += amount

    def close(self, prefix: str, today: date) -> Iterator[Item]:
        """The statements, oldest first, of the months that are over and had none yet."""
        while (end := month_after(self._month)) <= today:
            after = self._closed + self._moved.pop(f"{self._month:%Y-%m}", 0)
            yield {
                "id": f"{prefix}_{self._month:%Y%m}",
                "start_balance": money(self._closed, self.currency),
                "end_balance": money(after, self.currency),
                "period": {"start_date": self._month.isoformat(), "end_date": end.isoformat()},
            }
            self._closed, self._month = after, end
