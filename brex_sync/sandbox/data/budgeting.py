"""Budgets, spend limits and programs, with what was spent of them in the period that is open."""

import random
from collections import defaultdict
from datetime import date
from typing import Any

from brex_sync.sandbox.data.history import CompanyHistory
from brex_sync.sandbox.world import World
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.company import COMPANY
from brex_sync.sandbox.world.ledger import month_after, usd

NAMES = (
    "Engineering", "Sales", "Finance", "People", "Marketing", "Operations", "Offsite", "Old office",
)  # fmt: skip
PERIODS = ("MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME", "WEEKLY")
SPENT_ALREADY = ("EXPIRED", "ARCHIVED")
LIMIT_MONTHS = (1, 3, 12, None)
"""Months for which a spend limit holds before it begins again; the last holds once."""


def fill(world: World, history: CompanyHistory, rng: random.Random) -> None:
    """Adds budgets, spend limits with what the expenses spent of them, and programs."""
    spending = _spending(world)
    for i, name in enumerate(NAMES):
        limit = rng.randrange(20, 400) * 100_000
        state = SPENT_ALREADY[i - 6] if i >= 6 else "ACTIVE"
        shared: dict[str, Any] = {
            "account_id": COMPANY,
            "name": name,
            "description": None if i % 2 else f"What {name.lower()} may spend",
            "parent_budget_id": None if i < 2 else "budget_0000",
            "owner_user_ids": [f"cuuser_{i:05d}", "cuuser_00000"],
            "start_date": f"{world.today.year - i % 2}-01-01" if i != 6 else None,
            "end_date": f"{world.today.year - 1}-12-31" if i >= 6 else None,
        }
        world.collection("budgets").add(shared | _budget(i, limit, state))
        key = f"spend_limit_{i:04d}"
        months = LIMIT_MONTHS[i % len(LIMIT_MONTHS)]
        period = _open_period(world.today, months) if months else _whole_period(shared)
        since = period["start_date"] or ""
        spent = sum(cents for day, cents in spending[key] if day >= since)
        world.collection("spend_limits").add(
            shared | _spend_limit(world, i, key, limit, state, period, spent)
        )
        world.collection("budgets_v1").add(shared | _v1(i, key, limit, state, period, spent))
    for i in range(3):
        world.collection("budget_programs").add(_program(world, i))


def _spending(world: World) -> dict[str, list[tuple[str, int]]]:
    """By spend limit the day and the US cents of its expenses."""
    spending: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for item in world.collection("expenses").newest():
        bought, amount = item["purchased_at"], item["budget_amount"]
        if bought and amount and item["status"] != "SPLIT":
            spending[item["budget_id"]].append((bought[:10], amount["amount"]))
    return spending


def _open_period(day: date, months: int) -> Item:
    """The period of so many months, counted from January, that is open on a day."""
    start = end = day.replace(month=day.month - (day.month - 1) % months, day=1)
    for _ in range(months):
        end = month_after(end)
    return {"start_date": start.isoformat(), "end_date": end.isoformat()}


def _whole_period(limit: Item) -> Item:
    """The period of what holds once."""
    return {name: limit[name] for name in ("start_date", "end_date")}


def _budget(i: int, limit: int, state: str) -> Item:
    return {
        "budget_id": f"budget_{i:04d}",
        "period_recurrence_type": PERIODS[i % len(PERIODS)],
        "amount": usd(limit * 4) if i != 5 else None,
        "spend_budget_status": state,
        "limit_type": (None, "HARD", "SOFT")[i % 3],
    }


