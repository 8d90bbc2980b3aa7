"""Every amount counted once: spend, its totals, and the merchants."""

from collections import Counter, defaultdict
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import broken, keep
from brex_sync_tests.marts.tables import money, put

LINE = "SELECT line_id, kind, stage, counts, amount_minor, amount_currency FROM brex_marts.spend "
PAID = {"CLEARED", "CREDITED", "CASH_ADVANCE", "REFUNDED", "REFUNDING"}
CLEANED = {
    "UBER *TRIP": "Uber",
    "UBER   *EATS HELP.UBER.COM": "Uber",
    "SQ *BLUE BOTTLE COFFEE": "Blue Bottle Coffee",
    "TST* SWEETGREEN SOMA": "Sweetgreen Soma",
    "PAYPAL *EBAY": "Ebay",
    "DD *DOORDASH": "Doordash",
    "GOOGLE *CLOUD": "Google Cloud",
    "LYFT *RIDE THU 4PM": "Lyft",
    "SLACK T02NORTHW": "Slack",
    "STAPLES #0142": "Staples",
    "APPLE STORE #R011": "Apple Store",
    "SHELL OIL 5744": "Shell Oil",
    "UNITED 0162341": "United",
    "TRADER JOE'S #78": "Trader Joe's",
    "GITHUB, INC.": "Github",
    "DIGIKEY CORP": "Digikey",
    "AMZN MKTP US*2K4": "Amazon",
    "ZOOM.US 888-799-9666": "Zoom.Us",
    "VZWRLSS*APOCC VISB": "Verizon Wireless",
    "東京メトロ": "東京メトロ",
    "Notion Labs, Inc.": "Notion Labs",
    "7-ELEVEN 33012": "7-Eleven",
    "*": "*",
    "  ": "  ",
    "99 RANCH #1776": "99 Ranch",
}


def expense(
    rig: Any, key: str, minor: int | None = 100, currency: str | None = "USD", **more: Any
) -> None:
    dollars = None if currency not in ("USD", None) else minor
    given = {
        "expense_type": "CARD",
        "status": "APPROVED",
        "payment_status": "CLEARED",
        "purchased_at": "2026-03-04T23:30:00Z",
        "payment_posted_at": "2026-03-06T00:00:00Z",
        "updated_at": "2026-03-09T00:00:00Z",
    }
    amounts = money("billing_amount", minor, currency) | money("usd_equivalent_amount", dollars)
    put(rig.engine, "expenses", id=key, **(given | amounts | more))


def transaction(rig: Any, key: str, minor: int, currency: str | None = "USD", **more: Any) -> None:
    given = {
        "type": "PURCHASE",
        "posted_at_date": date(2026, 3, 6),
        "initiated_at_date": date(2026, 3, 4),
    }
    amount = money("amount", minor, currency)
    put(rig.engine, "card_transactions", id=key, **(given | amount | more))


def part(rig: Any, whole: str, key: str, minor: int, **more: Any) -> None:
    given = {"expense_type": "CARD", "status": "APPROVED", "payment_status": "CLEARED",
             "updated_at": "2026-03-09T00:00:00Z"}  # fmt: skip
    amounts = money("billing_amount", minor) | money("usd_equivalent_amount", minor)
    put(rig.engine, "expense_line_items", expense_id=whole, id=key, **(given | amounts | more))


def lines(rig: Any, select: str = LINE) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(f"{select} ORDER BY line_id"))


def spent(rig: Any) -> int:
    keep(rig.engine)
    return int(rig.one("SELECT sum(amount_minor) FROM brex_marts.spend WHERE counts"))


# --- A company, against what its Brex says


def minor_of(item: dict[str, Any]) -> tuple[int | None, str]:
    amount = item["billing_amount"] or item["original_amount"]
    if amount is None:
        return None, "USD"
    sign = -1 if item["expense_type"] == "CLAWBACK" else 1
    return sign * amount["amount"], amount["currency"] or "USD"


