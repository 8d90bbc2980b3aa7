"""Card transactions, and the card accounts and statements that follow from them."""

import random
from bisect import bisect
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import accumulate, count, islice
from typing import Any

from brex_sync.sandbox.data.history import CardPayment, CompanyHistory
from brex_sync.sandbox.data.merchants import MERCHANTS, Merchant, shown_merchant
from brex_sync.sandbox.data.pace import days, spread
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item, encode
from brex_sync.sandbox.world.ledger import AccountLedger, money, month_after

ACCOUNTS = {"USD": "cuacc_0000", "EUR": "cuacc_0001", "JPY": "cuacc_0002", "KWD": "cuacc_0003"}
LIMITS = {"USD": 500_000_000, "EUR": 50_000_000, "JPY": None, "KWD": 20_000_000}
PAYMENT_DAY = 5
PER_MONTH_FOR_PAYMENTS = 20
_WEIGHTS = list(accumulate(m.weight for m in MERCHANTS))

CardUsed = tuple[str | None, Any]
"""A card's id and metadata; nothing of either where there is no card."""
Cards = Mapping[str, list[CardUsed]]
"""The cards by purpose."""


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the card transactions of the history, and a ledger for every card account."""
    first, number = history.first, history.card_transactions
    for currency, account in ACCOUNTS.items():
        world.ledgers[account] = AccountLedger(first, currency)
    spending = _Spending(world, rng, pays=number >= PER_MONTH_FOR_PAYMENTS * history.months)
    transactions = world.collection("card_transactions")
    transactions.fill(spending.rows(number, first, world.today))
    transactions.turn()
    history.card_payments.extend(spending.payments)


def fill_accounts(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds the card accounts and their statements, as the card transactions lead to them."""
    for currency in reversed(ACCOUNTS):
        world.collection("card_accounts").add(_account(world, currency))
    close_statements(world, world.today)


def charge(
    world: World, key: str, merchant: Merchant, amount: int, day: date, card: CardUsed
) -> Item:
    """A purchase of the history that is posted on `day`, before the accounts are made."""
    posted = day.isoformat()
    item = _purchase(key, merchant, amount, (posted, posted), card)
    world.collection("card_transactions").add(item)
    world.ledgers[ACCOUNTS[merchant.currency]].post(posted, amount)
    return item


def settle(world: World, rng: random.Random, day: date, key: str) -> Item:
    """One more card transaction, settled on that day, with the balance that follows."""
    before = days(day.fromordinal(day.toordinal() - 3), day)
    item = _Spending(world, rng, pays=False).purchase(key, before, 3)
    world.collection("card_transactions").add(item)
    currency = item["amount"]["currency"] or "USD"
    world.ledgers[ACCOUNTS[currency]].post(item["posted_at_date"], item["amount"]["amount"])
    world.collection("card_accounts").edit(ACCOUNTS[currency], **_balances(world, currency))
    return item


def close_statements(world: World, day: date) -> None:
    """Closes the primary account's months that are over, and opens the next."""
    for statement in world.ledgers[ACCOUNTS["USD"]].close("stmt_card", day):
        world.collection("card_statements").add(statement)
        for account in ACCOUNTS.values():
            world.collection("card_accounts").edit(
                account, current_statement_period=open_period(day)
            )


def open_period(day: date) -> Item:
    """The statement period that is open on a day."""
    return {
        "start_date": day.replace(day=1).isoformat(),
        "end_date": month_after(day).isoformat(),
    }


