"""What is open before a month can be closed."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from brex_sync.sandbox import shown_items
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state.closes import close
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
MONTH = TODAY.replace(day=1)
BEFORE = (MONTH - timedelta(days=1)).replace(day=1)
ITEMS = [
    "drafts",
    "missing receipts",
    "unapproved",
    "pending",
    "unexported",
    "statements that do not tie",
    "late changes",
]
OPEN = (
    "SELECT item, open, amount_usd::text FROM brex_marts.close_checklist "
    "WHERE month = :month AND NOT is_done ORDER BY sort"
)


def expense(rig: Any, key: str, minor: int | None = 100, **more: Any) -> None:
    given = {
        "expense_type": "CARD",
        "status": "APPROVED",
        "payment_status": "CLEARED",
        "submitted_at": f"{BEFORE}T13:00:00Z",
        "approved_at": f"{BEFORE}T14:00:00Z",
        "exported_at": f"{BEFORE}T15:00:00Z",
        "purchased_at": f"{BEFORE}T12:00:00Z",
        "updated_at": f"{BEFORE}T15:00:00Z",
        "receipt": True,
    } | more
    if given.pop("receipt"):
        put(rig.engine, "expense_receipts", expense_id=key, id="r")
    amounts = money("billing_amount", minor) | money("usd_equivalent_amount", minor)
    put(rig.engine, "expenses", id=key, **(amounts | given))


def open_items(rig: Any, month: date = BEFORE) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(OPEN, month=month))


def test_thirteen_months_have_every_item_with_nothing_open(fresh: Any) -> None:
    rows = fresh.rows(
        "SELECT month, array_agg(item ORDER BY sort), bool_and(is_done), sum(open) "
        "FROM brex_marts.close_checklist GROUP BY month ORDER BY month"
    )
    assert [row[1:] for row in rows] == [(ITEMS, True, 0)] * 13
    assert rows[-1][0] == MONTH
    assert rows[0][0] == MONTH.replace(year=MONTH.year - 1)


def test_what_is_finished_is_not_open(fresh: Any) -> None:
    expense(fresh, "e")
    assert open_items(fresh) == []


def test_each_kind_of_unfinished_line_is_counted_with_its_amount(fresh: Any) -> None:
    unsent = {"submitted_at": None, "approved_at": None, "exported_at": None}
    expense(fresh, "draft", 1, status="DRAFT", **unsent)
    expense(fresh, "no receipt", 20, receipt=False)
    expense(fresh, "unapproved", 300, status="SUBMITTED", approved_at=None, exported_at=None)
    expense(fresh, "pending", 4000, payment_status="PROCESSING")
    expense(fresh, "unexported", 50_000, exported_at=None)
    expense(fresh, "void", 600_000, status="VOID", receipt=False, **unsent)
    expense(fresh, "this month", 7, receipt=False, purchased_at=f"{MONTH}T12:00:00Z")
    assert [row for row in open_items(fresh) if row[0] != "unexported"] == [
        ("drafts", 1, "0.01"),
        ("missing receipts", 1, "0.20"),
        ("unapproved", 1, "3.00"),
        ("pending", 1, "40.00"),
    ]
    assert open_items(fresh, MONTH) == [("missing receipts", 1, "0.07")]


def test_an_amount_that_is_not_known_is_counted_and_not_added(fresh: Any) -> None:
    expense(fresh, "e", None, exported_at=None)
    assert open_items(fresh) == [("unexported", 1, None)]


def test_a_statement_that_does_not_tie_is_of_the_month_of_its_last_day(fresh: Any) -> None:
    for key, end, after in (("s", MONTH, 150), ("ties", MONTH, 0), ("next", TODAY, 30)):
        put(
            fresh.engine,
            "card_statements",
            id=key,
            period_start_date=BEFORE,
            period_end_date=end if key != "next" else MONTH + timedelta(days=1),
            **money("start_balance", 0),
            **money("end_balance", after),
        )
    assert open_items(fresh) == [("statements that do not tie", 1, "1.50")]
    assert open_items(fresh, MONTH) == [("statements that do not tie", 1, "0.30")]


def test_a_closed_month_says_when_and_what_came_late(fresh: Any) -> None:
    fresh.sync("card_transactions")
    with fresh.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.run_streams SET noted_at = '2020-01-01'")
    close(Warehouse(fresh.engine, "brex"), BEFORE, MONTH)
    close(Warehouse(fresh.engine, "other"), MONTH, MONTH)
    for key, minor, currency in (("a", 250, None), ("b", 999, "EUR")):
        put(
            fresh.engine,
            "card_transactions",
            id=key,
            type="PURCHASE",
            posted_at_date=BEFORE,
            initiated_at_date=BEFORE - timedelta(days=40),
            _first_seen_at=f"{MONTH + timedelta(days=2)}T00:00:00Z",
            _changed_at=f"{MONTH + timedelta(days=2)}T00:00:00Z",
            **money("amount", minor, currency),
        )
    assert open_items(fresh)[-1] == ("late changes", 2, "2.50")
    closed = fresh.rows(
        "SELECT month, closed_on FROM brex_marts.close_checklist WHERE closed_on IS NOT NULL "
        "GROUP BY 1, 2"
    )
    assert closed == [(BEFORE, MONTH)]


def test_a_company_s_open_lines_are_counted_by_month(synced: Any) -> None:
    expected: dict[tuple[str, date], int] = defaultdict(int)
    dates = dict(synced.rows("SELECT expense_id, spend_month FROM brex_marts.spend"))
    for item in shown_items(synced.world, "expenses"):
        if item["status"] == "DRAFT" and item["payment_status"] != "DECLINED":
            expected["drafts", dates[item["id"]]] += 1
    rows = synced.rows(
        "SELECT item, month, open FROM brex_marts.close_checklist WHERE item = 'drafts'"
    )
    assert {row[:2]: row[2] for row in rows if row[2]} == {
        key: count for key, count in expected.items() if key[1] in {row[1] for row in rows}
    }