def day_of(item: dict[str, Any]) -> date:
    named = ("purchased_at", "payment_posted_at", "submitted_at", "approved_at", "completion_date")
    moment = next((item[name] for name in named if item[name]), item["updated_at"])
    return date.fromisoformat(moment[:10])


def does_count(item: dict[str, Any]) -> bool:
    """By the words of the documentation, state by state."""
    status, payment = item["status"], item["payment_status"]
    if payment in PAID:
        return True
    if payment in ("DECLINED", "CANCELED") or status in ("VOID", "CANCELED", None):
        return False
    return status != "DRAFT" or payment == "PROCESSING"


def truth(rig: Any) -> dict[str, tuple[Any, ...]]:
    """The lines there must be, from what the simulated Brex holds."""
    expenses = {item["id"]: item for item in shown_items(rig.world, "expenses")}
    found = {
        f"expense:{key}": (*minor_of(item), day_of(item), does_count(item))
        for key, item in expenses.items()
        if item["status"] != "SPLIT"
    }
    for item in shown_items(rig.world, "card_transactions", expand=["expense_id"]):
        if item["type"] != "COLLECTION" and item.get("expense_id") not in expenses:
            amount = item["amount"]
            day = date.fromisoformat(item["initiated_at_date"])
            line = (amount["amount"], amount["currency"] or "USD", day, True)
            found[f"transaction:{item['id']}"] = line
    return found


def test_a_company_s_lines_are_what_its_brex_says(synced: Any) -> None:
    select = (
        "SELECT line_id, amount_minor, amount_currency, spend_date, counts FROM brex_marts.spend"
    )
    assert {row[0]: tuple(row[1:]) for row in synced.rows(select)} == truth(synced)


def test_all_ties_of_a_company_hold(synced: Any) -> None:
    assert broken(keep(synced.engine)) == {}


def test_card_lines_are_what_was_posted_on_the_cards(synced: Any) -> None:
    posted: Counter[tuple[str, str]] = Counter()
    for item in shown_items(synced.world, "card_transactions"):
        if item["type"] != "COLLECTION":
            month, currency = item["posted_at_date"][:7], item["amount"]["currency"] or "USD"
            posted[month, currency] += item["amount"]["amount"]
    found = synced.rows(
        "SELECT to_char(posted_date, 'YYYY-MM'), amount_currency, sum(amount_minor)::bigint "
        "FROM brex_marts.spend WHERE transactions > 0 GROUP BY 1, 2"
    )
    assert {row[:2]: row[2] for row in found} == posted


def test_months_and_departments_add_up_as_counted_by_hand(synced: Any) -> None:
    cards = {card["id"]: card["owner"]["user_id"] for card in shown_items(synced.world, "cards")}
    users = {user["id"]: user for user in shown_items(synced.world, "users")}
    holder: dict[str, str | None] = {}
    for item in shown_items(synced.world, "expenses"):
        holder[f"expense:{item['id']}"] = item["user_id"]
    for item in shown_items(synced.world, "card_transactions"):
        holder[f"transaction:{item['id']}"] = cards.get(item["card_id"])
    wanted: dict[tuple[Any, ...], int] = defaultdict(int)
    for key, (minor, currency, day, counts) in truth(synced).items():
        user = users.get(holder[key] or "")
        department = user["department_id"] if user else None
        if counts and minor:
            wanted[day.replace(day=1), department, currency] += minor
    found = synced.rows(
        "SELECT month, department_id, amount_currency, sum(amount_minor)::bigint "
        "FROM brex_marts.spend_by_month GROUP BY 1, 2, 3 HAVING sum(amount_minor) <> 0"
    )
    assert {row[:3]: row[3] for row in found} == {key: sum_ for key, sum_ in wanted.items() if sum_}


def test_every_code_of_a_company_s_merchants_has_a_name(synced: Any) -> None:
    unnamed = "SELECT DISTINCT mcc FROM brex_marts.spend WHERE mcc IS NOT NULL AND mcc_name IS NULL"
    assert synced.rows(unnamed) == []
    named = "SELECT DISTINCT mcc, mcc_name FROM brex_marts.spend WHERE mcc IN ('3058', '5814')"
    assert sorted(synced.rows(named)) == [("3058", "Delta"), ("5814", "Fast food restaurants")]


