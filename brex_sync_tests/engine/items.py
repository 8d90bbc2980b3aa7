"""Items as Brex would send them."""

from datetime import date, timedelta
from typing import Any

TODAY = "today"


def day(world: Any, back: int) -> str:
    """The date `back` days before the world's today."""
    today: date = world.today
    return (today - timedelta(days=back)).isoformat()


def spent(key: str, posted: str, amount: int | None = 100, currency: str | None = "USD") -> Any:
    """A card transaction; `amount` None sends `"amount": null`."""
    return {
        "id": key,
        "card_id": None,
        "description": f"about {key}",
        "amount": None if amount is None else {"amount": amount, "currency": currency},
        "initiated_at_date": posted,
        "posted_at_date": posted,
        "type": "PURCHASE",
        "merchant": {"raw_descriptor": "SHOP", "mcc": "5812", "country": "USA"},
    }


def person(key: str, status: str = "ACTIVE") -> Any:
    return {
        "id": key,
        "first_name": "Zoë",
        "last_name": key,
        "email": f"{key}@northwind.example",
        "status": status,
        "manager_id": None,
    }


def card(key: str, user: str, name: str = "Travel") -> Any:
    return {
        "id": key,
        "owner": {"type": "USER", "user_id": user},
        "status": "ACTIVE",
        "last_four": "0042",
        "card_name": name,
        "card_type": "VIRTUAL",
        "limit_type": "USER",
        "has_been_transferred": False,
    }


def cash_account(key: str) -> Any:
    balance = {"amount": 12345, "currency": "USD"}
    return {
        "id": key,
        "name": key,
        "status": "ACTIVE",
        "current_balance": balance,
        "available_balance": balance,
        "account_number": "123456789012",
        "routing_number": "121145349",
        "primary": True,
    }


def paid(key: str, posted: str, amount: int = -500) -> Any:
    """A cash transaction."""
    return {
        "id": key,
        "description": "Payroll",
        "amount": {"amount": amount, "currency": "USD"},
        "initiated_at_date": posted,
        "posted_at_date": posted,
        "type": "PAYMENT",
        "transfer_id": None,
    }


def spend(rig: Any, number: int, prefix: str = "t", back: int = 0) -> list[str]:
    """Adds card transactions, one per day going back from `back` days ago."""
    keys = [f"{prefix}{i:04d}" for i in range(number)]
    for i, key in enumerate(keys):
        rig.world.collection("card_transactions").add(spent(key, day(rig.world, back + i)))
    return keys
