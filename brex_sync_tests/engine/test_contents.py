"""Odd values survive exactly; what cannot be stored is set aside alone."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from brex_sync.streams import STREAMS
from brex_sync.warehouse.status import runs
from brex_sync_tests.engine.items import card, cash_account, day, paid, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

MONEY = [
    (2**63 - 1, "USD", Decimal("92233720368547758.07")),
    (-(2**63) + 1, "USD", Decimal("-92233720368547758.07")),
    (-(2**63), "JPY", Decimal("-9223372036854775808")),
    (2**53 + 1, "USD", Decimal("90071992547409.93")),
    (0, "USD", Decimal("0")),
    (-5, "USD", Decimal("-0.05")),
    (1234, "JPY", Decimal("1234")),
    (1234, "KWD", Decimal("1.234")),
    (1234, None, Decimal("12.34")),
    (None, None, None),
    (7, "???", None),
]


def add(rig: Any, key: str, **changes: Any) -> None:
    item = spent(key, day(rig.world, 1)) | changes
    rig.world.collection("card_transactions").add(item)


def test_money_is_exact_to_the_last_unit_even_beside_nulls(rig: Any) -> None:
    for i, (minor, currency, _) in enumerate(MONEY):
        rig.world.collection("card_transactions").add(
            spent(f"m{i:02d}", day(rig.world, 1), minor, currency)
        )
    assert rig.sync("card_transactions").finished
    found = rig.rows(
        "SELECT amount_minor, amount_currency, amount FROM brex.card_transactions ORDER BY id"
    )
    assert found == MONEY
    assert rig.rows(
        "SELECT pg_typeof(amount)::text, pg_typeof(amount_minor)::text "
        "FROM brex.card_transactions LIMIT 1"
    ) == [("numeric", "bigint")]


def test_missing_values_are_null_and_never_the_text_nan(rig: Any) -> None:
    add(rig, "a", type=None, merchant=None, description=None, initiated_at_date=None)
    add(rig, "b")
    rig.sync("card_transactions")
    assert rig.rows(
        "SELECT type, merchant_mcc, description, initiated_at_date, expense_id, card_metadata "
        "FROM brex.card_transactions WHERE id = 'a'"
    ) == [(None,) * 6]


def test_nul_and_lone_surrogates_are_replaced_and_counted_and_nothing_else(rig: Any) -> None:
    item = spent("odd", day(rig.world, 1))
    text = json.dumps(item).replace("about odd", "a\\u0000b\\ud800c\\ud83d\\ude00\\\\u0000\\t\\r")
    rig.world.collection("card_transactions").add_raw("odd", day(rig.world, 1), text.encode())
    report = rig.sync("card_transactions")
    assert report.streams["card_transactions"].cleaned == 2
    description, raw = rig.rows("SELECT description, _raw FROM brex.card_transactions")[0]
    assert description == raw["description"] == "a\ufffdb\ufffdc😀\\u0000\t\r"


@pytest.mark.parametrize("text", ["", "NaN", "null", "\\N", "\t", "'; DROP", " x ", "東京", "\\."])
def test_texts_are_not_altered(rig: Any, text: str) -> None:
    add(rig, "a", description=text)
    rig.sync("card_transactions")
    assert rig.one("SELECT description FROM brex.card_transactions") == text


def test_unknown_fields_are_kept_raw_and_told_and_new_enum_values_are_no_error(rig: Any) -> None:
    add(rig, "a", type="TELEPORT", novelty={"deep": 1})
    add(rig, "b", merchant={"mcc": "1", "logo": "x"})
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.error is None
    assert report.unknown == {"novelty", "merchant.logo"}
    assert rig.rows(
        "SELECT id, type, _raw->'novelty'->'deep' FROM brex.card_transactions ORDER BY id"
    ) == [("a", "TELEPORT", 1), ("b", "PURCHASE", None)]


BAD: list[dict[str, Any]] = [
    {"amount": {"amount": 1.5, "currency": "USD"}},
    {"amount": {"amount": 2**63, "currency": "USD"}},
    {"amount": 12},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_row_is_set_aside_alone_and_comes_back_when_repaired(rig: Any, bad: Any) -> None:
    spend(rig, 5)
    truth = rig.world.collection("card_transactions")
    item = spent("bad", day(rig.world, 0))
    truth.add_raw("bad", day(rig.world, 0), json.dumps(item | bad).encode())
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.quarantined == 1
    assert len(rig.live()) == 5
    ((key, reason, raw),) = rig.rows("SELECT key, reason, raw FROM brex_sync.quarantine")
    assert key == "bad"
    assert next(iter(bad)) in reason
    assert json.loads(raw) == item | bad
    truth.delete("bad")
    truth.add(item)
    rig.later = timedelta(minutes=1)
    rig.sync("card_transactions")
    assert rig.rows("SELECT key FROM brex_sync.quarantine") == []
    assert_equal(rig, "card_transactions")


ODD: dict[str, Any] = {
    "posted_at_date": "yesterday",
    "description": ["no text"],
    "merchant": {"mcc": 5812},
    "amount": {"amount": 7, "currency": "ZZZ"},
}
QUARANTINED = "SELECT key, field, raw FROM brex_sync.quarantine ORDER BY field"


def test_a_field_that_does_not_fit_costs_the_field_and_is_told_until_it_does(rig: Any) -> None:
    spend(rig, 5)
    truth = rig.world.collection("card_transactions")
    item = spent("odd", day(rig.world, 0))
    truth.add_raw("odd", day(rig.world, 0), json.dumps(item | ODD).encode())
    for _ in range(2):
        report = rig.sync("card_transactions").streams["card_transactions"]
        assert (report.quarantined, report.misfits, report.fetched) == (0, 4, 6)
        assert "odd" in rig.live()
        assert rig.rows(QUARANTINED) == [
            ("odd", "amount.currency", '"ZZZ"'),
            ("odd", "description", '["no text"]'),
            ("odd", "merchant.mcc", "5812"),
            ("odd", "posted_at_date", '"yesterday"'),
        ]
    assert rig.rows(
        "SELECT posted_at_date, description, merchant_mcc, amount, amount_minor "
        "FROM brex.card_transactions WHERE id = 'odd'"
    ) == [(None, None, None, None, 7)]
    assert runs.status(rig.warehouse, STREAMS["card_transactions"]).quarantined == 4
    truth.delete("odd")
    truth.add_raw("odd", day(rig.world, 0), json.dumps(item | {"description": 5}).encode())
    rig.sync("card_transactions")
    assert rig.rows(QUARANTINED) == [("odd", "description", "5")], "the rest of it fits now"
    truth.delete("odd")
    truth.add(item)
    rig.sync("card_transactions")
    assert rig.rows(QUARANTINED) == []
    assert_equal(rig, "card_transactions")


def test_a_stored_row_whose_money_no_longer_fits_stays_as_it_was_and_hides_no_deletion(
    rig: Any,
) -> None:
    truth = rig.world.collection("card_transactions")
    spend(rig, 3)
    rig.sync("card_transactions")
    body = spent("t0001", day(rig.world, 1)) | {"amount": "much"}
    truth.delete("t0001")
    truth.add_raw("t0001", day(rig.world, 1), json.dumps(body).encode())
    truth.delete("t0002")
    report = rig.sync("card_transactions", full=True).streams["card_transactions"]
    assert "t0001" in rig.live()
    assert "could not be read" not in str(report.doubt), "its key was read: it is not missing"
    assert rig.rows("SELECT key, field FROM brex_sync.quarantine") == [("t0001", None)]


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59Z"]
)
def test_a_wild_moment_stops_no_run(rig: Any, moment: str) -> None:
    truth = rig.world.collection("expenses")
    truth.add({"id": "wild", "updated_at": moment, "dashboard_url": "u"})
    truth.add({"id": "tame", "updated_at": f"{day(rig.world, 1)}T00:00:00Z", "dashboard_url": "u"})
    for kind in ({}, {"full": True}, {"compare": True}, {}):
        assert rig.sync("expenses", **kind).finished
    assert rig.live("expenses") == {"wild", "tame"}
    watermark = rig.one("SELECT watermark FROM brex_sync.checkpoints WHERE stream = 'expenses'")
    assert watermark <= rig.now()
    truth.edit("tame", memo="later")
    assert rig.sync("expenses").finished
    assert rig.one("SELECT memo FROM brex.expenses WHERE id = 'tame'") == "later"


POISON = ("9999-12-31 23:59:59-08", "0001-01-01 00:00:00 BC")


@pytest.mark.parametrize("poison", POISON)
def test_what_an_earlier_version_stored_and_cannot_read_heals_by_itself(
    rig: Any, poison: str
) -> None:
    for i in range(20):
        item = {"id": f"e{i:02d}", "updated_at": f"{day(rig.world, i)}T00:00:00Z"}
        rig.world.collection("expenses").add(item | {"dashboard_url": "u", "memo": "m"})
    assert rig.sync("expenses", pages=5).finished
    with rig.engine.begin() as db:
        for column in ("window_newest", "watermark"):
            db.exec_driver_sql(f"UPDATE brex_sync.checkpoints SET {column} = '{poison}'")
        db.exec_driver_sql(
            f"UPDATE brex.expenses SET updated_at = '{poison}', purchased_at = '{poison}' "
            "WHERE id = 'e07'"
        )
    for kind in ({}, {"full": True}, {"compare": True}):
        assert rig.sync("expenses", pages=5, **kind).finished
    assert_equal(rig, "expenses")
    kept = rig.one("SELECT watermark FROM brex_sync.checkpoints WHERE stream = 'expenses'")
    assert kept is not None


def test_a_bad_row_stays_set_aside_though_our_clock_is_ahead_of_the_databases(rig: Any) -> None:
    rig.later = timedelta(minutes=5)
    item = spent("bad", day(rig.world, 0)) | {"amount": "much"}
    rig.world.collection("card_transactions").add(item)
    rig.sync("card_transactions")
    assert rig.rows("SELECT key FROM brex_sync.quarantine") == [("bad",)]


def test_bank_numbers_are_cut_everywhere(rig: Any) -> None:
    account = cash_account("acc")
    broken = cash_account("broken") | {"current_balance": "perhaps"}
    rig.world.collection("cash_accounts").add(account)
    rig.world.collection("cash_accounts").add(broken)
    rig.sync("cash_accounts")
    assert rig.rows("SELECT account_number, routing_number FROM brex.cash_accounts") == [
        ("9012", "5349")
    ]
    held = rig.rows("SELECT _raw::text FROM brex.cash_accounts")
    held += rig.rows("SELECT raw FROM brex_sync.quarantine")
    assert len(held) == 2
    assert not any("6789012" in text or "1121145349" in text for (text,) in held)
    assert "123456789012" not in str(held)
    assert "121145349" not in str(held)


def test_the_view_names_cardholder_and_card_and_leaves_deleted_rows_out(rig: Any) -> None:
    rig.world.collection("users").add(person("u1"))
    rig.world.collection("cards").add(card("c1", "u1"))
    rig.world.collection("cash_accounts").add(cash_account("acc"))
    rig.world.collection("cash_transactions").add(paid("p", day(rig.world, 1)), "acc")
    add(rig, "a", card_id="c1")
    add(rig, "b", card_id="unknown")
    add(rig, "c")
    assert rig.sync().finished
    rig.world.collection("card_transactions").delete("c")
    rig.sync_twice()
    assert rig.rows(
        "SELECT account_kind, id, cardholder, card_name, card_last_four, cash_account_id "
        "FROM brex.transactions ORDER BY id"
    ) == [
        ("card", "a", "Zoë u1", "Travel", "0042", None),
        ("card", "b", None, None, None, None),
        ("cash", "p", None, None, None, "acc"),
    ]
    assert rig.rows("SELECT account_kind, id, account_number FROM brex.accounts") == [
        ("cash", "acc", "9012")
    ]


def test_every_table_view_and_column_says_what_it_is(rig: Any) -> None:
    rig.sync("users")
    without = rig.rows(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
        "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT attisdropped "
        "WHERE n.nspname = 'brex' AND relkind IN ('r', 'v') AND (obj_description(c.oid) IS NULL "
        "OR col_description(c.oid, a.attnum) IS NULL)"
    )
    assert without == []


def test_numbers_in_free_fields_keep_every_digit(rig: Any) -> None:
    numbers = ["0.123456789012345678901234567890", "123456789012345678901234567890.5", "1" * 60]
    for i, number in enumerate(numbers):
        text = json.dumps(spent(f"n{i}", day(rig.world, 1)))[:-1]
        body = f'{text}, "card_metadata": {{"rate": {number}}}, "novelty": {number}}}'
        rig.world.collection("card_transactions").add_raw(f"n{i}", day(rig.world, 1), body.encode())
    assert rig.sync("card_transactions").finished
    found = rig.rows(
        "SELECT card_metadata->>'rate', _raw->'card_metadata'->>'rate', _raw->>'novelty' "
        "FROM brex.card_transactions ORDER BY id"
    )
    assert found == [(number,) * 3 for number in numbers]


@pytest.mark.parametrize("depth", [100, 900, 1000, 5000, 100_000])
def test_deeply_nested_json_is_stored_or_set_aside_or_refused_in_one_sentence(
    rig: Any, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    spend(rig, 3)
    text = json.dumps(spent("deep", day(rig.world, 1)))[:-1]
    deep = f'{text}, "card_metadata": {"[" * depth}{"]" * depth}}}'
    rig.world.collection("card_transactions").add_raw("deep", day(rig.world, 1), deep.encode())
    report = rig.sync("card_transactions").streams["card_transactions"]
    if report.error is None:
        aside = {r[0] for r in rig.rows("SELECT key FROM brex_sync.quarantine")}
        assert rig.live() | aside >= {"t0000", "t0001", "t0002"}
        assert len(rig.live() | aside) == 4
    else:
        assert "not the JSON list expected: maximum recursion depth" in report.error
        assert rig.live() == set()
    assert not any(record.exc_info for record in caplog.records)
    rig.world.collection("card_transactions").delete("deep")
    assert rig.sync_twice("card_transactions").finished
    assert_equal(rig, "card_transactions")
