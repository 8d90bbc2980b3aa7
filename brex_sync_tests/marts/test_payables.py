"""Bills with vendor and due date, and transfers that are still to leave."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from iso4217 import Currency

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
DAY = f"{TODAY - timedelta(days=20)}T12:00:00Z"
FOUND = (
    "SELECT payable_id, matched_by, vendor, amount::text, amount_minor, amount_currency, due_date, "
    "is_paid, is_open, days_overdue FROM brex_marts.payables ORDER BY 1"
)


def bill(rig: Any, key: str, minor: int = 12_345, currency: str = "USD", **more: Any) -> None:
    given = {"status": "APPROVED", "payment_status": "NOT_STARTED", "approved_at": DAY} | more
    put(
        rig.engine,
        "expenses",
        id=key,
        expense_type="BILLPAY",
        updated_at=DAY,
        **(money("billing_amount", minor, currency) | given),
    )


def record(rig: Any, key: str, amount: str, days: int | None = None, **more: Any) -> None:
    given = {
        "source_type": "BILL",
        "type": "BILL_EXPENSE",
        "vendor_id": "v",
        "vendor_name": "Baker & Sons",
        "amount_currency": "USD",
        "posted_at": DAY,
        "due_at": None if days is None else f"{TODAY + timedelta(days=days)}T00:00:00Z",
    }
    put(rig.engine, "accounting_records", id=key, amount_amount=Decimal(amount), **(given | more))


def settle_unit(rig: Any, amount: str) -> None:
    """A card expense of 55.00 USD, and its record with that amount."""
    put(
        rig.engine,
        "expenses",
        id="tells",
        expense_type="CARD",
        status="APPROVED",
        payment_status="CLEARED",
        updated_at=DAY,
        **(money("billing_amount", 5500) | money("usd_equivalent_amount", 5500)),
    )
    record(rig, "r0", amount, source_type="CARD", type="CARD_EXPENSE_POST", source_id="tells")


def transfer(rig: Any, key: str, minor: int | None = 700, **more: Any) -> None:
    given = {"status": "SCHEDULED", "payment_type": "ACH", "counterparty_type": "VENDOR"} | more
    put(rig.engine, "transfers", id=key, **money("amount", minor), **given)


def found(rig: Any) -> list[tuple[Any, ...]]:
    keep(rig.engine)
    return list(rig.rows(FOUND))


def test_a_company_s_bills_are_there_once_with_vendor_and_due_date(synced: Any) -> None:
    vendors = synced.world.collection("vendors")
    due = [
        (
            item["amount"]["amount"],
            (vendors.get(item["vendor"]["id"]) or {}).get("company_name") or item["vendor"]["name"],
            item["due_at"][:10],
        )
        for item in shown_items(synced.world, "accounting_records")
        if item["source_type"] == "BILL"
    ]
    bills = [
        item["id"]
        for item in shown_items(synced.world, "expenses")
        if item["expense_type"] == "BILLPAY" and item["status"] != "SPLIT"
    ]
    rows = synced.rows(
        "SELECT amount_minor, vendor, due_date::text, bill_id, matched_by "
        "FROM brex_marts.payables WHERE kind = 'bill'"
    )
    assert sorted(row[3] for row in rows) == sorted(bills)
    assert sorted(row[:3] for row in rows if row[2]) == sorted(due)
    assert {row[4] for row in rows if row[2]} == {"amount, memo and day"}


def test_a_company_s_transfers_that_have_not_left_are_there(synced: Any) -> None:
    expected = [
        (item["id"], item["amount"]["amount"])
        for item in shown_items(synced.world, "transfers")
        if item["status"] in ("PROCESSING", "SCHEDULED", "PENDING_APPROVAL")
        and item["amount"]["amount"] > 0
        and item["payment_type"] != "BOOK_TRANSFER"
    ]
    rows = synced.rows(
        "SELECT transfer_id, amount_minor FROM brex_marts.payables WHERE kind = 'transfer'"
    )
    assert sorted(rows) == sorted(expected)


def test_a_record_that_names_its_bill_gives_vendor_and_due_date(fresh: Any) -> None:
    put(fresh.engine, "vendors", id="v", company_name="Baker Ltd")
    for key, days in (("late", -3), ("today", 0), ("soon", 5)):
        bill(fresh, key)
        record(fresh, f"r {key}", "999", days, source_id=key)
    bill(fresh, "void", status="VOID")
    record(fresh, "r void", "999", -3, source_id="void")
    assert [(row[0], row[1], row[2], row[3], row[6], row[8], row[9]) for row in found(fresh)] == [
        (f"expense:{key}", "named", "Baker Ltd", "123.45", TODAY + timedelta(days=days), *then)
        for key, days, then in (
            ("late", -3, (True, 3)),
            ("soon", 5, (True, None)),
            ("today", 0, (True, None)),
            ("void", -3, (False, None)),
        )
    ]


@pytest.mark.parametrize(
    ("told", "amount", "expected"),
    [
        ("5500", "12345", ("123.45", 12345)),
        ("55.00", "123.45", ("123.45", 12345)),
        ("77", "123.45", (None, None)),
    ],
)
def test_the_unit_is_told_by_records_that_name_an_expense(
    fresh: Any, told: str, amount: str, expected: tuple[Any, ...]
) -> None:
    settle_unit(fresh, told)
    record(fresh, "r1", amount, 3)
    [row] = found(fresh)
    assert row[0] == "record:r1"
    assert row[4] == expected[1]
    assert (row[3] and Decimal(row[3])) == (expected[0] and Decimal(expected[0]))
    known = fresh.one("SELECT amount_unit_known FROM brex_marts.payables")
    assert known is (expected[0] is not None)


def test_where_records_contradict_each_other_the_unit_is_unknown(fresh: Any) -> None:
    settle_unit(fresh, "5500")
    record(fresh, "r2", "55", source_type="CARD", type="CARD_EXPENSE_POST", source_id="tells")
    record(fresh, "r1", "12345", 3)
    assert [row[3:5] for row in found(fresh)] == [(None, None)]


def test_yen_tell_no_unit_and_have_no_hundredths(fresh: Any) -> None:
    settle_unit(fresh, "5500")
    record(fresh, "yen", "500", 3, amount_currency="JPY")
    record(fresh, "dinar", "500", 3, amount_currency="KWD")
    assert [(Decimal(row[3]), row[5]) for row in found(fresh)] == [
        (Decimal("0.5"), "KWD"),
        (Decimal(500), "JPY"),
    ]


def test_currencies_without_hundredths_are_those_of_iso_4217() -> None:
    sql = files("brex_sync.marts").joinpath("sql/payables.sql").read_text()
    listed = {
        code: Decimal(size)
        for codes, size in re.findall(r"IN \(([A-Z', \n]+?)\s*\) THEN ([01.]+)", sql)
        for code in re.findall(r"'([A-Z]{3})'", codes)
    }
    known = {c.code: c.exponent for c in Currency if c.exponent is not None}
    expected = {c: Decimal(1).scaleb(-e) for c, e in known.items() if e != 2}
    assert listed == expected


def test_bills_and_records_that_are_alike_are_paired_one_to_one(fresh: Any) -> None:
    settle_unit(fresh, "5500")
    for key in ("a", "b", "c"):
        bill(fresh, key, memo="Rent")
    bill(fresh, "other", memo="Parts")
    for key in ("r1", "r2"):
        record(fresh, key, "12345", 3, memo="Rent")
    record(fresh, "r9", "12346", 3, memo="Rent")
    rows = found(fresh)
    assert [(row[0], row[1]) for row in rows] == [
        ("expense:a", "amount, memo and day"),
        ("expense:b", "amount, memo and day"),
        ("expense:c", None),
        ("expense:other", None),
        ("record:r9", None),
    ]


def test_a_bill_s_other_records_are_no_bills_and_tell_that_it_is_paid(fresh: Any) -> None:
    bill(fresh, "b")
    record(fresh, "r1", "12345", -3, source_id="b")
    record(fresh, "paid", "12345", source_id="b", type="BILL_EXPENSE_PAYMENT")
    [row] = found(fresh)
    assert row[0] == "expense:b"
    assert (row[7], row[8], row[9]) == (True, False, None)
    assert fresh.one("SELECT paid_on FROM brex_marts.payables") == TODAY - timedelta(days=20)


def test_a_paid_bill_says_when_and_a_lone_record_does_not_say_whether(fresh: Any) -> None:
    bill(fresh, "b", payment_status="CLEARED", completion_date=DAY)
    record(fresh, "r1", "12345", -3)
    keep(fresh.engine)
    rows = fresh.rows(
        "SELECT payable_id, is_paid, is_open, paid_on FROM brex_marts.payables ORDER BY 1"
    )
    assert rows == [
        ("expense:b", True, False, TODAY - timedelta(days=20)),
        ("record:r1", None, True, None),
    ]


def test_only_transfers_to_others_that_have_not_left_are_payables(fresh: Any) -> None:
    put(fresh.engine, "vendors", id="v", company_name="Baker Ltd")
    transfer(fresh, "to a vendor", counterparty_id="v", process_date=TODAY)
    transfer(fresh, "to a bank", counterparty_type="BANK_ACCOUNT", display_name="Landlord")
    transfer(fresh, "processed", status="PROCESSED")
    transfer(fresh, "failed", status="FAILED")
    transfer(fresh, "incoming", -700)
    transfer(fresh, "between accounts", payment_type="BOOK_TRANSFER")
    rows = fresh.rows(
        "SELECT transfer_id, vendor, amount_minor, pay_on, is_open FROM brex_marts.payables "
        "ORDER BY 1"
    )
    assert rows == [
        ("to a bank", "Landlord", 700, None, True),
        ("to a vendor", "Baker Ltd", 700, TODAY, True),
    ]


def test_without_bills_or_transfers_there_is_no_row(fresh: Any) -> None:
    settle_unit(fresh, "5500")
    assert found(fresh) == []
