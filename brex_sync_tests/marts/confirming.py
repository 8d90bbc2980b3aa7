"""The cookbook's answers computed a second time: each in Python, from what the simulated Brex says.

Names of merchants alone are taken from `spend`, where they are cleaned.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.lines import OFF, Line, lines, major, total

Rows = list[tuple[Any, ...]]
CONFIRMED: dict[str, Callable[[Rig], Rows]] = {}
"""By question, what answers it a second time."""


def confirms(question: str) -> Callable[[Callable[[Rig], Rows]], Callable[[Rig], Rows]]:
    """Registers a function as the second computation of a question's answer."""

    def register(function: Callable[[Rig], Rows]) -> Callable[[Rig], Rows]:
        CONFIRMED[question] = function
        return function

    return register


def grouped(found: Iterable[Line], key: Callable[[Line], Any]) -> dict[Any, list[Line]]:
    groups: dict[Any, list[Line]] = defaultdict(list)
    for line in found:
        groups[key(line)].append(line)
    return groups


def counted(rig: Rig) -> list[Line]:
    return [line for line in lines(rig) if line.counts]


def first_of_month(rig: Rig, back: int = 0) -> date:
    first = rig.world.today.replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


def user(rig: Rig, key: str | None) -> Any:
    return rig.world.collection("users").get(key or "") or {}


def name_of(rig: Rig, key: str | None) -> str | None:
    found = user(rig, key)
    return f"{found['first_name']} {found['last_name']}" if found else None


def department_of(rig: Rig, key: str | None) -> str | None:
    found = rig.world.collection("departments").get(user(rig, key).get("department_id") or "")
    return found["name"] if found else None


def merchants(rig: Rig) -> dict[str | None, str | None]:
    """The names that spend shows, by what the card network says."""
    return dict(rig.rows("SELECT DISTINCT merchant_raw, merchant FROM brex_marts.spend"))


@confirms("What did each department spend last month?")
def _(rig: Rig) -> Rows:
    month = first_of_month(rig, 1)
    mine = [line for line in counted(rig) if line.month == month]
    return [
        (name, total(x.usd for x in of), len(of), sum(x.usd is None for x in of))
        for name, of in grouped(mine, lambda line: department_of(rig, line.user)).items()
    ]


@confirms("How does last month compare with the month before?")
def _(rig: Rig) -> Rows:
    rows = []
    key = lambda line: (line.item.get("category"), line.currency)  # noqa: E731
    for (category, currency), of in grouped(counted(rig), key).items():
        now, before = (
            total(x.amount for x in of if x.month == first_of_month(rig, back)) or 0
            for back in (1, 2)
        )
        if now or before:
            rows.append((category, currency, now, before, now - before))
    return rows


@confirms("Which ten merchants did we spend most with in the last twelve months?")
def _(rig: Rig) -> Rows:
    names, today = merchants(rig), rig.world.today
    leap = (today.month, today.day) == (2, 29)
    since = today.replace(year=today.year - 1, day=28 if leap else today.day)
    mine = [line for line in counted(rig) if line.day > since]
    found = [
        (name, total(x.usd for x in of), len(of), len({x.user for x in of if x.user}))
        for name, of in grouped(mine, lambda line: names[line.merchant]).items()
    ]
    return sorted((row for row in found if row[1] is not None), key=lambda row: -row[1])[:10]


@confirms("What did we spend in each currency?")
def _(rig: Rig) -> Rows:
    return [
        (currency, total(x.amount for x in of), total(x.usd for x in of),
         sum(x.usd is None for x in of))
        for currency, of in grouped(counted(rig), lambda line: line.currency).items()
    ]  # fmt: skip


@confirms("What is pending and will be settled?")
def _(rig: Rig) -> Rows:
    mine = [line for line in lines(rig) if line.stage == "pending"]
    return [
        (*key, len(of), total(x.amount for x in of))
        for key, of in grouped(mine, lambda line: (line.kind, line.currency)).items()
    ]


@confirms("How much came back to us, by month?")
def _(rig: Rig) -> Rows:
    mine = [line for line in counted(rig) if line.minor is not None and line.minor < 0]
    return [
        (*key, total(x.usd for x in of), len(of))
        for key, of in grouped(mine, lambda line: (line.month, line.kind)).items()
    ]


@confirms("Which card transactions have no expense?")
def _(rig: Rig) -> Rows:
    cards = rig.world.collection("cards")
    return [
        (
            line.id,
            date.fromisoformat(line.item["posted_at_date"]),
            line.merchant,
            line.amount,
            line.currency,
            (cards.get(line.card or "") or {}).get("last_four"),
        )
        for line in lines(rig)
        if not line.is_expense
    ]


@confirms("Was something paid twice?")
def _(rig: Rig) -> Rows:
    names = merchants(rig)
    parts = {
        part["id"]
        for item in rig.world.items("expenses")
        if item["status"] == "SPLIT"
        for part in item["expense_line_items"]
    }
    mine = [x for x in counted(rig) if x.id not in parts and x.minor is not None and x.minor > 0]
    key = lambda x: (x.user, names[x.merchant], x.day, x.amount, x.currency)  # noqa: E731
    return [(*key, len(of)) for key, of in grouped(mine, key).items() if len(of) > 1]