# --- Traps, each by itself


def test_a_split_expense_counts_by_its_parts_once(fresh: Any) -> None:
    expense(fresh, "e", 100, status="SPLIT")
    for key, minor in (("e_1", 60), ("e_2", 40)):
        part(fresh, "e", key, minor)
        expense(fresh, key, minor)
    transaction(fresh, "t", 100, expense_id="e")
    assert lines(fresh) == [
        ("expense:e_1", "card", "settled", True, 60, "USD"),
        ("expense:e_2", "card", "settled", True, 40, "USD"),
    ]
    ids = (
        "SELECT DISTINCT parent_expense_id, transaction_id, transactions, posted_date "
        "FROM brex_marts.spend"
    )
    assert fresh.rows(ids) == [("e", "t", 1, date(2026, 3, 6))]
    assert broken(keep(fresh.engine)) == {}


def test_parts_that_are_no_expenses_of_their_own_count_from_the_whole_s_list(fresh: Any) -> None:
    expense(fresh, "e", 100, status="SPLIT")
    part(fresh, "e", "e_1", 60, receipts=[{"id": "r"}])
    part(fresh, "e", "e_2", 40)
    assert [row[0] for row in lines(fresh)] == ["expense:e_1", "expense:e_2"]
    receipts = "SELECT receipts FROM brex_marts.spend"
    assert lines(fresh, receipts) == [(1,), (0,)]


def test_a_part_that_is_split_again_counts_by_its_parts(fresh: Any) -> None:
    expense(fresh, "e", 100, status="SPLIT")
    part(fresh, "e", "e_1", 60, status="SPLIT")
    part(fresh, "e", "e_2", 40)
    expense(fresh, "e_1", 60, status="SPLIT")
    part(fresh, "e_1", "e_11", 50)
    part(fresh, "e_1", "e_12", 10)
    expense(fresh, "e_2", 40)
    transaction(fresh, "t", 100, expense_id="e")
    assert [row[0] for row in lines(fresh)] == ["expense:e_11", "expense:e_12", "expense:e_2"]
    assert broken(keep(fresh.engine)) == {}


def test_a_split_expense_without_parts_is_not_lost(fresh: Any) -> None:
    expense(fresh, "e", 100, status="SPLIT")
    assert [row[0] for row in lines(fresh)] == ["expense:e"]


def test_an_expense_without_a_status_stays(fresh: Any) -> None:
    expense(fresh, "e", status=None)
    expense(fresh, "n", None, None, status=None, payment_status=None, expense_type=None)
    assert lines(fresh) == [
        ("expense:e", "card", "settled", True, 100, "USD"),
        ("expense:n", "other", "unknown", False, None, "USD"),
    ]


def test_no_currency_means_dollars(fresh: Any) -> None:
    expense(fresh, "e", 100, None)
    transaction(fresh, "t", 50, None)
    found = lines(fresh, "SELECT amount_currency, amount_usd FROM brex_marts.spend")
    assert found == [("USD", Decimal("1.00")), ("USD", Decimal("0.50"))]


def test_a_bill_has_a_date_though_it_was_never_purchased(fresh: Any) -> None:
    bill = {"expense_type": "BILLPAY", "purchased_at": None, "payment_posted_at": None}
    expense(fresh, "b1", submitted_at="2026-02-01T00:00:00Z", **bill)
    expense(fresh, "b2", **bill)
    found = lines(fresh, "SELECT kind, spend_date, spend_month FROM brex_marts.spend")
    first_seen = date(2026, 1, 1)
    assert found == [
        ("bill", date(2026, 2, 1), date(2026, 2, 1)),
        ("bill", first_seen, first_seen),
    ]


def test_currencies_are_never_added_up(fresh: Any) -> None:
    expense(fresh, "d", 100)
    expense(fresh, "j", 100, "JPY")
    keep(fresh.engine)
    assert sorted(
        fresh.rows(
            "SELECT amount_currency, amount_minor, amount_usd, lines_without_usd "
            "FROM brex_marts.spend_by_month WHERE lines > 0"
        )
    ) == [("JPY", 100, None, 1), ("USD", 100, Decimal("1.00"), 0)]


