"""The company's people: who they are, where they work, and the cards they hold."""

import random
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.data.merchants import PURPOSES
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import encode
from brex_sync.sandbox.world.company import ADDRESS, COMPANY

FIRST = (
    "Amara", "Noah", "Sofia", "Liam", "Zoë", "Mateo", "Yuki", "Priya", "Ángela", "Omar", "Ingrid",
    "Chidi", "Łukasz", "Mei", "Jonas", "Fatima", "Diego", "Hana", "Björn", "Leila", "Marcus",
    "Élise", "Tomás", "Aisha", "Viktor", "Nadia", "Samuel", "Anaïs", "Kofi", "Renée",
)  # fmt: skip
LAST = (
    "Okafor", "García", "Müller", "Nakamura", "Silva", "Chen", "Johansson", "Patel", "Haddad",
    "O'Neil", "Kowalska", "Dubois", "Rossi", "Kim", "Novák", "Mensah", "Lindqvist", "Santos",
    "Weiß", "Tanaka", "Brown", "Ibrahim", "Petrov", "Larsen", "Nguyen",
)  # fmt: skip
STATES = ("ACTIVE",) * 16 + ("INVITED", "DISABLED", "PENDING_ACTIVATION")
ELSEWHERE = {
    "line1": "Limmatquai 12",
    "line2": "3. Stock",
    "city": "Zürich",
    "state": None,
    "country": "CH",
    "postal_code": "8001",
    "phone_number": "+41445550100",
}
PEOPLE = 64
CARDS = 96
GONE = {60: "DELETED", 61: "ARCHIVED", 62: "ARCHIVED"}
SHIRTS = ("S", "M", "L", "XL")
PLACES = (
    ("departments", "dept", ("Engineering", "Sales", "Finance", "People", "Marketing", "Ops")),
    ("locations", "loc", ("San Francisco", "New York", "Zürich", "東京")),
    ("titles", "title", ("Engineer", "Manager", "Analyst", "Director", "Designer")),
    ("cost_centers", "cc", ("R&D", "Go to market", "G&A")),
)
_ENTITIES = (
    ("le_0001", "Northwind Robotics, Inc.", ADDRESS, "2021-03-01T09:00:00Z", "VERIFIED"),
    ("le_0002", "Northwind Robotics GmbH", ELSEWHERE, "2023-09-18T07:30:00Z", "IN_PROGRESS"),
)


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds users with what belongs to them, where they work, legal entities and cards."""
    for name, prefix, values in PLACES:
        for i, value in enumerate(values):
            item: dict[str, Any] = {"id": f"{prefix}_{i:04d}", "name": value}
            if name in ("departments", "locations"):
                item["description"] = None if i % 2 else f"{value} team"
            world.collection(name).add(item)
    _found(world)
    users = [_user(rng, i) for i in range(PEOPLE)]
    for i, user in reversed(list(enumerate(users))):
        world.collection("users").add(user)
        limit = encode(_limit(rng))
        world.collection("user_limits").add_raw(user["id"], "", limit)
        _custom(world, user["id"], i)
    for i in reversed(range(CARDS)):
        world.collection("cards").add(_card(rng, i, users[i % PEOPLE]))


def _found(world: World) -> None:
    for key, name, address, created, status in _ENTITIES:
        world.collection("legal_entities").add(
            {
                "id": key,
                "displayName": name,
                "billingAddress": address,
                "createdAt": created,
                "status": status,
                "isDefault": key == "le_0001",
            }
        )
    world.collection("company").add(
        {
            "id": COMPANY,
            "legal_name": "Northwind Robotics, Inc.",
            "mailing_address": ADDRESS,
            "accountType": "BREX_EMPOWER",
        }
    )


def _user(rng: random.Random, i: int) -> dict[str, Any]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    plain = "".join(c for c in f"{first}.{last}".lower() if c.isascii() and c not in "'")
    user: dict[str, Any] = {
        "id": f"cuuser_{i:05d}",
        "first_name": first,
        "last_name": last,
        "email": f"{plain}{i}@northwind.example",
        "status": GONE.get(i, "ACTIVE" if i < 5 else rng.choice(STATES)) if i != 59 else None,
        "manager_id": None if i == 0 else f"cuuser_{(i - 1) // 6:05d}",
        "department_id": f"dept_{i % 6:04d}" if i != 11 else None,
        "location_id": rng.choice((None, "loc_0000", "loc_0001", "loc_0002", "loc_0003")),
        "title_id": f"title_{i % 5:04d}" if i != 13 else None,
        "cost_center_id": None if i % 4 == 3 else f"cc_{i % 3:04d}",
        "legal_entity_id": "le_0002" if i % 9 == 4 else "le_0001",
        "metadata": {"badge": str(1000 + i)} if i % 3 == 0 else None,
    }
    if i % 4:
        user["remote_display_id"] = f"okta-{i}"
    return user


def _limit(rng: random.Random) -> dict[str, Any]:
    limit = rng.randrange(10, 200) * 10_000
    return {
        "monthly_limit": {"amount": limit, "currency": "USD"} if limit % 30_000 else None,
        "monthly_available": {"amount": limit // 3, "currency": "USD"},
    }


def _custom(world: World, user: str, i: int) -> None:
    """What is shown with load_custom_fields, and found with custom_field[]."""
    shirt = SHIRTS[i % len(SHIRTS)]
    fields = [{"key": "cf_shirt", "value": {"option_id": f"opt_{shirt}", "option_label": shirt}}]
    world.collection("user_custom_fields").add_raw(user, "", encode(fields if i % 5 else []))
    options = [f"cf_shirt:opt_{shirt}"] if i % 5 else []
    world.collection("user_options").add({"id": user, "options": options})


def _card(rng: random.Random, i: int, user: dict[str, Any]) -> dict[str, Any]:
    own = i % 3 == 0
    purpose = PURPOSES[i % len(PURPOSES)]
    card: dict[str, Any] = {
        "id": f"ncard_{i:05d}",
        "owner": {"type": "USER", "user_id": user["id"]},
        "status": _card_status(i) if i != 50 else None,
        "last_four": f"{rng.randrange(10_000):04d}",
        "card_name": f"{purpose} {user['first_name']}",
        "card_type": None if i == 52 else "VIRTUAL" if own or i % 2 else "PHYSICAL",
        "limit_type": "CARD" if own else "USER",
        "spend_controls": _controls(rng, i, purpose) if own else None,
        "billing_address": ADDRESS,
        "mailing_address": ELSEWHERE if not own and not i % 2 else None,
        "expiration_date": {"month": 1 + i % 12, "year": 2027 + i % 4},
        "has_been_transferred": False,
        "metadata": {"purpose": purpose.lower()} if i % 10 == 0 else None,
        "budget_id": f"spend_limit_{i % 8:04d}" if i % 4 == 0 else None,
    }
    if i % 2:
        card["created_at"] = f"2025-0{1 + i % 9}-1{i % 10}T16:20:00Z"
    return card


def _card_status(i: int) -> str:
    return "TERMINATED" if i % 17 == 5 else "LOCKED" if i % 23 == 7 else "ACTIVE"


def _controls(rng: random.Random, i: int, purpose: str) -> dict[str, Any]:
    limit = rng.randrange(5, 100) * 10_000
    return {
        "spend_limit": {"amount": limit, "currency": "USD"},
        "spend_available": {"amount": limit // 2, "currency": None if i == 3 else "USD"},
        "spend_duration": rng.choice(("MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME")),
        "reason": f"{purpose} spending" if i % 2 else None,
        "lock_after_date": "2027-06-30" if i % 6 == 0 else None,
        "allowed_merchant_details": [{"name": "GitHub"}] if i % 9 == 0 else None,
        "blocked_merchant_details": [],
    }
