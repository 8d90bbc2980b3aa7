"""The truth the sandbox tells: every collection, made from a seed, and growing while live."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Self

from brex_sync.sandbox import company, movements, people
from brex_sync.sandbox.collection import Collection

SECONDS_PER_NEW_TRANSACTION = 5.0

_COLLECTIONS = (
    ("current_user", "id", None),
    ("users", "id", None),
    ("user_limits", "id", None),
    ("departments", "id", None),
    ("locations", "id", None),
    ("titles", "id", None),
    ("cost_centers", "id", None),
    ("legal_entities", "id", None),
    ("company", "id", None),
    ("cards", "id", None),
    ("card_accounts", "id", None),
    ("cash_accounts", "id", None),
    ("primary_cash_account", "id", None),
    ("card_statements", "id", None),
    ("cash_statements", "id", None),
    ("card_transactions", "id", "posted_at_date"),
    ("cash_transactions", "id", "posted_at_date"),
    ("expenses", "id", "updated_at"),
    ("budgets", "budget_id", None),
    ("budgets_v1", "budget_id", None),
    ("spend_limits", "id", None),
    ("budget_programs", "id", None),
    ("vendors", "id", None),
    ("transfers", "id", None),
    ("linked_accounts", "id", None),
    ("referrals", "id", None),
    ("fields", "brex_id", None),
    ("field_values", "brex_id", None),
    ("trips", "id", "updated_at"),
    ("bookings", "id", None),
    ("accounting_records", "id", "updated_at"),
    ("webhooks", "id", None),
    ("webhook_secrets", "secret", None),
)


def _now() -> datetime:
    return datetime.now(UTC)


class World:
    """A company's Brex account.

    The same `seed` and `today` give the same bytes. `months` of history end today;
    `card_transactions` sets their number in place of the usual one. While `live`, a new card
    transaction settles every few seconds of `clock`.
    """

    def __init__(
        self,
        seed: int = 7,
        today: date | None = None,
        months: int = 14,
        card_transactions: int | None = None,
        live: bool = False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._make_collections()
        self._clock = clock
        self._live = live
        self._grown = 0
        self.seed = seed
        self.today = today or clock().date()
        self._began = clock()
        rng = random.Random(seed)
        first = self.today - timedelta(days=round(months * 30.44))
        people.fill(self, rng)
        movements.fill(self, rng, first, 12_000 if card_transactions is None else card_transactions)
        company.fill(self, rng, first)

    @classmethod
    def empty(cls, today: date | None = None) -> Self:
        """A world without data, for precise tests."""
        world = cls.__new__(cls)
        world._make_collections()
        world._clock, world._live, world._grown, world.seed = _now, False, 0, 0
        world.today = today or _now().date()
        world._began = _now()
        return world

    def collection(self, name: str) -> Collection:
        """A collection by its name; raises KeyError for an unknown one."""
        return self._collections[name]

    def tick(self) -> None:
        """Lets happen what happened since the last request, if the world is live."""
        if not self._live:
            return
        passed = (self._clock() - self._began).total_seconds()
        while self._grown < int(passed / SECONDS_PER_NEW_TRANSACTION):
            self._grown += 1
            rng = random.Random(f"{self.seed} {self._grown}")
            movements.settle_one(self, rng, self._clock().date(), self._grown)

    def _make_collections(self) -> None:
        self._collections = {name: Collection(name, key, day) for name, key, day in _COLLECTIONS}
