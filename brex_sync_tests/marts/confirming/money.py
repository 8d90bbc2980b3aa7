"""Answers on cash, bills and claims, the long way."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.confirming.core import Rows, confirms, grouped, name_of
from brex_sync_tests.marts.lines import Line, lines, major, total


def cash(rig: Rig, account: Any) -> dict[date, tuple[int, int, int]]:
    """By day, what came in, what went out, and the balance at its end, in US cents."""
    days: dict[date, list[int]] = defaultdict(list)
    for item in shown_items(rig.world, "cash_transactions", account["id"]):
        days[date.fromisoformat(item["posted_at_date"])].append(
            (item["amount"] or {}).get("amount", 0)
        )
    first = min(date.fromisoformat(s["period"]["start_date"])
                for s in shown_items(rig.world, "cash_statements", account["id"]))  # fmt: skip
    day, closing, found = rig.world.today, account["current_balance"]["amount"], {}
    while day >= min(first, *days):
        into = sum(minor for minor in days[day] if minor > 0)
        out = -sum(minor for minor in days[day] if minor < 0)
        found[day] = (into, out, closing)
        closing, day = closing - into + out, day - timedelta(days=1)
    return found


@confirms("How much cash do we have?")
def _(rig: Rig) -> Rows:
    return [
        (account["name"], major(account["current_balance"]["amount"]), "USD", True)
        for account in shown_items(rig.world, "cash_accounts")
    ]


@confirms("What was our lowest balance of the last 90 days?")
def _(rig: Rig) -> Rows:
    since, rows = rig.world.today - timedelta(days=90), []
    for account in shown_items(rig.world, "cash_accounts"):
        days = {day: held for day, (_, _, held) in cash(rig, account).items() if day > since}
        day = min(days, key=lambda day: (days[day], day))
        rows.append((account["name"], day, major(days[day]), "USD"))
    return rows


@confirms("How much cash came in and went out, by month?")
def _(rig: Rig) -> Rows:
    months: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    for account in shown_items(rig.world, "cash_accounts"):
        for day, (into, out, _) in cash(rig, account).items():
            months[day.replace(day=1)][0] += into
            months[day.replace(day=1)][1] += out
    return [
        (month, "USD", major(into), major(out), major(into - out))
        for month, (into, out) in months.items()
    ]


def bills(rig: Rig) -> list[tuple[Line, Any]]:
    """Every bill, with the record that vendor and due date are in.

    The sandbox makes a record's id from the bill's, which is the longer way to tell them.
    """
    records = rig.world.collection("accounting_records")
    return [
        (line, records.get(line.id.replace("expense_", "accr_")) or {})
        for line in lines(rig)
        if line.kind == "bill"
    ]


def vendor_of(rig: Rig, record: Any) -> str | None:
    shown = record.get("vendor") or {}
    known = rig.world.collection("vendors").get(shown.get("id") or "") or {}
    return known.get("company_name") or shown.get("name")


@confirms("Which bills are open, and which of them are late?")
def _(rig: Rig) -> Rows:
    rows = []
    for line, record in bills(rig):
        if line.stage in ("settled", "void", "declined"):
            continue
        due = record.get("due_at") and date.fromisoformat(record["due_at"][:10])
        late = (rig.world.today - due).days if due and due < rig.world.today else None
        rows.append((vendor_of(rig, record), record.get("invoice_number"), due, late, line.amount,
                     line.currency))  # fmt: skip
    return rows


@confirms("What did we pay each vendor in bills, by year?")
def _(rig: Rig) -> Rows:
    sums: dict[Any, list[Any]] = defaultdict(list)
    for line, record in bills(rig):
        if line.stage == "settled":
            paid = line.item["payment_posted_at"] or line.item["completion_date"]
            year = paid and date(int(paid[:4]), 1, 1)
            sums[year, vendor_of(rig, record), line.currency].append(line.amount)
    return [(*key, sum(amounts), len(amounts)) for key, amounts in sums.items()]


@confirms("What do we owe to people, and for how long?")
def _(rig: Rig) -> Rows:
    mine = []
    for line in lines(rig):
        status, payment = line.item.get("status"), line.item.get("payment_status")
        waits = status in ("SUBMITTED", "APPROVED", "OUT_OF_POLICY") and payment in (
            "NOT_STARTED", "AWAITING_PAYMENT", "SCHEDULED", "PROCESSING",
        )  # fmt: skip
        if line.kind == "reimbursement" and waits:
            mine.append(line)
    rows = []
    for (key, currency), of in grouped(mine, lambda x: (x.user, x.currency)).items():
        handed_in = [x.item["submitted_at"] for x in of if x.item["submitted_at"]]
        longest = max(
            ((rig.world.today - date.fromisoformat(x[:10])).days for x in handed_in), default=None
        )
        rows.append((name_of(rig, key), currency, total(x.amount for x in of), longest))
    return rows