def test_what_came_back_is_negative(fresh: Any) -> None:
    expense(fresh, "refund", -30, payment_status="REFUNDED")
    expense(fresh, "clawback", 20, expense_type="CLAWBACK", payment_status="NOT_STARTED")
    transaction(fresh, "reward", -5, type="REWARDS_CREDIT")
    transaction(fresh, "chargeback", -7, type="CHARGEBACK")
    assert {row[0]: (row[1], row[4]) for row in lines(fresh)} == {
        "expense:refund": ("refund", -30),
        "expense:clawback": ("clawback", -20),
        "transaction:reward": ("reward", -5),
        "transaction:chargeback": ("refund", -7),
    }


def test_payments_to_brex_are_no_spend(fresh: Any) -> None:
    transaction(fresh, "c", -500, type="COLLECTION")
    assert lines(fresh) == []


def test_what_was_declined_voided_or_drafted_does_not_count(fresh: Any) -> None:
    expense(fresh, "1", payment_status="DECLINED")
    expense(fresh, "2", status="VOID", payment_status="NOT_STARTED")
    expense(fresh, "3", status="CANCELED", payment_status=None)
    expense(fresh, "4", status="DRAFT", payment_status="NOT_STARTED")
    expense(fresh, "5", status="DRAFT", payment_status="PROCESSING")
    expense(fresh, "6", status="VOID", payment_status="CLEARED")
    stages = [(stage, counts) for _, _, stage, counts, _, _ in lines(fresh)]
    assert stages == [
        ("declined", False),
        ("void", False),
        ("void", False),
        ("draft", False),
        ("pending", True),
        ("settled", True),
    ]


def test_deleted_rows_are_left_out(fresh: Any) -> None:
    gone = {"_deleted_at": "2026-03-10T00:00:00Z"}
    expense(fresh, "e", **gone)
    transaction(fresh, "t", 40, expense_id="e")
    transaction(fresh, "u", 60, **gone)
    assert [row[0] for row in lines(fresh)] == ["transaction:t"]


def test_a_person_s_department_is_known_as_it_was_and_as_it_is(fresh: Any) -> None:
    for key in ("eng", "ops"):
        put(fresh.engine, "departments", id=key, name=key.title())
    put(fresh.engine, "users", id="u", first_name="U", department_id="eng")
    with fresh.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_history.users SET _valid_from = '2026-02-01'")
    with fresh.engine.begin() as db:
        db.exec_driver_sql(
            "UPDATE brex.users SET department_id = 'ops', _changed_at = now(), "
            "_raw = '{\"changed\": 1}'"
        )
    expense(fresh, "before", user_id="u", purchased_at="2026-01-15T00:00:00Z")
    expense(fresh, "since", user_id="u")
    found = lines(fresh, "SELECT line_id, department, department_then FROM brex_marts.spend")
    assert found == [("expense:before", "Ops", None), ("expense:since", "Ops", "Eng")]


def test_receipts_of_the_whole_count_for_its_parts_once(fresh: Any) -> None:
    expense(fresh, "e", 100, status="SPLIT")
    for key in ("e_1", "e_2"):
        part(fresh, "e", key, 50)
        expense(fresh, key, 50)
    put(fresh.engine, "expense_receipts", expense_id="e", id="r")
    put(fresh.engine, "expense_receipts", expense_id="e_1", id="r")
    select = "SELECT receipts, receipts_required, receipt_missing FROM brex_marts.spend"
    assert lines(fresh, select) == [(1, True, False)] * 2


def test_a_limit_leads_to_its_budget(fresh: Any) -> None:
    put(fresh.engine, "budgets", budget_id="b", name="Cloud")
    put(fresh.engine, "spend_limits", id="s", name="Servers", parent_budget_id="b")
    for key, drawn in (("1", "s"), ("2", "b"), ("3", "x"), ("4", None)):
        expense(fresh, key, budget_id=drawn, budget_name=drawn and "Told")
    select = "SELECT budget_id, budget, spend_limit_id, spend_limit FROM brex_marts.spend"
    assert lines(fresh, select) == [
        ("b", "Cloud", "s", "Servers"),
        ("b", "Cloud", None, None),
        (None, None, "x", "Told"),
        (None, None, None, None),
    ]


