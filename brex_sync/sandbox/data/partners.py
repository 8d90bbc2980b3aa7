"""What partners and integrations keep: referrals, webhook subscriptions, groups and a secret."""

import random
from datetime import timedelta

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.events.signing_secrets import ensure_secret
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.company import COMPANY

REFERRALS = ("ACTIVE", "UNCLAIMED", "EXPIRED", "CLOSED", "UNCLAIMED")


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds referrals, and webhook subscriptions with their groups and a secret."""
    for i, status in enumerate(REFERRALS):
        signed = status in ("ACTIVE", "CLOSED")
        application = {"application": {"status": status}, "accounts": None}
        away = timedelta(days=-30 if status == "EXPIRED" else 90 - i)
        world.collection("referrals").add(
            {
                "id": f"referral_{i:04d}",
                "referral_signup_url": f"https://brex.example/signup/{i:04d}",
                "expires_at": f"{world.today + away}T00:00:00Z",
                "customer_email": f"founder{i}@startup.example" if signed else None,
                "status": status,
                "products": [{"cash": application}] if signed else [],
            }
        )
    for i, group in enumerate(("Customers", "Beta customers", "Nobody yet")):
        world.collection("webhook_groups").add({"id": f"wg_{i:04d}", "name": group})
        world.collection("webhook_group_members").open_list(f"wg_{i:04d}")
    for i, account in enumerate((COMPANY, "cuacc_contoso", "cuacc_fabrikam")):
        group = f"wg_{i // 2:04d}"
        member = {"group_id": group, "member_type": "ACCOUNT", "member_id": account}
        world.collection("webhook_group_members").add(member, group)
    for i, events in enumerate((["USER_UPDATED"], ["TRANSFER_PROCESSED", "TRANSFER_FAILED"])):
        world.collection("webhooks").add(
            {
                "id": f"wsub_{i + 1:04d}",
                "group_id": "wg_0000" if i else None,
                "url": "https://hooks.northwind.example/brex",
                "event_types": events,
                "status": "INACTIVE" if i else "ACTIVE",
            }
        )
    ensure_secret(world)
