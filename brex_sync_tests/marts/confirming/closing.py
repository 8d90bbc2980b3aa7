"""Answers on closing a month, the long way."""

from collections import defaultdict
from datetime import date, timedelta

from brex_sync.sandbox import shown_items
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.confirming.core import (
    Rows,
    confirms,
    counted,
    first_of_month,
    grouped,
    name_of,
    user,
)
from brex_sync_tests.marts.confirming.money import cash
from brex_sync_tests.marts.lines import OFF, lines, major, total


@confirms("Who has to hand in receipts?")
def _(rig: Rig) -> Rows:
    mine = [x for x in counted(rig) if x.is_without_receipt]
    rows = []
    for key, of in grouped(mine, lambda line: line.user).items():
        known = user(rig, key)
        rows.append(
            (
                name_of(rig, key),
                known.get("email"),
                name_of(rig, known.get("manager_id")),
                len(of),
                max((rig.world.today - x.day).days for x in of),
                total(x.usd for x in of),
            )
        )
    return rows


@confirms("Who has to approve what?")
def _(rig: Rig) -> Rows:
    waiting: dict[str, dict[str, int]] = defaultdict(dict)
    for line in lines(rig):
        if line.stage in ("void", "declined") or line.item.get("status") in OFF:
            continue
        for step in (line.item.get("review") or {}).get("approval_steps", ()):
            since = date.fromisoformat(line.item["submitted_at"][:10])
            for reviewer in step["pending_reviewers"] or ():
                waiting[reviewer["id"]][line.id] = (rig.world.today - since).days
    return [(name_of(rig, key), len(days), max(days.values())) for key, days in waiting.items()]


@confirms("What is left to do before last month can be closed?")
def _(rig: Rig) -> Rows:
    month = first_of_month(rig, 1)
    mine = [line for line in lines(rig) if line.month == month]
    live = [line for line in mine if line.stage not in ("void", "declined")]
    items = {
        "drafts": [x for x in live if x.item.get("status") == "DRAFT"],
        "missing receipts": [x for x in mine if x.counts and x.is_without_receipt],
        "unapproved": [x for x in mine if x.counts and x.is_unapproved],
        "pending": [x for x in mine if x.stage == "pending"],
        "unexported": [x for x in mine if x.counts and not x.item.get("exported_at")],
    }
    return [(item, len(of), total(x.usd for x in of), None) for item, of in items.items() if of]


@confirms("Which statements do the transactions not explain?")
def _(rig: Rig) -> Rows:
    rows: Rows = []
    for account in shown_items(rig.world, "cash_accounts"):
        days = cash(rig, account)
        for statement in shown_items(rig.world, "cash_statements", account["id"]):
            start, end = (date.fromisoformat(x) for x in statement["period"].values())
            held = days[end - timedelta(days=1)][2]
            if held != statement["end_balance"]["amount"]:
                off = major(statement["end_balance"]["amount"] - held)
                rows.append((account["name"], start, end, off, "USD"))
    return rows
