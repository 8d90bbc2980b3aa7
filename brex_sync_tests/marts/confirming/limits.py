"""Answers on cards and budgets, the long way."""

from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.confirming.core import Rows, confirms, counted, name_of, user
from brex_sync_tests.marts.lines import lines, major, total


@confirms("Which cards have used more than half of their limit?")
def _(rig: Rig) -> Rows:
    rows = []
    for card in shown_items(rig.world, "cards"):
        source, limit, left = limit_of(rig, card)
        if card["status"] == "ACTIVE" and left is not None and (limit - left) * 2 > limit > 0:
            used = round(major(limit - left) / major(limit), 4)
            holder = name_of(rig, card["owner"]["user_id"])
            rows.append((card["card_name"], card["last_four"], holder, source, major(limit),
                         major(limit - left), "USD", used))  # fmt: skip
    return rows


def limit_of(rig: Rig, card: Any) -> tuple[str | None, Any, Any]:
    """Whose limit rules a card, the limit, and what is left of it, in US cents."""
    if controls := card["spend_controls"]:
        return "card", controls["spend_limit"]["amount"], controls["spend_available"]["amount"]
    shared = rig.world.collection("spend_limits").get(card["budget_id"] or "") or {}
    if settings := shared.get("authorization_settings"):
        limit = settings["limit_with_increases"]["amount"]
        balance = shared["current_period_balance"]
        return "spend_limit", limit, balance and limit - balance["amount_spent"]["amount"]
    of_user = rig.world.collection("user_limits").get(card["owner"]["user_id"]) or {}
    if limit := of_user.get("monthly_limit"):
        return "user", limit["amount"], of_user["monthly_available"]["amount"]
    return None, None, None


@confirms("Which active cards were not used in the last 30 days?")
def _(rig: Rig) -> Rows:
    since = rig.world.today - timedelta(days=30)
    used = {line.card for line in lines(rig) if line.day > since}
    return [
        (card["card_name"], card["last_four"], name_of(rig, card["owner"]["user_id"]))
        for card in shown_items(rig.world, "cards")
        if card["status"] == "ACTIVE" and card["id"] not in used
    ]


@confirms("Whose cards still work although they are not active?")
def _(rig: Rig) -> Rows:
    rows = []
    for card in shown_items(rig.world, "cards"):
        holder = user(rig, card["owner"]["user_id"])
        if card["status"] == "ACTIVE" and holder["status"] != "ACTIVE":
            name = name_of(rig, holder["id"])
            rows.append((name, holder["status"], card["card_name"], card["last_four"]))
    return rows


@confirms("Which budgets are used most in their current period?")
def _(rig: Rig) -> Rows:
    today, rows = rig.world.today, []
    for kind, item in budgets(rig):
        limit = limit_amount(kind, item)
        start, end = current_period(kind, item, today)
        if limit is None or not start <= today or (end and end < today):
            continue
        spent = spent_of(rig, kind, item, start, end or today)
        path = " / ".join(x["name"] for x in ancestry(rig, item))
        rows.append((path, kind, start, end, major(limit), spent, major(limit) - spent, "USD",
                     round(spent / major(limit), 4)))  # fmt: skip
    return rows


@confirms("How did a budget do in each of its periods?")
def _(rig: Rig) -> Rows:
    [item] = [x for kind, x in budgets(rig) if kind == "budget" and x["name"] == "Engineering"]
    rows, start = [], date.fromisoformat(item["start_date"])
    while start <= rig.world.today:
        following = (start + timedelta(days=32)).replace(day=1)
        spent = spent_of(rig, "budget", item, start, following - timedelta(days=1))
        limit = major(item["amount"]["amount"])
        rows.append((start, following - timedelta(days=1), limit, spent, 0,
                     round(spent / limit, 4)))  # fmt: skip
        start = following
    return rows


def budgets(rig: Rig) -> list[tuple[str, Any]]:
    return [("budget", item) for item in shown_items(rig.world, "budgets")] + [
        ("spend_limit", item) for item in shown_items(rig.world, "spend_limits")
    ]


def limit_amount(kind: str, item: Any) -> int | None:
    if kind == "budget":
        return item["amount"] and item["amount"]["amount"]
    settings = item["authorization_settings"]
    return settings and settings["limit_with_increases"]["amount"]


def ancestry(rig: Rig, item: Any) -> list[Any]:
    """The item after all that it is nested in, from the top."""
    above = rig.world.collection("budgets").get(item["parent_budget_id"] or "")
    return [*(ancestry(rig, above) if above else []), item]


def current_period(kind: str, item: Any, today: date) -> tuple[date, date | None]:
    """First and last day of the period that today is in, or of the last there was."""
    starts = item["start_date"] or item.get("start_time_utc")
    ends_on = item["end_date"] or item.get("end_time_utc")
    begun = date.fromisoformat(starts[:10]) if starts else date.max
    ends = date.fromisoformat(ends_on[:10]) if ends_on else date.max
    balance = item.get("current_period_balance")
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
    each = item["period_recurrence_type"].removeprefix("PER_").removesuffix("LY")
    if each == "WEEK":
        start = today - timedelta(days=today.weekday())
        return max(begun, start), min(ends, start + timedelta(days=6))
    if each not in months:
        return begun, None if ends == date.max else ends
    first = today.replace(day=1)
    start = first.replace(month=first.month - (first.month - 1) % months[each])
    if balance:
        start = date.fromisoformat(balance["start_date"])
    over = start
    for _ in range(months[each]):
        over = (over + timedelta(days=32)).replace(day=1)
    return max(begun, start), min(ends, over - timedelta(days=1))


def spent_of(rig: Rig, kind: str, item: Any, start: date, end: date) -> Any:
    """US dollars spent of a budget or spend limit, and of the spend limits nested in it."""
    within = {
        limit["id"]
        for limit in shown_items(rig.world, "spend_limits")
        if item in ancestry(rig, limit) or (kind == "spend_limit" and limit["id"] == item["id"])
    }
    mine = [x for x in counted(rig) if x.item.get("budget_id") in within and start <= x.day <= end]
    return total(x.usd for x in mine) or 0
