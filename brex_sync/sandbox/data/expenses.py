"""Expenses: one for each of the newest card transactions, and those paid in other ways."""

import random
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.merchants import (
    MERCHANTS,
    SUBSCRIPTIONS,
    exchanged,
    merchant_id,
    shown_merchant,
)
from brex_sync.sandbox.data.pace import days
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, encode, stamp
from brex_sync.sandbox.world.ledger import money, usd

SHARE_ON_CARDS = 0.88
LIMITS = 8
BARE_EVERY, BARE_FROM = 400, 3
FILLED_LATER = (
    "merchant_id", "category", "purchased_at", "payment_status", "submitted_at", "approved_at",
    "exported_at", "status", "review",
)  # fmt: skip
AMOUNTS = (
    "original_amount", "billing_amount", "budget_amount", "usd_equivalent_amount",
    "purchased_amount",
)  # fmt: skip
MEMOS = {
    "Travel": ("Customer visit", "Offsite", "Robotics Summit", None),
    "Software": ("Monthly subscription", "Büro Zürich", None, None),
    "Team": ("Team lunch", "Team dinner", "Coffee with candidate", None),
    "Ads": ("Autumn campaign", "Launch", None),
    "Office": ("Parts for prototype 4", "Desk for new hire", None, None),
}
POLICIES = ({"id": "policy_0001", "name": "Standard"}, {"id": "policy_0002", "name": "Executive"})


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the expenses of the history, most of them of the newest card transactions."""
    for i, merchant in enumerate(MERCHANTS):
        world.collection("merchants").add({"id": merchant_id(i)} | shown_merchant(merchant))
    number = history.expenses
    writer = ExpenseWriter(world, rng, history.first)
    rows: list[tuple[str, str, bytes]] = []
    for item in writer.expenses(number):
        rows.append((stamp(item["updated_at"]), item["id"], encode(item)))
        if len(rows) == number:
            break
    rows.sort(reverse=True)
    world.collection("expenses").fill((key, day, body) for day, key, body in rows)


class ExpenseWriter:
    """Writes expenses, with what is kept apart from them: payments, policies, custom fields."""

    def __init__(self, world: World, rng: random.Random, first: date) -> None:
        self._world = world
        self._rng = rng
        self._days = days(first - timedelta(days=4), world.today)
        self._users = world.collection("users").known()
        self._cards = world.collection("cards").known()
        self._merchants = {m.descriptor: (i, m) for i, m in enumerate((*MERCHANTS, *SUBSCRIPTIONS))}
        self._trips = world.collection("bookings").parents()

    def expenses(self, number: int) -> Iterator[Item]:
        """At least `number` expenses."""
        transactions = self._world.collection("card_transactions")
        on_cards, made = int(number * SHARE_ON_CARDS), 0
        for transaction in transactions.newest():
            if made >= on_cards:
                break
            if transaction["card_id"] is not None:
                expense = self.of_transaction(transaction)
                yield from self._split(expense) if self._rng.random() < 0.01 else [expense]
                made += 1
        for i in range(number):
            day = i * len(self._days) // number
            bare = i % BARE_EVERY == BARE_FROM
            yield self._bare(i, day) if bare else self._paid_otherwise(i, day)

    def of_transaction(self, transaction: Item) -> Item:
        """The expense behind a card transaction with a card."""
        rng = self._rng
        key = transaction["id"].replace("pste_", "expense_")
        place, merchant = self._merchants[transaction["merchant"]["raw_descriptor"]]
        amount, currency = transaction["amount"]["amount"], transaction["amount"]["currency"]
        cents = exchanged(amount, merchant.currency)
        original = transaction["amount"]
        if merchant.abroad:
            original = money(exchanged(amount, "USD", merchant.abroad), merchant.abroad)
        posted = self._day(transaction["posted_at_date"])
        begun = self._day(transaction["initiated_at_date"])
        holder = self._cards[transaction["card_id"]]["owner"]["user_id"]
        user = self._users.get(holder, {})
        expense = self._blank(key, "CARD", user, merchant.purpose) | {
            "merchant_id": merchant_id(place),
            "category": merchant.category,
            "original_amount": original,
            "purchased_amount": original if rng.random() < 0.9 else None,
            "billing_amount": money(amount, currency),
            "budget_amount": usd(cents),
            "usd_equivalent_amount": usd(cents),
            "purchased_at": self._moment(begun),
            "payment_posted_at": self._moment(posted),
            "payment_status": "REFUNDED" if amount < 0 else "CLEARED",
        }
        self._proceed(expense, posted)
        self._attach(key, transaction["card_id"], "APPROVED")
        self._keep("card_transaction_expenses", transaction["id"], key)
        return expense

    def without_transaction(self, key: str, kind: str, begun: date) -> Item:
        """An expense of that type, begun on a day of the history, without a card transaction."""
        return self._without_transaction(key, kind, self._day(begun.isoformat()))

    def _paid_otherwise(self, i: int, day: int) -> Item:
        """A reimbursement, a bill, and now and then something odder."""
        kind = self._rng.choices(("REIMBURSEMENT", "BILLPAY", "CARD", "CLAWBACK", "UNSET"),
                                 (60, 25, 10, 3, 2))[0]  # fmt: skip
        return self._without_transaction(f"expense_{kind[0].lower()}{i:07d}", kind, day)

    def _without_transaction(self, key: str, kind: str, day: int) -> Item:
        rng = self._rng
        place, merchant = rng.choice(list(self._merchants.values())[19 : len(MERCHANTS)])
        user = self._users[f"cuuser_{rng.randrange(60):05d}"]
        local = merchant.abroad or merchant.currency
        amount = rng.randrange(merchant.low, merchant.high)
        cents = exchanged(amount, local)
        expense = self._blank(key, kind, user, merchant.purpose) | {
            "merchant_id": None if kind == "UNSET" else merchant_id(place),
            "category": merchant.category if kind in ("REIMBURSEMENT", "CARD") else None,
            "original_amount": money(amount, local),
            "purchased_amount": money(amount, local),
            "billing_amount": usd(cents),
            "budget_amount": usd(cents) if rng.random() < 0.8 else None,
            "usd_equivalent_amount": usd(cents),
            "purchased_at": None if kind == "BILLPAY" else self._moment(day),
            "payment_status": rng.choice(("NOT_STARTED", "AWAITING_PAYMENT", "SCHEDULED")),
        }
        if kind == "CARD":
            expense["payment_status"] = rng.choice(("PROCESSING", "DECLINED"))
            self._attach(key, f"ncard_{rng.randrange(96):05d}", "EXCEEDED_CARD_LIMIT")
        self._proceed(expense, day)
        if expense["approved_at"] and kind in ("REIMBURSEMENT", "BILLPAY"):
            expense |= {"payment_status": "CLEARED", "completion_date": expense["approved_at"]}
        return expense

    def _bare(self, i: int, day: int) -> Item:
        """An expense as someone began it and left it: of nearly everything Brex says null."""
        key = f"expense_n{i:07d}"
        known = self._blank(key, "", {}, "Team") | {"updated_at": self._moment(day)}
        kept = ("id", "dashboard_url", "updated_at")
        return {name: value if name in kept else None for name, value in known.items()}

    def _blank(self, key: str, kind: str, user: Item, purpose: str) -> Item:
        rng = self._rng
        receipts = rng.choice((0, 1, 1, 1, 1, 2))
        trip = rng.choice(self._trips) if purpose == "Travel" and self._trips else None
        bookings = self._world.collection("bookings").rows(trip).ids if trip else []
        return {
            "id": key,
            "dashboard_url": f"https://dashboard.brex.com/expenses/{key}",
            "memo": rng.choice(MEMOS[purpose]),
            "expense_type": kind,
            "user_id": user.get("id"),
            "department_id": user.get("department_id"),
            "location_id": user.get("location_id"),
            "budget_id": f"spend_limit_{rng.randrange(LIMITS):04d}" if rng.random() < 0.9 else None,
            "spending_entity_id": user.get("legal_entity_id"),
            "billing_entity_id": "le_0001",
            "integration_spending_entity_id": "erp-1" if rng.random() < 0.2 else None,
            "integration_billing_entity_id": "erp-1" if rng.random() < 0.2 else None,
            "trip_id": trip,
            "booking_id": bookings[0] if bookings else None,
            "receipts": [{"id": f"receipt_{key[8:]}_{i}"} for i in range(receipts)],
            "address": {"country": "US", "city": "San Francisco"} if rng.random() < 0.1 else None,
            "expense_line_items": [],
            "repayment": None,
            **dict.fromkeys(AMOUNTS),
            "payment_posted_at": None,
            "completion_date": None,
            **dict.fromkeys(FILLED_LATER),
        }

    def _proceed(self, expense: Item, day: int) -> None:
        """Submits and approves the expense, as far as its days have come."""
        rng = self._rng
        today = len(self._days) - 1
        submitted = None if rng.random() < 0.04 else day + rng.randrange(4)
        approved = (
            None if submitted is None or rng.random() < 0.03 else submitted + rng.randrange(5)
        )
        exported = None if approved is None or rng.random() < 0.25 else approved + 6
        reached = [d if d is not None and d <= today else None
                   for d in (submitted, approved, exported)]  # fmt: skip
        moments = [None if d is None else self._moment(d) for d in reached]
        status = ("DRAFT", "SUBMITTED", "APPROVED", "SETTLED")[sum(m is not None for m in moments)]
        if rng.random() < 0.02:
            status = rng.choice(("OUT_OF_POLICY", "VOID", "CANCELED"))
        begun = expense["purchased_at"] or self._moment(day)
        last = [m for m in (begun, expense["payment_posted_at"], *moments) if m is not None]
        expense |= {
            "submitted_at": moments[0],
            "approved_at": moments[1],
            "exported_at": moments[2],
            "status": status,
            "repayment": self._repayment(expense, moments[1]),
            "review": self._review(expense, moments[0], moments[1], status),
            "updated_at": max(last),
        }

    def _repayment(self, expense: Item, approved: str | None) -> Item | None:
        """Now and then something private was paid by mistake."""
        if approved is None or self._rng.random() > 0.01:
            return None
        user = _person(self._users.get(expense["user_id"] or "", {}))
        return {"repayment_initiated_by": user, "repayment_initiation_date": approved}

    def _review(
        self, expense: Item, submitted: str | None, approved: str | None, status: str
    ) -> Item | None:
        """Who looked at it, or has to."""
        if submitted is None:
            return None
        user = self._users.get(expense["user_id"] or "", {})
        manager = _person(self._users.get(user.get("manager_id") or "cuuser_00000", {}))
        finance = _person(self._users["cuuser_00002"])
        step: Item = {"copilot_reviewer": None, "pending_reviewers": None, "reviewer": manager}
        steps: list[Item] = [step | {"status": "APPROVED", "resolved_at": approved}]
        if approved is None:
            steps = [
                step
                | {"pending_reviewers": [manager, finance], "reviewer": None, "status": "PENDING"}
                | {"resolved_at": None}
            ]
        compliance = "OUT_OF_POLICY" if status == "OUT_OF_POLICY" else "COMPLIANT"
        return {"compliance_status": compliance, "approval_steps": steps}

    def _split(self, expense: Item) -> list[Item]:
        """The expense cut in two: a SPLIT parent that holds both, and both beside it."""
        parts = [expense | {"id": f"{expense['id']}_{i}", "memo": f"Part {i}"} for i in (1, 2)]
        for name in AMOUNTS:
            for part, amount in zip(parts, _cut(expense[name]), strict=True):
                part[name] = amount
        for part in parts:
            parent = {"id": part["id"], "parent_expense_id": expense["id"]}
            self._world.collection("expense_parents").add(parent)
        return [expense | {"status": "SPLIT", "expense_line_items": parts}, *parts]

    def _attach(self, key: str, card: str, reason: str) -> None:
        """What Brex shows of an expense only when asked."""
        rng = self._rng
        payment = {"id": f"payment_{key[8:]}", "paymentInstrument": {"type": "CARD", "id": card}}
        self._keep("expense_payments", key, payment | {"statusReason": reason})
        self._keep("expense_policies", key, POLICIES[rng.random() < 0.1])
        if rng.random() < 0.5:
            single = {"value_type": "SINGLE_VALUE"}
            option = {"option_id": f"opt_{rng.randrange(4)}", "option_label": "Prototype"}
            fields = [
                {"key": "cf_project", "value": single | {"data_type": "OPTION_STRING",
                                                         "data": option}},
                {"key": "cf_billable", "value": single | {"data_type": "BOOLEAN", "data": True}},
                {"key": "cf_guests", "value": {"value_type": "LIST", "data_type": "STRING",
                                               "data": ["Ada", "Grace"]}},
            ]  # fmt: skip
            self._keep("expense_custom_fields", key, fields)

    def _keep(self, collection: str, key: str, value: Any) -> None:
        self._world.collection(collection).fill([(key, "", encode(value))])

    def _day(self, day: str) -> int:
        return max(0, bisect_right(self._days, day) - 1)

    def _moment(self, day: int) -> str:
        """A moment on a day; today, one of the first."""
        spot = int(self._rng.random() * 50_000_000)
        if day >= len(self._days) - 1:
            return f"{self._days[-1]}T00:00:00.{spot % 1000:03d}Z"
        seconds = 25_200 + spot // 1000
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        return f"{self._days[day]}T{clock}.{spot % 1000:03d}Z"


def _cut(whole: Item | None) -> tuple[Item | None, Item | None]:
    """An amount in two, three fifths and the rest."""
    if whole is None:
        return None, None
    larger = int(whole["amount"] * 0.6)
    return whole | {"amount": larger}, whole | {"amount": whole["amount"] - larger}


def _person(user: Item) -> Item | None:
    names = ("id", "first_name", "last_name", "department_id", "location_id")
    return {name: user[name] for name in names} if user else None
