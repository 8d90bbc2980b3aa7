"""The company's people: who they are, where they work, and the cards they hold."""

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brex_sync.sandbox.world import World

FIRST = [
    "Amara",
    "Noah",
    "Sofia",
    "Liam",
    "Zoë",
    "Mateo",
    "Yuki",
    "Priya",
    "Ángela",
    "Omar",
    "Ingrid",
    "Chidi",
    "Łukasz",
    "Mei",
    "Jonas",
    "Fatima",
    "Diego",
    "Hana",
    "Björn",
    "Leila",
    "Marcus",
    "Élise",
    "Tomás",
    "Aisha",
    "Viktor",
    "Nadia",
    "Samuel",
    "Anaïs",
    "Kofi",
    "Renée",
]
LAST = [
    "Okafor",
    "García",
    "Müller",
    "Nakamura",
    "Silva",
    "Chen",
    "Johansson",
    "Patel",
    "Haddad",
    "O'Neil",
    "Kowalska",
    "Dubois",
    "Rossi",
    "Kim",
    "Novák",
    "Mensah",
    "Lindqvist",
    "Santos",
    "Weiß",
    "Tanaka",
    "Brown",
    "Ibrahim",
    "Petrov",
    "Larsen",
    "Nguyen",
]
STATES = ("ACTIVE",) * 16 + ("INVITED", "DISABLED", "PENDING_ACTIVATION")
ADDRESS = {
    "line1": "500 Howard Street",
    "line2": None,
    "city": "San Francisco",
    "state": "CA",
    "country": "US",
    "postal_code": "94105",
    "phone_number": None,
}


def fill(world: "World", rng: random.Random) -> None:
    """Hires everybody."""
    for name, prefix, values in (
        ("departments", "dept", ("Engineering", "Sales", "Finance", "People", "Marketing", "Ops")),
        ("locations", "loc", ("San Francisco", "New York", "Zürich", "東京")),
        ("titles", "title", ("Engineer", "Manager", "Analyst", "Director", "Designer")),
        ("cost_centers", "cc", ("R&D", "Go to market", "G&A")),
    ):
        for i, value in enumerate(values):
            item: dict[str, Any] = {"id": f"{prefix}_{i:04d}", "name": value}
            if name in ("departments", "locations"):
                item["description"] = None if i % 2 else f"{value} team"
            world.collection(name).add(item)
    entity = {
        "id": "le_0001",
        "displayName": "Northwind Robotics, Inc.",
        "billingAddress": ADDRESS,
        "createdAt": "2021-03-01T09:00:00Z",
        "status": "VERIFIED",
        "isDefault": True,
    }
    world.collection("legal_entities").add(entity)
    world.collection("company").add(
        {
            "id": "cuacc_northwind",
            "legal_name": "Northwind Robotics, Inc.",
            "mailing_address": ADDRESS,
            "accountType": "BREX_EMPOWER",
        }
    )
    users = [_user(rng, i) for i in range(64)]
    for user in reversed(users):
        world.collection("users").add(user)
        world.collection("user_limits").add(_limit(rng, user["id"]))
    world.collection("current_user").add(users[0])
    for i in reversed(range(96)):
        world.collection("cards").add(_card(rng, i, users[i % len(users)]["id"]))


def _user(rng: random.Random, i: int) -> dict[str, Any]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    plain = "".join(c for c in f"{first}.{last}".lower() if c.isascii() and c not in "'")
    gone = {60: "DELETED", 61: "ARCHIVED", 62: "ARCHIVED"}
    user: dict[str, Any] = {
        "id": f"cuuser_{i:05d}",
        "first_name": first,
        "last_name": last,
        "email": f"{plain}{i}@northwind.example",
        "status": gone.get(i, "ACTIVE" if i < 5 else rng.choice(STATES)),
        "manager_id": None if i == 0 else f"cuuser_{(i - 1) // 6:05d}",
        "department_id": f"dept_{i % 6:04d}",
        "location_id": rng.choice((None, "loc_0000", "loc_0001", "loc_0002", "loc_0003")),
        "title_id": f"title_{i % 5:04d}",
        "metadata": {"badge": str(1000 + i)} if i % 3 == 0 else None,
    }
    if i % 4:
        user["remote_display_id"] = f"okta-{i}"
    return user


def _limit(rng: random.Random, user: str) -> dict[str, Any]:
    limit = rng.randrange(10, 200) * 10_000
    return {
        "id": user,
        "monthly_limit": {"amount": limit, "currency": "USD"} if limit % 30_000 else None,
        "monthly_available": {"amount": limit // 3, "currency": "USD"},
    }


def _card(rng: random.Random, i: int, user: str) -> dict[str, Any]:
    own = i % 3 == 0
    limit = rng.randrange(5, 100) * 10_000
    controls = {
        "spend_limit": {"amount": limit, "currency": "USD"},
        "spend_available": {"amount": limit // 2, "currency": None if i == 3 else "USD"},
        "spend_duration": rng.choice(("MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME")),
        "reason": None,
        "lock_after_date": "2027-06-30" if i % 6 == 0 else None,
        "allowed_merchant_details": [{"name": "GitHub"}] if i % 9 == 0 else None,
        "blocked_merchant_details": [],
    }
    card: dict[str, Any] = {
        "id": f"ncard_{i:05d}",
        "owner": {"type": "USER", "user_id": user},
        "status": ("TERMINATED" if i % 17 == 5 else "LOCKED" if i % 23 == 7 else "ACTIVE"),
        "last_four": f"{rng.randrange(10_000):04d}",
        "card_name": f"{rng.choice(('Travel', 'Software', 'Team', 'Ads', 'Office'))} {i}",
        "card_type": "VIRTUAL" if own or i % 2 else "PHYSICAL",
        "limit_type": "CARD" if own else "USER",
        "spend_controls": controls if own else None,
        "billing_address": ADDRESS,
        "mailing_address": ADDRESS if not own and not i % 2 else None,
        "expiration_date": {"month": 1 + i % 12, "year": 2027 + i % 4},
        "has_been_transferred": False,
        "metadata": {"purpose": "ads"} if i % 10 == 0 else None,
        "budget_id": f"budget_{i % 8:04d}" if i % 4 == 0 else None,
    }
    return card
