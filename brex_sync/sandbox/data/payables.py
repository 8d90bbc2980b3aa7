"""What the company owes: vendors, the transfers to them, and the bank accounts linked."""

import random
from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.pace import spread
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.company import ADDRESS, COMPANY
from brex_sync.sandbox.world.ledger import usd

KINDS = (
    "Machining", "Legal", "Castings", "Consulting", "Cleaning", "Logistics", "Insurance",
    "Packaging", "Recruiting", "Electronics",
)  # fmt: skip
NAMES = ("Baker & Sons", "Ostrava", "Blue Ridge", "Nordlicht", "Keystone", "大阪精機", "Delmar")
VENDORS = 40
TRANSFERS_PER_MONTH = 11
TO_COME = (9, 0, 5, 3, 0, 2)
"""In how many days transfers that did not leave are to be processed; 0 before approval."""
METHODS = ("ACH", "ACH", "ACH", "DOMESTIC_WIRE", "CHEQUE", "INTERNATIONAL_WIRE")


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds vendors, the transfers to them over the history, and linked bank accounts."""
    vendors = [_vendor(rng, i) for i in range(VENDORS)]
    for vendor in reversed(vendors):
        world.collection("vendors").add(vendor)
    payable = [v for v in vendors if v["payment_accounts"]]
    number_of_transfers = round(TRANSFERS_PER_MONTH * history.months)
    number = 0
    for day, share in spread(number_of_transfers, history.first, world.today):
        for _ in range(share):
            number += 1
            transfer = _transfer(rng, number, day, rng.choice(payable))
            if day > world.today - timedelta(days=2):
                transfer |= {"status": "PROCESSING", "process_date": None}
            world.collection("transfers").add(transfer)
    for i, (bank, kind) in enumerate((("First Bank", "CHECKING"), ("Sierra Savings", "SAVING"))):
        world.collection("linked_accounts").add(_bank(world, i, bank, kind))


def fill_to_come(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds transfers that are scheduled for the next days, or wait for approval."""
    payable = [v for v in world.collection("vendors").newest() if v["payment_accounts"]]
    for ahead in TO_COME:
        number = len(world.collection("transfers")) + 1
        made = _transfer(rng, number, world.today, rng.choice(payable))
        day = world.today + timedelta(days=ahead)
        scheduled = {"status": "SCHEDULED", "process_date": day.isoformat()}
        waiting = {"status": "PENDING_APPROVAL", "process_date": None}
        made |= (scheduled if ahead else waiting) | {"cancellation_reason": None}
        arrives = (day + timedelta(days=2)).isoformat()
        world.collection("transfers").add(made | {"estimated_delivery_date": arrives})


def order(world: World, rng: random.Random, day: date) -> None:
    """A transfer to a supplier is on its way, from that day on."""
    payable = [v for v in world.collection("vendors").newest() if v["payment_accounts"]]
    number = len(world.collection("transfers")) + 1
    transfer = _transfer(rng, number, day, rng.choice(payable))
    on_its_way = {"status": "PROCESSING", "process_date": None, "cancellation_reason": None}
    world.collection("transfers").add(transfer | on_its_way)


def _vendor(rng: random.Random, i: int) -> Item:
    name = f"{NAMES[i % len(NAMES)]} {KINDS[i % len(KINDS)]}"
    plain = "".join(c for c in name.lower() if c.isascii() and c.isalpha())
    return {
        "id": f"pdcont_{i:05d}",
        "company_name": name if i != VENDORS - 1 else None,
        "email": None if i % 3 == 2 else f"billing@{plain}.example",
        "phone": f"+1415555{i:04d}" if i % 5 == 0 else None,
        "payment_accounts": None if i % 20 == 19 else [_paid_by(rng, i)] if i % 7 else [],
    }


def _paid_by(rng: random.Random, i: int) -> Item:
    method = METHODS[i % len(METHODS)]
    details: dict[str, Any] = {"type": method, "payment_instrument_id": f"pdinstl_{i:05d}"}
    number = f"{rng.randrange(10**9, 10**10)}"
    if method == "ACH":
        details |= {"routing_number": "121145349", "account_number": number}
        details |= {"account_type": None if i % 2 else "CHECKING", "account_class": "BUSINESS"}
    elif method == "DOMESTIC_WIRE":
        details |= {"routing_number": "121145349", "account_number": number, "address": ADDRESS}
    elif method == "CHEQUE":
        details |= {"mailing_address": ADDRESS, "recipient_name": NAMES[i % len(NAMES)]}
    else:
        details |= {"swift_code": "GIBACZPX", "iban": f"CZ65080000001{number}"}
        details |= {"beneficiary_bank_name": None, "address": ADDRESS}
    return {"details": details}


def _transfer(rng: random.Random, number: int, day: date, vendor: Item) -> Item:
    details = vendor["payment_accounts"][0]["details"]
    bank = {key: details.get(key) for key in ("routing_number", "account_number")}
    counterparty = {
        "type": "VENDOR",
        "id": vendor["id"],
        "payment_instrument_id": details["payment_instrument_id"],
        **bank,
    }
    failed = number % 29 == 0
    return {
        "id": f"dptx_{number:05d}",
        "counterparty": None if details["type"] == "CHEQUE" and number % 2 else counterparty,
        "description": None if number % 5 == 0 else f"Invoice {2000 + number}",
        "payment_type": details["type"],
        "amount": usd(rng.randrange(40_000, 2_400_000)),
        "process_date": day.isoformat(),
        "originating_account": {"type": "BREX_CASH", "id": "dpacc_operating"},
        "status": "FAILED" if failed else "PROCESSED",
        "cancellation_reason": "INSUFFICIENT_FUNDS" if failed else None,
        "estimated_delivery_date": (day + timedelta(days=2)).isoformat() if number % 3 else None,
        "creator_user_id": f"cuuser_{number % 5:05d}" if number % 13 else None,
        "created_at": None if number % 37 == 0 else _earlier(rng, day),
        "display_name": vendor["company_name"] if number % 17 else None,
        "external_memo": "Thank you" if number % 4 == 0 else None,
        "is_ppro_enabled": None if number % 6 else False,
    }


def _earlier(rng: random.Random, day: date) -> str:
    return (day - timedelta(days=rng.randrange(2))).isoformat()


def _bank(world: World, i: int, name: str, kind: str) -> Item:
    balance = {"amount": usd(1_250_000 * (i + 1)), "as_of_date": world.today.isoformat()}
    return {
        "id": f"bank_{i + 1:04d}",
        "bank_details": {"name": name, "type": kind},
        "brex_account_id": None if i else COMPANY,
        "last_four": f"{4411 + i}",
        "available_balance": balance if i == 0 else None,
        "current_balance": balance if i == 0 else None,
    }