@confirms("What do our trips cost?")
def _(rig: Rig) -> Rows:
    trips = rig.world.collection("trips")
    mine = [line for line in counted(rig) if line.item.get("trip_id")]
    return [
        (key, trips.get(key)["name"], total(x.usd for x in of), len(of))
        for key, of in grouped(mine, lambda line: line.item["trip_id"]).items()
    ]


@confirms("Which cards have used more than half of their limit?")
def _(rig: Rig) -> Rows:
    rows = []
    for card in rig.world.items("cards"):
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
        for card in rig.world.items("cards")
        if card["status"] == "ACTIVE" and card["id"] not in used
    ]


@confirms("Whose cards still work although they are not active?")
def _(rig: Rig) -> Rows:
    rows = []
    for card in rig.world.items("cards"):
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
    return [("budget", item) for item in rig.world.items("budgets")] + [
        ("spend_limit", item) for item in rig.world.items("spend_limits")
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
        for limit in rig.world.items("spend_limits")
        if item in ancestry(rig, limit) or (kind == "spend_limit" and limit["id"] == item["id"])
    }
    mine = [x for x in counted(rig) if x.item.get("budget_id") in within and start <= x.day <= end]
    return total(x.usd for x in mine) or 0


def cash(rig: Rig, account: Any) -> dict[date, tuple[int, int, int]]:
    """By day, what came in, what went out, and the balance at its end, in US cents."""
    days: dict[date, list[int]] = defaultdict(list)
    for item in rig.world.items("cash_transactions", account["id"]):
        days[date.fromisoformat(item["posted_at_date"])].append(
            (item["amount"] or {}).get("amount", 0)
        )
    first = min(date.fromisoformat(s["period"]["start_date"])
                for s in rig.world.items("cash_statements", account["id"]))  # fmt: skip
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
        for account in rig.world.items("cash_accounts")
    ]


@confirms("What was our lowest balance of the last 90 days?")
def _(rig: Rig) -> Rows:
    since, rows = rig.world.today - timedelta(days=90), []
    for account in rig.world.items("cash_accounts"):
        days = {day: held for day, (_, _, held) in cash(rig, account).items() if day > since}
        day = min(days, key=lambda day: (days[day], day))
        rows.append((account["name"], day, major(days[day]), "USD"))
    return rows


@confirms("How much cash came in and went out, by month?")
def _(rig: Rig) -> Rows:
    months: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    for account in rig.world.items("cash_accounts"):
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
    for account in rig.world.items("cash_accounts"):
        days = cash(rig, account)
        for statement in rig.world.items("cash_statements", account["id"]):
            start, end = (date.fromisoformat(x) for x in statement["period"].values())
            held = days[end - timedelta(days=1)][2]
            if held != statement["end_balance"]["amount"]:
                off = major(statement["end_balance"]["amount"] - held)
                rows.append((account["name"], start, end, off, "USD"))
    return rows


@confirms("Which subscriptions do we have, and when are they paid next?")
def _(rig: Rig) -> Rows:
    names, known_until, rows = merchants(rig), max(line.day for line in counted(rig)), []
    key = lambda line: (names[line.merchant], line.currency)  # noqa: E731
    charged = [x for x in counted(rig) if x.merchant and x.minor is not None and x.minor > 0]
    for (name, currency), of in grouped(charged, key).items():
        days = {day: sum(x.minor or 0 for x in found)
                for day, found in grouped(of, lambda line: line.day).items()}  # fmt: skip
        cadence = cadence_of(sorted(days))
        if cadence is None:
            continue
        last, gap = max(days), middle_gap(sorted(days))
        newest = [days[day] for day in sorted(days)[-4:]]
        if max(newest) <= 2 * min(newest) and known_until <= last + timedelta(days=gap * 3 // 2):
            seen = max(x.day for x in counted(rig) if key(x) == (name, currency))
            rows.append((name, cadence, major(days[last], currency), currency, seen,
                         following(last, cadence)))  # fmt: skip
    return rows


CADENCES = {"weekly": (6, 8), "monthly": (26, 35), "quarterly": (84, 98), "yearly": (351, 379)}


def gaps_of(days: list[date]) -> list[int]:
    return [(later - day).days for day, later in pairwise(days)]


def middle_gap(days: list[date]) -> int:
    gaps = sorted(gaps_of(days))
    return gaps[(len(gaps) - 1) // 2]


def cadence_of(days: list[date]) -> str | None:
    """How often, if three of four intervals say the same."""
    gaps = gaps_of(days)
    for name, (least, most) in CADENCES.items():
        fitting = sum(least <= gap <= most for gap in gaps)
        if len(gaps) >= (1 if name == "yearly" else 2) and fitting * 4 >= len(gaps) * 3:
            return name
    return None


def following(day: date, cadence: str) -> date:
    """A week later, or the same day of a later month, or that month's last."""
    if cadence == "weekly":
        return day + timedelta(days=7)
    month = day.month - 1 + {"monthly": 1, "quarterly": 3, "yearly": 12}[cadence]
    year, month = day.year + month // 12, month % 12 + 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return date(year, month, min(day.day, last))