def _spend_limit(
    world: World, i: int, key: str, limit: int, state: str, period: Item, spent: int
) -> dict[str, Any]:
    timed = i % 2
    balance = period | {"amount_spent": usd(spent)}
    balance |= {"rollover_amount": usd(0) if timed else None}
    blocked = {"allowed_merchant_categories": None, "blocked_merchant_categories": ["GAMBLING"]}
    return {
        "id": key,
        "status": state,
        "period_recurrence_type": ("PER_MONTH", "PER_QUARTER", "PER_YEAR", "ONE_TIME")[i % 4],
        "start_time_utc": f"{world.today.year}-01-01T08:00:00Z" if timed else None,
        "end_time_utc": f"{world.today.year}-12-31T08:00:00Z" if i == 5 else None,
        "authorization_settings": _authorization(i, limit) if state != "ARCHIVED" else None,
        "expense_visibility": "SHARED",
        "authorization_visibility": "PUBLIC",
        "merchant_category_controls": blocked if i % 3 == 0 else None,
        "transaction_limit": usd(50_000) if i % 4 == 1 else None,
        "limit_increase_setting": "ENABLED",
        "spend_type": "BUDGET_PROVISIONED_CARDS_ONLY",
        "auto_transfer_cards_setting": "DISABLED",
        "auto_create_limit_cards_setting": "ALL_MEMBERS" if timed else "DISABLED",
        "member_user_ids": [f"cuuser_{j:05d}" for j in range(i, 64, 8)],
        "expense_policy_id": f"policy_{1 + timed:04d}",
        "limit_increase_request_policy_id": "policy_0003" if i == 2 else None,
        "limit_approval_policy_id": "policy_0004" if i == 3 else None,
        "current_period_balance": balance if state == "ACTIVE" else None,
        "department_id": f"dept_{i:04d}" if i < 6 else None,
        "legal_entity_id": "le_0001" if i % 3 else None,
    }


def _authorization(i: int, limit: int) -> Item:
    timed = i % 2
    return {
        "base_limit": usd(limit),
        "limit_buffer_percentage": 10 if timed else None,
        "authorization_type": "SOFT" if timed else "HARD",
        "rollover_refresh_rate": ("OFF", "NEVER", "PER_YEAR")[i % 3],
        "limit_with_increases": usd(limit + limit // 10 * timed),
    }


def _v1(i: int, key: str, limit: int, state: str, period: Item, spent: int) -> Item:
    balance = period | {"balance": usd(limit - spent)}
    return {
        "budget_id": key,
        "creator_user_id": None if i == 3 else "cuuser_00000",
        "member_user_ids": [f"cuuser_{j:05d}" for j in range(i, 64, 8)],
        "period_type": PERIODS[i % 4],
        "limit": usd(limit) if i != 4 else None,
        "budget_status": {"EXPIRED": "EXPIRED", "ARCHIVED": "TERMINATED"}.get(state, "APPROVED"),
        "limit_type": "HARD" if i != 5 else None,
        "spend_type": "BUDGET_PROVISIONED_CARDS_ONLY",
        "current_period_balance": balance if state == "ACTIVE" else None,
        "limit_visibility": "SHARED",
        "templateId": "template_0001" if i == 2 else None,
        "budget_type": "SPEND_LIMIT",
    }


def _program(world: World, i: int) -> Item:
    blueprint = {
        "id": f"blueprint_{i:04d}",
        "name": f"Wellness {i}",
        "description": None,
        "parent_budget_id": "budget_0000",
        "owner_user_ids": ["cuuser_00000"],
        "period_type": "MONTHLY",
        "start_date": None,
        "limit": usd(7_500),
        "limit_type": "HARD",
        "spend_type": "NON_BUDGET_PROVISIONED_CARDS_ALLOWED",
        "limit_visibility": "PRIVATE",
    }
    state = ("ACTIVE", "INACTIVE", "DELETED")[i]
    return {
        "id": f"program_{i:04d}",
        "name": ("Wellness", "Home office", "Learning")[i],
        "description": None if i else "Something for everyone",
        "budget_blueprints": [blueprint] if i != 2 else [],
        "existing_budget_ids": ["spend_limit_0001"] if i else None,
        "employee_filter": {"employment_status": None, "employment_type": None} if i else None,
        "budget_program_status": f"BUDGET_PROGRAM_STATUS_{state}",
        "creator_user_id": None if i == 2 else "cuuser_00000",
        "created_at": f"{world.today.year - 1}-05-01",
        "updated_at": f"{world.today.year - 1}-11-0{i + 1}",
    }