def test_merchants_have_one_name_however_the_network_calls_them(fresh: Any) -> None:
    for number, raw in enumerate(CLEANED):
        expense(fresh, str(number), merchant_raw_descriptor=raw)
    keep(fresh.engine)
    assert dict(fresh.rows("SELECT merchant_raw, merchant FROM brex_marts.spend")) == CLEANED


# --- Months and merchants


def test_a_month_without_spend_has_a_row_with_nothing(fresh: Any) -> None:
    expense(fresh, "1", 100, purchased_at="2026-01-10T00:00:00Z")
    expense(fresh, "2", 70, purchased_at="2026-03-10T00:00:00Z")
    keep(fresh.engine)
    found = fresh.rows(
        "SELECT month, lines, amount_minor, previous_amount_minor, change_usd "
        "FROM brex_marts.spend_by_month ORDER BY month LIMIT 4"
    )
    assert found == [
        (date(2026, 1, 1), 1, 100, None, None),
        (date(2026, 2, 1), 0, 0, 100, Decimal("-1.00")),
        (date(2026, 3, 1), 1, 70, 0, Decimal("0.70")),
        (date(2026, 4, 1), 0, 0, 70, Decimal("-0.70")),
    ]


@pytest.mark.parametrize(
    ("days", "cadence"),
    [
        (("2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"), "weekly"),
        (("2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"), "monthly"),
        (("2025-06-01", "2025-09-01", "2025-12-01", "2026-03-01"), "quarterly"),
        (("2025-03-01", "2026-03-01"), "yearly"),
        (("2026-01-05", "2026-01-09", "2026-02-20", "2026-04-01"), None),
        (("2026-01-05", "2026-02-05"), None),
        (("2026-01-05",), None),
    ],
)
def test_a_merchant_s_cadence_is_told_from_its_charges(
    fresh: Any, days: tuple[str, ...], cadence: str | None
) -> None:
    for day in days:
        shown = {"purchased_at": f"{day}T12:00:00Z", "merchant_raw_descriptor": "FIGMA MONTHLY"}
        expense(fresh, day, **shown)
    keep(fresh.engine)
    found = fresh.one("SELECT (cadence, is_subscription)::text FROM brex_marts.merchants")
    assert found == (f"({cadence},t)" if cadence else "(,f)")


def test_a_subscription_s_price_change_and_next_charge_are_told(fresh: Any) -> None:
    prices = {"2026-01-31": 900, "2026-02-28": 900, "2026-03-31": 1200, "2026-04-30": 1200}
    for day, minor in prices.items():
        moment = {"purchased_at": f"{day}T12:00:00Z"}
        expense(fresh, day, minor, merchant_raw_descriptor="NOTION LABS, INC.", **moment)
    keep(fresh.engine)
    assert fresh.rows(
        "SELECT price_change, price_changed_on, last_amount_minor, previous_amount_minor, "
        "next_expected FROM brex_marts.merchants"
    ) == [(Decimal("3.00"), date(2026, 3, 31), 1200, 1200, date(2026, 5, 30))]


def test_a_subscription_that_is_overdue_is_none_any_more(fresh: Any) -> None:
    for day in ("2026-01-01", "2026-02-01", "2026-03-01"):
        moment = {"purchased_at": f"{day}T12:00:00Z"}
        expense(fresh, day, merchant_raw_descriptor="ZOOM.US", **moment)
    expense(fresh, "other", purchased_at="2026-05-01T00:00:00Z", merchant_raw_descriptor="UBER")
    keep(fresh.engine)
    zoom = (
        "SELECT cadence, is_subscription, next_expected FROM brex_marts.merchants WHERE charges = 3"
    )
    assert fresh.rows(zoom) == [("monthly", False, None)]
