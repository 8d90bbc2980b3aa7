"""The company's past adds up, and goes on while the world is live."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app, create_world
from brex_sync_tests.sandbox.asking import get, ids, listed

DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CARDS = "/v2/transactions/card/primary"


@pytest.fixture(scope="module")
def two_years() -> World:
    return create_world(today=DAY, months=24)


def check_statements(statements: list[Any], transactions: list[Any]) -> None:
    """Start plus the movements of the half-open period is end; periods follow each other."""
    moved: dict[str, int] = defaultdict(int)
    for item in transactions:
        money = item["amount"] or {"amount": 0, "currency": "USD"}
        if money["currency"] in ("USD", None):
            moved[item["posted_at_date"]] += money["amount"]
    before = None
    for statement in reversed(statements):
        start, end = statement["period"]["start_date"], statement["period"]["end_date"]
        within = sum(amount for day, amount in moved.items() if start <= day < end)
        opening, closing = statement["start_balance"]["amount"], statement["end_balance"]["amount"]
        assert opening + within == closing, statement["id"]
        assert before in (None, (start, opening))
        before = (end, closing)


@pytest.mark.parametrize("number", [0, 10, 300, 12_000, 60_000])
def test_card_statements_and_balances_follow_from_the_transactions(number: int) -> None:
    world = create_world(today=DAY, card_transactions=number)
    transactions = world.collection("card_transactions").items()
    assert len(transactions) == number
    statements = world.collection("card_statements").items()
    assert len(statements) == 14
    check_statements(statements, transactions)
    for account in world.collection("card_accounts").items():
        currency = account["current_balance"]["currency"]
        alike = (currency, None) if currency == "USD" else (currency,)
        sums = [t["amount"]["amount"] for t in transactions if t["amount"]["currency"] in alike]
        assert account["current_balance"]["amount"] == sum(sums)


@pytest.mark.parametrize("months", [1, 14, 24])
def test_cash_statements_and_balances_follow_from_the_transactions(months: int) -> None:
    world = create_world(today=DAY, months=months, card_transactions=1_000)
    for account in world.collection("cash_accounts").items():
        transactions = world.collection("cash_transactions").items(account["id"])
        statements = world.collection("cash_statements").items(account["id"])
        check_statements(statements, transactions)
        open_since = statements[0]["period"]["end_date"]
        since = [t for t in transactions if t["posted_at_date"] >= open_since]
        moved = sum(t["amount"]["amount"] for t in since if t["amount"])
        closed = statements[0]["end_balance"]["amount"]
        assert account["current_balance"]["amount"] == closed + moved


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("card_transactions", "posted_at_date"),
        ("expenses", "updated_at"),
        ("accounting_records", "updated_at"),
        ("trips", "updated_at"),
        ("transfers", "process_date"),
    ],
)
def test_every_dated_list_covers_the_whole_history_and_not_the_future(
    two_years: World, name: str, field: str
) -> None:
    moments = [item[field] for item in two_years.collection(name).items() if item[field]]
    assert len({moment[:7] for moment in moments}) >= 24
    assert max(moments)[:10] <= DAY.isoformat()


def test_references_lead_somewhere() -> None:
    world = create_world(today=DAY, card_transactions=500)
    known = {
        name: set(world.collection(name).rows().ids)
        for name in ("users", "departments", "locations", "spend_limits", "merchants", "trips",
                     "legal_entities", "transfers", "cards")
    }  # fmt: skip
    for expense in world.collection("expenses").items():
        for field, name in (
            ("user_id", "users"),
            ("department_id", "departments"),
            ("location_id", "locations"),
            ("budget_id", "spend_limits"),
            ("merchant_id", "merchants"),
            ("trip_id", "trips"),
            ("spending_entity_id", "legal_entities"),
        ):
            assert expense[field] is None or expense[field] in known[name]
    cash = world.collection("cash_transactions").items("dpacc_operating")
    moved = {t["transfer_id"] for t in cash} - {None}
    assert moved
    assert moved <= known["transfers"]
    spent_with = {t["card_id"] for t in world.collection("card_transactions").items()} - {None}
    assert spent_with <= known["cards"]


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def live(clock: Clock, seed: int = 7) -> World:
    return create_world(seed, clock.now.date(), card_transactions=100, live=True, clock=clock)


def test_a_live_world_grows_with_its_clock_in_cards_cash_and_expenses() -> None:
    clock = Clock()
    world = live(clock)
    app = create_app(world, rate_limit=None)
    cash = "/v2/transactions/cash/dpacc_operating"
    before = {path: len(ids(app, path)) for path in (CARDS, cash, "/v1/expenses")}
    assert before[CARDS] == 100
    clock.now += timedelta(seconds=16)
    assert len(ids(app, CARDS)) == 103
    clock.now += timedelta(minutes=10)
    assert len(ids(app, CARDS)) == 223
    transfers = [t for t in listed(app, cash)[:100] if t["posted_at_date"] == str(DAY)]
    paid = {t["transfer_id"] for t in transfers if t["id"].startswith("dpacc_operating_dptx")}
    assert len(paid) > 5
    assert len(ids(app, cash)) == before[cash] + 41 + len(paid)
    status = {t["id"]: t["status"] for t in listed(app, "/v1/transfers")}
    assert {status[key] for key in paid} == {"PROCESSED"}
    assert len(ids(app, "/v1/expenses")) > before["/v1/expenses"] + 100
    newest = listed(app, "/v1/expenses", limit="100")[0]
    assert newest["updated_at"] > "2026-03-10T12:09"


def test_a_live_world_changes_people_and_approves_expenses_into_the_books() -> None:
    clock = Clock()
    world = live(clock)
    app = create_app(world, rate_limit=None)
    people, books = listed(app, "/v2/users"), ids(app, "/v3/accounting/records")
    clock.now += timedelta(minutes=15)
    assert listed(app, "/v2/users") != people
    assert sorted(ids(app, "/v2/users")) == sorted(p["id"] for p in people)
    assert len(ids(app, "/v3/accounting/records")) > len(books)


def test_live_balances_and_statements_follow_across_the_end_of_a_month() -> None:
    clock = Clock(datetime(2026, 3, 31, 23, 50, tzinfo=UTC))
    world = live(clock)
    app = create_app(world, rate_limit=None)
    clock.now += timedelta(minutes=20)
    statements = listed(app, "/v2/accounts/card/primary/statements")
    assert statements[0]["period"] == {"start_date": "2026-03-01", "end_date": "2026-04-01"}
    check_statements(statements, listed(app, CARDS))
    periods = [a["current_statement_period"] for a in get(app, "/v2/accounts/card").json()]
    assert {p["start_date"] for p in periods} == {"2026-04-01"}
    account = get(app, "/v2/accounts/cash/primary").json()
    assert account == get(app, "/v2/accounts/cash/dpacc_operating").json()
    path = "/v2/accounts/cash/dpacc_operating/statements"
    cash = listed(app, "/v2/transactions/cash/dpacc_operating")
    check_statements(listed(app, path), cash)


def test_what_happens_depends_on_seed_and_clock_alone() -> None:
    def bodies(steps: int, seed: int = 7) -> list[list[bytes]]:
        clock = Clock()
        world = live(clock, seed)
        for _ in range(steps):
            clock.now += timedelta(seconds=600 / steps)
            world.tick()
        names = ("card_transactions", "expenses", "users", "cards", "accounting_records")
        return [world.collection(name).rows().bodies for name in names]

    assert bodies(1) == bodies(20)
    assert bodies(1) != bodies(1, seed=8)
