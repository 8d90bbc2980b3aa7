"""The state of the sandbox: every collection, the time there, and what was written and told.

Nothing here knows where the data comes from (`data`), how it is shown (`api`), what changes it
(`writes`) or who is told (`events`).
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from brex_sync.sandbox.world.collection import Collection, moment
from brex_sync.sandbox.world.ledger import AccountLedger
from brex_sync.sandbox.world.outbox import Outbox, SandboxEvent
from brex_sync.sandbox.world.write_log import Answered, Upload, Written

ACCEPTED_AFTER = timedelta(minutes=10)
"""How long after an invitation it is accepted."""
LIVE_INTERVAL = timedelta(seconds=5)
"""How often a live world changes."""

_LISTED = (
    "users", "user_limits", "departments", "locations", "titles", "cost_centers", "company",
    "legal_entities", "cards", "card_accounts", "cash_accounts", "card_statements",
    "cash_statements", "card_transactions", "cash_transactions", "expenses", "budgets",
    "budgets_v1", "spend_limits", "budget_programs", "vendors", "transfers", "linked_accounts",
    "fields", "field_values", "trips", "bookings", "accounting_records", "referrals", "webhooks",
    "webhook_groups", "webhook_group_members", "webhook_secrets",
)  # fmt: skip
_KEPT_APART = (
    "merchants", "user_options", "user_custom_fields", "expense_parents", "expense_payments",
    "expense_policies", "expense_custom_fields", "card_transaction_expenses",
)  # fmt: skip
"""What no endpoint lists, and others show or search."""
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

LiveStep = Callable[["World", int, datetime], None]
"""Changes a live world: called with the step's number, from 1 on, and its moment."""


def utc_now() -> datetime:
    """The time here."""
    return datetime.now(UTC)


class World:
    """A company's Brex account; the class makes an empty one, `data.create_world` a filled one.

    `seed` decides what is random in it, and `today` is the day its history ends, by default that
    of `clock`. With `step` the world is live: `tick` calls it for every 5 seconds of `clock`.
    Its changes are events once `events.changes.watch` was called, as both functions of `data` do.

    `writes` is the log of what was written through the API, `answered` the answers by
    Idempotency-Key; `uploads` are the receipts sent, by id; `ledgers` the balances by account;
    `invited` who was invited when; `events` what webhooks tell.
    """

    def __init__(
        self,
        seed: int = 0,
        today: date | None = None,
        clock: Callable[[], datetime] = utc_now,
        step: LiveStep | None = None,
    ) -> None:
        self.seed, self.today = seed, today or clock().date()
        self.ledgers: dict[str, AccountLedger] = {}
        self.writes: list[Written] = []
        self.answered: dict[str, Answered] = {}
        self.uploads: dict[str, Upload] = {}
        self.invited: deque[tuple[datetime, str]] = deque()
        self.events = Outbox(seed)
        self._numbers = count(1)
        self._clock, self._step, self._began, self._steps = clock, step, clock(), 0
        self._collections = {
            name: Collection(name, _KEYS.get(name, "id"), _DATED.get(name))
            for name in (*_LISTED, *_KEPT_APART)
        }

    def collection(self, name: str) -> Collection:
        """A collection by its name; raises KeyError for an unknown one.

        `current_user` and `primary_cash_account` are copies: edit `users` and `cash_accounts`.
        """
        if name in _ONE_OF:
            return self._one_of(name)
        return self._collections[name]

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
        return self._step is not None

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
        while (
            self._step and (due := self._began + LIVE_INTERVAL * (self._steps + 1)) <= self._clock()
        ):
            self._steps += 1
            self._step(self, self._steps, due)

    def _one_of(self, name: str) -> Collection:
        where, field, value = _ONE_OF[name]
        copy = Collection(name)
        for item in self._collections[where].newest():
            if item[field] == value:
                copy.add(item)
        return copy
