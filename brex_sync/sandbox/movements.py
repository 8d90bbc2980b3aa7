"""The company's money: accounts, transactions and statements."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from brex_sync.sandbox.collection import encode

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

MERCHANTS = (
    ("AMAZON WEB SERVICES", "7372", "USA", 180_000),
    ("GITHUB, INC.", "7372", "USA", 40_000),
    ("UBER *TRIP", "4121", "USA", 2_800),
    ("DELTA AIR LINES", "4511", "USA", 52_000),
    ("BLUE BOTTLE COFFEE", "5814", "USA", 1_400),
    ("CAFÉ DE FLORE", "5812", "FRA", 4_200),
    ("東京コーヒー", "5814", "JPN", 900),
    ("WEWORK", "6513", "USA", 350_000),
    ("GOOGLE *ADS", "7311", "USA", 260_000),
    ("SBB CFF FFS", "4112", "CHE", 6_100),
    ("KUWAIT AIRWAYS", "4511", "KWT", 91_500),
    ("STAPLES #0142", "5943", "USA", 7_700),
)
CURRENCIES = ("USD",) * 44 + ("EUR", "EUR", "EUR", "JPY", "KWD", None)
CASH_TYPES = ("PAYMENT", "PAYMENT", "PAYMENT", "INTEREST", "FEE", "BOOK_TRANSFER", None)
CASH_ACCOUNTS = ("dpacc_operating", "dpacc_payroll", "dpacc_reserve")
CASH_PER_ACCOUNT = 500


def fill(world: "World", rng: random.Random, first: date, transactions: int) -> None:
    """Spends, pays and receives from `first` to the world's today."""
    cards = world.collection("cards").items()
    known = [(card["id"], card["metadata"]) for card in cards]
    world.collection("card_transactions").fill(
        _card_transactions(rng, known, first, world.today, transactions)
    )
    for account in CASH_ACCOUNTS:
        rows = list(_cash_transactions(rng, account, first, world.today))
        world.collection("cash_transactions").fill(
            ((item["id"], item["posted_at_date"], encode(item)) for item in rows), account
        )
        _statements(world, "cash_statements", f"stmt_{account}", rows, first, account)
    _accounts(world, rng)
    sample = world.collection("card_transactions").items() if transactions <= 50_000 else []
    _statements(world, "card_statements", "stmt_card", sample, first, None)


def settle_one(world: "World", rng: random.Random, day: date, number: int) -> None:
    """One more card transaction, settled today, and the account's balance moved by it."""
    cards = world.collection("cards").items()
    known = [(card["id"], card["metadata"]) for card in cards]
    key, settled, body = next(_card_transactions(rng, known, day, day, 1, f"live_{number:08d}"))
    world.collection("card_transactions").add_raw(key, settled, body)
    account = world.collection("card_accounts").items()[0]
    balance = account["current_balance"]
    balance = balance | {"amount": balance["amount"] + 1000}
    world.collection("card_accounts").edit(account["id"], current_balance=balance)


def _card_transactions(
    rng: random.Random,
    cards: list[tuple[str, Any]],
    first: date,
    last: date,
    number: int,
    name: str = "",
) -> Iterator[tuple[str, str, bytes]]:
    """Card transactions, newest first, as (id, posted date, JSON)."""
    span = (last - first).days + 1
    days = [(first + timedelta(days=n)).isoformat() for n in range(-3, span)]
    for i in range(number):
        at = 3 + (span - 1) - i * span // number
        key = f"pste_{name or f'{number - i:08d}'}"
        yield key, days[at], encode(_card_transaction(rng, key, cards, days, at))


