"""Every closed statement is explained by the transactions of its half-open period."""

from datetime import date, timedelta
from typing import Any

from brex_sync.streams import STREAMS
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.status.statements import count, unexplained
from brex_sync_tests.engine.items import cash_account, paid, spent

CARD, CASH = STREAMS["card_statements"], STREAMS["cash_statements"]


def statement(key: str, start: int, end: int, currency: str | None = "USD") -> Any:
    return {
        "id": key,
        "start_balance": {"amount": start, "currency": currency},
        "end_balance": {"amount": end, "currency": currency},
        "period": {"start_date": "2026-02-01", "end_date": "2026-03-01"},
    }


def wrong(rig: Any, stream: Stream = CARD) -> list[tuple[str, int, int]]:
    return [(s.statement, s.by_brex, s.by_rows) for s in unexplained(rig.warehouse, stream)]


def test_the_statements_of_a_whole_company_add_up(company: Any) -> None:
    company.sync()
    for stream in (CARD, CASH):
        assert count(company.warehouse, stream) > 10
        assert wrong(company, stream) == []


def test_the_period_is_half_open_and_other_currencies_do_not_count(rig: Any) -> None:
    for key, posted, amount, currency in (
        ("before", "2026-01-31", 1, "USD"),
        ("first", "2026-02-01", 20, "USD"),
        ("refund", "2026-02-14", -5, "USD"),
        ("nameless", "2026-02-15", 300, None),
        ("last", "2026-02-28", 4000, "USD"),
        ("after", "2026-03-01", 50_000, "USD"),
        ("yen", "2026-02-14", 600_000, "JPY"),
        ("empty", "2026-02-14", None, None),
    ):
        rig.world.collection("card_transactions").add(spent(key, posted, amount, currency))
    rig.world.collection("card_statements").add(statement("s", 1000, 5315))
    rig.sync()
    assert wrong(rig) == []


def test_a_difference_comes_with_both_numbers_and_the_rows_in_question(rig: Any) -> None:
    for key, posted, amount in (("a", "2026-02-03", 100), ("b", "2026-02-04", 70)):
        rig.world.collection("card_transactions").add(spent(key, posted, amount))
    rig.world.collection("card_statements").add(statement("s", 0, 100))
    rig.sync()
    [found] = unexplained(rig.warehouse, CARD)
    assert (found.by_brex, found.by_rows, found.currency) == (100, 170, "USD")
    assert (found.start, found.end) == (date(2026, 2, 1), date(2026, 3, 1))
    assert found.rows == ("b 2026-02-04 70", "a 2026-02-03 100")
    assert str(found) == (
        "s, 2026-02-01 until before 2026-03-01: ends with 100 at Brex and 170 by the "
        "transactions, -70 apart (USD, smallest unit)"
    )


def test_a_deleted_transaction_no_longer_explains_and_is_among_the_rows(rig: Any) -> None:
    rig.world.collection("card_transactions").add(spent("a", "2026-02-03", 100))
    rig.world.collection("card_statements").add(statement("s", 0, 100))
    rig.sync()
    rig.world.collection("card_transactions").delete("a")
    rig.sync("card_transactions", full=True)
    rig.later = timedelta(days=1)
    rig.sync("card_transactions", full=True)
    [found] = unexplained(rig.warehouse, CARD)
    assert (found.by_rows, found.rows) == (0, ("a 2026-02-03 100 deleted",))


def test_each_cash_account_explains_its_own_statements(rig: Any) -> None:
    for account, amount in (("one", 500), ("two", -300)):
        rig.world.collection("cash_accounts").add(cash_account(account))
        rig.world.collection("cash_transactions").add(paid("t", "2026-02-10", amount), account)
        rig.world.collection("cash_statements").add(statement("s", 1000, 1500), account)
    rig.sync()
    assert wrong(rig, CASH) == [("two s", 1500, 700)]
    assert unexplained(rig.warehouse, CASH)[0].rows == ("t 2026-02-10 -300",)


def test_a_statement_without_a_balance_is_not_judged(rig: Any) -> None:
    rig.world.collection("card_statements").add(statement("s", 0, 1) | {"end_balance": None})
    rig.sync()
    assert wrong(rig) == []


def test_sums_beyond_64_bits_are_exact(rig: Any) -> None:
    top = 2**63 - 1
    for key in ("a", "b"):
        rig.world.collection("card_transactions").add(spent(key, "2026-02-10", top))
    rig.world.collection("card_statements").add(statement("s", top, top))
    rig.sync()
    assert wrong(rig) == [("s", top, 3 * top)]
