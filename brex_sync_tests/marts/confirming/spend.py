"""Answers on spend, merchants and trips, the long way."""

from datetime import date, timedelta
from itertools import pairwise

from brex_sync.sandbox import shown_items
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.confirming.core import (
    Rows,
    confirms,
    counted,
    department_of,
    first_of_month,
    grouped,
    merchants,
)
from brex_sync_tests.marts.lines import lines, major, total


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
        for item in shown_items(rig.world, "expenses")
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