def _card_transaction(
    rng: random.Random, key: str, cards: list[tuple[str, Any]], days: list[str], at: int
) -> dict[str, Any]:
    chance = rng.random()
    descriptor, mcc, country, typical = rng.choice(MERCHANTS)
    amount = max(1, int(typical * (0.4 + rng.random() * 1.4)))
    card, metadata = rng.choice(cards)
    item: dict[str, Any] = {
        "id": key,
        "card_id": card,
        "description": descriptor.title(),
        "amount": {"amount": amount, "currency": rng.choice(CURRENCIES)},
        "initiated_at_date": days[at - rng.randrange(3)],
        "posted_at_date": days[at],
        "type": "PURCHASE",
        "merchant": {"raw_descriptor": descriptor, "mcc": mcc, "country": country},
        "card_metadata": metadata,
        "expense_id": None,
        "card_transaction_operation_reference_id": f"op_{key}",
    }
    if chance < 0.01:
        payment = {"amount": -amount * 40, "currency": "USD"}
        item |= {"type": "COLLECTION", "card_id": None, "merchant": None, "amount": payment}
        item |= {"description": "Payment", "card_transaction_operation_reference_id": None}
    elif chance < 0.04:
        item |= {"type": "REFUND", "amount": {"amount": -amount, "currency": "USD"}}
    elif chance < 0.05:
        del item["card_metadata"]
    elif chance < 0.055:
        item["type"] = None
    return item


def _cash_transactions(
    rng: random.Random, account: str, first: date, last: date
) -> Iterator[dict[str, Any]]:
    span = (last - first).days + 1
    for i in range(CASH_PER_ACCOUNT):
        day = last - timedelta(days=i * span // CASH_PER_ACCOUNT)
        kind = rng.choice(CASH_TYPES)
        amount = rng.randrange(10_000, 9_000_000) * rng.choice((1, -1, -1))
        yield {
            "id": f"{account}_{CASH_PER_ACCOUNT - i:05d}",
            "description": rng.choice(("Payroll", "Invoice 2041", "Card payment", "Interest")),
            "amount": None if i % 211 == 17 else {"amount": amount, "currency": "USD"},
            "initiated_at_date": (day - timedelta(days=rng.randrange(3))).isoformat(),
            "posted_at_date": day.isoformat(),
            "type": kind,
            "transfer_id": f"dptx_{i % 60:05d}" if kind == "PAYMENT" and i % 2 else None,
        }


def _accounts(world: "World", rng: random.Random) -> None:
    month = world.today.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    for i in (1, 0):
        world.collection("card_accounts").add(
            {
                "id": f"cuacc_{i:04d}",
                "status": "ACTIVE" if i == 0 else None,
                "current_balance": {"amount": rng.randrange(10**6, 10**8), "currency": "USD"},
                "available_balance": {"amount": rng.randrange(10**6, 10**8), "currency": "USD"},
                "account_limit": {"amount": 5 * 10**8, "currency": "USD"} if i == 0 else None,
                "current_statement_period": {
                    "start_date": month.isoformat(),
                    "end_date": following.isoformat(),
                },
            }
        )
    for i, account in reversed(list(enumerate(CASH_ACCOUNTS))):
        balance = {"amount": rng.randrange(10**7, 10**9), "currency": "USD"}
        item = {
            "id": account,
            "name": account.removeprefix("dpacc_").title(),
            "status": "ACTIVE" if i < 2 else None,
            "current_balance": balance,
            "available_balance": balance,
            "account_number": f"{rng.randrange(10**11, 10**12)}",
            "routing_number": "121145349",
            "primary": i == 0,
        }
        world.collection("cash_accounts").add(item)
        if i == 0:
            world.collection("primary_cash_account").add(item)


def _statements(
    world: "World",
    name: str,
    prefix: str,
    transactions: list[dict[str, Any]],
    first: date,
    parent: str | None,
) -> None:
    """A statement per closed month, whose balances follow from the transactions in it."""
    moved: dict[str, int] = defaultdict(int)
    for item in transactions:
        money = item["amount"] or {"amount": 0, "currency": "USD"}
        if money["currency"] in ("USD", None):
            moved[item["posted_at_date"][:7]] += money["amount"]
    if parent is not None:
        world.collection(name).open_list(parent)
    balance, start = 0, first.replace(day=1)
    while (end := (start + timedelta(days=32)).replace(day=1)) <= world.today:
        after = balance + moved[start.isoformat()[:7]]
        world.collection(name).add(
            {
                "id": f"{prefix}_{start:%Y%m}",
                "start_balance": {"amount": balance, "currency": "USD"},
                "end_balance": {"amount": after, "currency": "USD"},
                "period": {"start_date": start.isoformat(), "end_date": end.isoformat()},
            },
            parent,
        )
        balance, start = after, end
