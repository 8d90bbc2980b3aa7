"""The truth the sandbox tells: every collection, made from a seed, and growing while live."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Self

from brex_sync.sandbox.api.details import EXPAND, dress
from brex_sync.sandbox.api.endpoints import ENDPOINTS
from brex_sync.sandbox.data import (
    bookkeeping,
    budgeting,
    card_spending,
    cash_flow,
    expenses,
    live,
    partners,
    payables,
    people,
    travel,
)
from brex_sync.sandbox.world.collection import Collection, Item, decode, moment
from brex_sync.sandbox.world.ledger import AccountLedger
from brex_sync.sandbox.world.outbox import Events, SandboxEvent
from brex_sync.sandbox.world.write_log import Answered, Written
from brex_sync.sandbox.writes.receipts import Upload

CARD_TRANSACTIONS = 12_000
EXPENSES = 12_000
DAYS_PER_MONTH = 30.44
ACCEPTED_AFTER = timedelta(minutes=10)
"""How long after an invitation it is accepted."""

_DATED = {
    "card_transactions": "posted_at_date",
    "cash_transactions": "posted_at_date",
    "expenses": "updated_at",
    "trips": "updated_at",
    "accounting_records": "updated_at",
}
_KEYS = {
    "budgets": "budget_id",
    "budgets_v1": "budget_id",
    "fields": "brex_id",
    "field_values": "brex_id",
    "webhook_secrets": "secret",
    "webhook_group_members": "member_id",
}
_ONE_OF = {
    "current_user": ("users", "id", "cuuser_00000"),
    "primary_cash_account": ("cash_accounts", "primary", True),
}
"""Single items that are also in a list: the list, and the field and value that tell them."""
_KEPT_APART = (
    "merchants", "user_options", "expense_parents",
    *(d.attached for e in ENDPOINTS for d in e.details if d.attached),
)  # fmt: skip
"""What no endpoint lists, and others show or search."""


def _now() -> datetime:
    return datetime.now(UTC)


class World:
    """A company's Brex account.

    The same `seed` and `today` give the same bytes. `months` of history end today;
    `card_transactions` and `expenses` set their numbers in place of the usual ones: without
    `expenses`, as many as there are card transactions, up to 12,000. While `live`, a card
    transaction settles every 5 seconds of `clock`, and other things happen.

    `writes` is the log of what was written through the API, `answered` the answers by
    Idempotency-Key; `uploads` are the receipts sent, by id; `events` what webhooks tell.
    """

    def __init__(
        self,
        seed: int = 7,
        today: date | None = None,
        months: int = 14,
        card_transactions: int | None = None,
        live: bool = False,
        clock: Callable[[], datetime] = _now,
        expenses: int | None = None,
    ) -> None:
        self._begin(seed, today or clock().date(), months, clock, live)
        spent = CARD_TRANSACTIONS if card_transactions is None else card_transactions
        self._fill(spent, min(spent, EXPENSES) if expenses is None else expenses)
        self.events.watch()

    @classmethod
    def empty(cls, today: date | None = None) -> Self:
        """A world without data, for precise tests."""
        world = cls.__new__(cls)
        world._begin(0, today or _now().date(), 0, _now, live=False)
        world.events.watch()
        return world

    def collection(self, name: str) -> Collection:
        """A collection by its name; raises KeyError for an unknown one.

        `current_user` and `primary_cash_account` are copies: edit `users` and `cash_accounts`.
        """
        if name in _ONE_OF:
            return self._one_of(name)
        return self._collections[name]

    def items(self, name: str, parent: str | None = None, expand: Sequence[str] = ()) -> list[Item]:
        """The truth about a collection as an answer with these expansions shows it."""
        rows = self.collection(name).rows(parent)
        endpoint = next(e for e in ENDPOINTS if e.collection == name)
        details = [d for d in endpoint.details if d.parameter == EXPAND and d.value in expand]
        return [
            decode(body) for body in dress(self, details, rows.ids, rows.bodies, endpoint.nested)
        ]

    @property
    def version(self) -> int:
        """Rises with every change."""
        return sum(collection.version for collection in self._collections.values())

    def now(self) -> datetime:
        """The time there."""
        return self._clock()

    @property
    def is_live(self) -> bool:
        """Whether things happen there by themselves."""
        return self._live

    def emit(self, event_type: str, **fields: Any) -> SandboxEvent:
        """Tells subscribers of an event with these fields, whether or not it happened."""
        return self.events.emit(event_type, **fields)

    def moment(self) -> str:
        """The time there, as Brex writes it."""
        return moment(self._clock())

    def new_id(self, prefix: str) -> str:
        """An id that nothing has yet."""
        return f"{prefix}_w{next(self._numbers):05d}"

    def tick(self) -> None:
        """Lets happen what happened since the last request, if the world is live; and lets those
        accept who were invited a while ago."""
        while self.invited and self.invited[0][0] + ACCEPTED_AFTER <= self._clock():
            _, key = self.invited.popleft()
            if (user := self.collection("users").get(key)) and user["status"] == "INVITED":
                self.collection("users").edit(key, status="ACTIVE")
        while self._live and (due := self._began + live.INTERVAL * (self._happened + 1)) <= (
            self._clock()
        ):
            self._happened += 1
            live.happen(self, self._happened, due)

    def _begin(
        self, seed: int, today: date, months: int, clock: Callable[[], datetime], live: bool
    ) -> None:
        self.seed, self.today, self.months = seed, today, months
        self.ledgers: dict[str, AccountLedger] = {}
        self.writes: list[Written] = []
        self.answered: dict[str, Answered] = {}
        self.uploads: dict[str, Upload] = {}
        self.invited: deque[tuple[datetime, str]] = deque()
        self.events = Events(self)
        self._numbers = count(1)
        self._clock, self._live, self._began, self._happened = clock, live, clock(), 0
        listed = (e.collection for e in ENDPOINTS if e.collection not in _ONE_OF)
        self._collections = {
            name: Collection(name, _KEYS.get(name, "id"), _DATED.get(name))
            for name in dict.fromkeys((*listed, *_KEPT_APART))
        }

    def _fill(self, card_transactions: int, number_of_expenses: int) -> None:
        first = self.today - timedelta(days=round(self.months * DAYS_PER_MONTH))
        people.fill(self, self._chance("people"))
        payables.fill(self, self._chance("suppliers"), first)
        payments = card_spending.fill(self, self._chance("cards"), first, card_transactions)
        cash_flow.fill(self, self._chance("cash"), first, payments)
        travel.fill(self, self._chance("travel"), first)
        expenses.fill(self, self._chance("expenses"), first, number_of_expenses)
        budgeting.fill(self, self._chance("budgets"))
        bookkeeping.fill(self)
        partners.fill(self)

    def _chance(self, part: str) -> random.Random:
        """Chance of its own for each part, so that one can change without the others."""
        return random.Random(f"{self.seed} {part}")

    def _one_of(self, name: str) -> Collection:
        where, field, value = _ONE_OF[name]
        copy = Collection(name)
        for item in self._collections[where].newest():
            if item[field] == value:
                copy.add(item)
        return copy
