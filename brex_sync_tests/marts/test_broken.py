"""Marts that were written wrongly, each in one way people write them: a tie tells of every one."""

from pathlib import Path
from typing import Any

import pytest

from brex_sync.marts.catalogue import load
from brex_sync.marts.upkeep import keep_up
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import put
from brex_sync_tests.marts.test_spend import expense, part, transaction

NO_EXPENSE = """      AND NOT EXISTS (
          SELECT FROM expenses e WHERE e.id = t.expense_id AND e._deleted_at IS NULL
      )"""
SPLIT = """(
          e.status IS DISTINCT FROM 'SPLIT'
          OR e.id NOT IN (SELECT p.whole FROM parts p)
      )"""
# ruff: noqa: E501
WRONG = {
    "a dimension joined twice": ("spend", "LEFT JOIN people p ON",
                                 "LEFT JOIN (SELECT * FROM people UNION ALL SELECT * FROM people) p ON"),
    "an inner join": ("spend", "LEFT JOIN people p ON", "JOIN people p ON"),
    "splits counted beside their parts": ("spend", SPLIT, "true"),
    "parts left out": ("spend", "    LEFT JOIN roots r ON r.id = e.id\n    WHERE",
                       "    LEFT JOIN roots r ON r.id = e.id\n    WHERE r.id IS NULL AND"),
    "one currency for all": ("spend", "        a.amount_currency,\n        a.sign * coalesce(",
                             "        'USD' AS amount_currency,\n        a.sign * coalesce("),
    "local amounts as dollars": ("spend", "CASE WHEN a.amount_currency = 'USD' THEN a.amount END",
                                 "a.amount"),
    "refunds left out": ("spend", f"AND {SPLIT}", f"AND e.payment_status <> 'REFUNDED' AND {SPLIT}"),
    "declined counted": ("spend", "('pending', 'settled', 'refunded') AS counts",
                         "('pending', 'settled', 'refunded', 'declined') AS counts"),
    "transactions without expense left out": ("spend", NO_EXPENSE, "      AND false"),
    "transactions beside their expense": ("spend", NO_EXPENSE, ""),
    "deleted rows counted": ("spend", "WHERE e._deleted_at IS NULL\n      AND (", "WHERE ("),
    "payments to Brex counted": ("spend", "WHERE t._deleted_at IS NULL\n      AND t.type IS DISTINCT FROM 'COLLECTION'",
                                 "WHERE t._deleted_at IS NULL"),
    "a null status dropped": ("spend", "e.status IS DISTINCT FROM 'SPLIT'\n          OR e.id NOT IN (SELECT p",
                              "e.status <> 'SPLIT'\n          OR e.status = 'SPLIT' AND e.id NOT IN (SELECT p"),
    "clawbacks added": ("spend", "THEN -1 ELSE 1 END AS sign", "THEN 1 ELSE 1 END AS sign"),
    "the month of purchase for that of posting": ("spend", "coalesce(m.posted_date, (e.payment_posted_at AT TIME ZONE 'UTC')::date)",
                                                  "(e.purchased_at AT TIME ZONE 'UTC')::date"),
    "nobody's department dropped": ("spend_totals", "spend\nWHERE counts", "spend\nWHERE counts AND department_id IS NOT NULL"),
    "drafts in the totals": ("spend_totals", "spend\nWHERE counts", "spend\nWHERE true"),
    "months without spend dropped": ("spend_by_month", "CROSS JOIN months m\n    LEFT JOIN", "CROSS JOIN months m\n    JOIN"),
    "two currencies of a merchant added": ("merchants", "JOIN kinds k ON k.merchant = t.merchant AND k.amount_currency = t.amount_currency",
                                           "JOIN kinds k ON k.merchant = t.merchant"),
}  # fmt: skip


def fill(rig: Any) -> None:
    """A little of everything that can be counted wrongly."""
    put(rig.engine, "departments", id="d", name="D")
    put(rig.engine, "users", id="u", first_name="U", department_id="d")
    shown = {"merchant_raw_descriptor": "UBER *TRIP"}
    expense(rig, "plain", 1000, user_id="u", **shown)
    transaction(rig, "t1", 1000, expense_id="plain", **shown)
    expense(rig, "whole", 100, status="SPLIT", user_id="u")
    for key, minor in (("whole_1", 60), ("whole_2", 40)):
        part(rig, "whole", key, minor)
        expense(rig, key, minor, user_id="u")
    transaction(rig, "t2", 100, expense_id="whole")
    expense(rig, "yen", 5000, "JPY", user_id="u", **shown)
    transaction(rig, "t3", 5000, "JPY", expense_id="yen", **shown)
    expense(rig, "refund", -70, payment_status="REFUNDED", user_id="u")
    transaction(rig, "t4", -70, type="REFUND", expense_id="refund")
    expense(rig, "declined", 9, payment_status="DECLINED", user_id="u")
    transaction(rig, "alone", 33)
    transaction(rig, "paid", -900, type="COLLECTION")
    expense(rig, "gone", 77, user_id="u", _deleted_at="2026-03-10T00:00:00Z")
    expense(rig, "stateless", 11, status=None, user_id="u")
    transaction(rig, "t5", 11, expense_id="stateless")
    expense(rig, "clawback", 13, expense_type="CLAWBACK", user_id="u")
    expense(rig, "turn", 17, purchased_at="2026-01-31T00:00:00Z", user_id="u")
    transaction(rig, "t6", 17, expense_id="turn")


def test_the_right_ones_tie(fresh: Any) -> None:
    fill(fresh)
    standings = keep(fresh.engine)
    assert {name: one.broken for name, one in standings.items() if one.broken} == {}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_tie_tells_of_a_mart_that_is_wrong(rig: Any, tmp_path: Path, wrong: str) -> None:
    name, old, new = WRONG[wrong]
    text = load().marts[name].path.read_text()
    assert text.count(old) == 1
    (tmp_path / f"{name}.sql").write_text(text.replace(old, new))
    fill(rig)
    standings = keep_up(rig.warehouse, load(tmp_path))
    assert standings[name].broken or "duplicate" in str(standings[name].fault), standings[name]