class _Spending:
    """Makes transactions one after the other, and keeps the ledgers."""

    def __init__(self, world: World, rng: random.Random, pays: bool) -> None:
        self.payments: list[CardPayment] = []
        self._ledgers = {currency: world.ledgers[ACCOUNTS[currency]] for currency in ACCOUNTS}
        self._rng = rng
        self._pays = pays
        self._due: list[CardPayment] = []
        cards = cards_by_purpose(world)
        nobody: list[CardUsed] = [(None, None)]
        self._choices = [(m, cards.get(m.purpose, nobody)) for m in MERCHANTS]

    def rows(self, number: int, first: date, last: date) -> Iterator[tuple[str, str, bytes]]:
        """`number` card transactions, oldest first, as (id, posted date, JSON)."""
        calendar = days(first.fromordinal(first.toordinal() - 3), last)
        numbers = count(1)
        for at, (day, share) in enumerate(spread(number, first, last), start=3):
            if day.day == 1:
                self._due = self._payable()
            moved = dict.fromkeys(ACCOUNTS, 0)
            for made in islice(numbers, share):
                key = f"pste_{made:08d}"
                if self._due and day.day >= PAYMENT_DAY and self._pays:
                    item = self._payment(key, calendar[at])
                else:
                    item = self.purchase(key, calendar, at)
                amount = item["amount"]
                moved[amount["currency"] or "USD"] += amount["amount"]
                yield key, calendar[at], encode(item)
            for currency, sum_ in moved.items():
                self._ledgers[currency].post(calendar[at], sum_)

    def purchase(self, key: str, calendar: list[str], at: int) -> Item:
        """A purchase, or now and then what comes of one, posted on the day `at`."""
        rng = self._rng
        chance, size, lag = rng.random(), rng.random(), rng.random()
        merchant, cards = self._choices[bisect(_WEIGHTS, rng.random() * _WEIGHTS[-1])]
        amount = merchant.low + int((merchant.high - merchant.low) * size**2.5)
        card = cards[int(rng.random() * len(cards))]
        days_of_it = (calendar[at - int(lag * 3)], calendar[at])
        item = _purchase(key, merchant, amount, days_of_it, card)
        if chance < 0.05:
            _unusual(item, chance, merchant, amount)
        return item

    def _payment(self, key: str, day: str) -> Item:
        due = self._due.pop()
        self.payments.append(CardPayment(day, due.amount, due.currency))
        return _without_card(key, "COLLECTION", "Brex card payment", day, -due.amount, due.currency)

    def _payable(self) -> list[CardPayment]:
        owed = {c: ledger.balance for c, ledger in self._ledgers.items()}
        return [CardPayment("", balance, c) for c, balance in owed.items() if balance > 0]


def _purchase(
    key: str, merchant: Merchant, amount: int, on: tuple[str, str], card: CardUsed
) -> Item:
    """A purchase that was initiated and posted `on` these days, with a card and its metadata."""
    return {
        "id": key,
        "card_id": card[0],
        "description": merchant.name,
        "amount": {"amount": amount, "currency": merchant.currency},
        "initiated_at_date": on[0],
        "posted_at_date": on[1],
        "type": "PURCHASE",
        "merchant": shown_merchant(merchant),
        "card_metadata": card[1],
        "card_transaction_operation_reference_id": f"op_{key}",
    }


def _unusual(item: Item, chance: float, merchant: Merchant, amount: int) -> None:
    """Turns a purchase into something rarer."""
    if chance < 0.022:
        item |= {"type": "REFUND", "amount": {"amount": -amount, "currency": merchant.currency}}
    elif chance < 0.024:
        item |= {"type": "CHARGEBACK", "amount": {"amount": -amount, "currency": merchant.currency}}
    elif chance < 0.026:
        day = item["posted_at_date"]
        item |= _without_card(item["id"], "REWARDS_CREDIT", "Brex rewards", day, -amount // 50)
    elif chance < 0.032:
        item["type"] = None
    elif chance < 0.036 and merchant.currency == "USD":
        item["amount"]["currency"] = None
    elif chance < 0.045:
        del item["card_metadata"]


def _without_card(
    key: str, kind: str, description: str, day: str, amount: int, currency: str = "USD"
) -> Item:
    """What moves on the account without a card."""
    return {
        "id": key,
        "card_id": None,
        "description": description,
        "amount": {"amount": amount, "currency": currency},
        "initiated_at_date": day,
        "posted_at_date": day,
        "type": kind,
        "merchant": None,
        "card_metadata": None,
        "card_transaction_operation_reference_id": None,
    }


def cards_by_purpose(world: World) -> Cards:
    """The cards by the purpose that is the first word of their names."""
    cards: dict[str, list[CardUsed]] = {}
    for card in world.collection("cards").known().values():
        purpose = card["card_name"].partition(" ")[0]
        cards.setdefault(purpose, []).append((card["id"], card["metadata"]))
    return cards


def _account(world: World, currency: str) -> Item:
    limit = LIMITS[currency]
    return {
        "id": ACCOUNTS[currency],
        "status": "ACTIVE" if limit else None,
        "account_limit": money(limit, currency) if limit else None,
        "current_statement_period": open_period(world.today),
        **_balances(world, currency),
    }


def _balances(world: World, currency: str) -> Item:
    """What is owed, and what is left of the limit."""
    owed, limit = world.ledgers[ACCOUNTS[currency]].balance, LIMITS[currency]
    left = money(max(0, limit - owed), currency) if limit else None
    return {"current_balance": money(owed, currency), "available_balance": left}
