"""Items become rows exactly, or are set aside with the reason."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from brex_sync.sandbox import World
from brex_sync.streams import STREAMS
from brex_sync.streams.declare import Stream
from brex_sync.sync import money
from brex_sync.sync.normalise import _as_declared, _item_by_item, normalise
from brex_sync.warehouse.staging import plain

CARDS, CASH = STREAMS["card_transactions"], STREAMS["cash_accounts"]
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
INT64 = st.integers(-(2**63), 2**63 - 1)
ITEMS = st.fixed_dictionaries(
    {"id": st.text("abc", min_size=1)},
    optional={
        "description": TEXTS,
        "type": TEXTS,
        "posted_at_date": st.none() | st.dates().map(date.isoformat),
        "amount": st.none()
        | st.fixed_dictionaries(
            {"amount": st.none() | INT64},
            optional={"currency": st.sampled_from([None, "USD", "JPY", "KWD", "XXX", "?"])},
        ),
        "merchant": st.none() | st.fixed_dictionaries({}, optional={"mcc": TEXTS}),
    },
)


def values(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, as plain values by column."""
    columns = [plain(frame[name]) for name in frame.columns]
    return [dict(zip(frame.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def rows_of(stream: Any, *items: Any) -> list[dict[str, Any]]:
    return values(normalise(stream, [json.dumps(i).encode() for i in items]).rows)


@given(st.lists(ITEMS, max_size=6))
def test_every_value_survives_exactly(items: list[dict[str, Any]]) -> None:
    raw = [json.dumps(item).encode() for item in items]
    frame = normalise(CARDS, raw)
    assert frame.rejected == ()
    assert not any(pd.api.types.is_float_dtype(d) for d in frame.rows.dtypes)
    rows = values(frame.rows)
    assert len(rows) == len(items)
    for item, row, text in zip(items, rows, raw, strict=True):
        amount = item.get("amount") or {}
        posted = item.get("posted_at_date")
        assert row["id"] == item["id"]
        assert row["description"] == item.get("description")
        assert row["type"] == item.get("type")
        assert row["merchant_mcc"] == (item.get("merchant") or {}).get("mcc")
        assert row["posted_at_date"] == (posted and date.fromisoformat(posted))
        assert row["amount_minor"] == amount.get("amount")
        assert row["amount_currency"] == amount.get("currency")
        assert row["_raw"] == text.decode()
        assert not any(isinstance(v, float) for v in row.values())


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (1234, "USD", "12.34"),
        (1234, None, "12.34"),
        (1234, "JPY", "1234"),
        (1234, "KWD", "1.234"),
        (2**63 - 1, "USD", "92233720368547758.07"),
        (-(2**63), "KWD", "-9223372036854775.808"),
        (2**53 + 1, "USD", "90071992547409.93"),
    ],
)
def test_major_units_follow_the_currencys_exponent(
    minor: int, currency: str | None, major: str
) -> None:
    [exact] = money.majors([minor], [currency])
    assert exact == Decimal(major)
    assert str(exact) == major


def test_an_unknown_currency_has_no_major_units() -> None:
    assert money.majors([5, None], ["???", "USD"]) == [None, None]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"posted_at_date": "20260310"}, "posted_at_date: expected date"),
        ({"posted_at_date": "2026-03-10T00:00:00Z"}, "posted_at_date: expected date"),
        ({"posted_at_date": 5}, "posted_at_date: expected date"),
        ({"amount": {"amount": 1.0}}, "amount.amount: expected integer"),
        ({"amount": {"amount": True}}, "amount.amount: expected integer"),
        ({"amount": {"amount": "1"}}, "amount.amount: expected integer"),
        ({"amount": {"amount": 2**63}}, "amount.amount: expected integer"),
        ({"amount": {"amount": -(2**63) - 1}}, "amount.amount: expected integer"),
        ({"amount": 5}, "amount: expected money"),
        ({"merchant": []}, "merchant: expected an object"),
        ({"merchant": "M"}, "merchant: expected an object"),
        ({"description": 5}, "description: expected text"),
        ({"id": ""}, "id: missing"),
        ({"id": None}, "id: missing"),
    ],
)
def test_a_wrong_type_rejects_its_row_alone_with_the_reason(bad: Any, reason: str) -> None:
    items = [{"id": "a"}, {"id": "b"} | bad, {"id": "c"}]
    frame = normalise(CARDS, [json.dumps(i).encode() for i in items])
    assert list(frame.rows["id"]) == ["a", "c"]
    (rejected,) = frame.rejected
    assert rejected.reason.startswith(reason)
    assert json.loads(rejected.raw) == items[1]


def test_bank_numbers_are_cut_in_the_column_in_raw_and_in_rejected_rows() -> None:
    numbers = {"account_number": "123456789012", "routing_number": 987654321}
    (row,) = rows_of(CASH, {"id": "a"} | numbers)
    assert (row["account_number"], row["routing_number"]) == ("9012", "4321")
    assert json.loads(row["_raw"])["account_number"] == "9012"
    rejected = normalise(CASH, [json.dumps({"id": 1} | numbers).encode(), b'["123456789012"]'])
    assert len(rejected.rejected) == 2
    assert not any("89012" in r.raw + r.reason for r in rejected.rejected)


def test_unknown_fields_are_named_by_their_path_and_the_newest_date_is_seen() -> None:
    items = [
        {"id": "a", "posted_at_date": "2026-01-02", "new": 1, "merchant": {"x": {"y": 1}}},
        {"id": "b", "posted_at_date": "2025-01-02", "card_metadata": {"free": "map"}},
    ]
    frame = normalise(CARDS, [json.dumps(i).encode() for i in items])
    assert frame.unknown == {"new", "merchant.x"}
    assert frame.newest == datetime(2026, 1, 2, tzinfo=UTC)
    assert normalise(CARDS, []).newest is None


def test_every_kind_of_missing_value_becomes_none() -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Series(["a", None, pd.NA], dtype="string"),
            "whole": pd.Series([2**53 + 1, None, pd.NA], dtype="Int64"),
            "truth": pd.Series([True, None, pd.NA], dtype="boolean"),
            "thing": pd.Series([timedelta(1), None, None], dtype="object"),
        }
    )
    rows = [tuple(row.values()) for row in values(frame)]
    assert rows == [("a", 2**53 + 1, True, timedelta(1)), (None,) * 4, (None,) * 4]
    assert type(rows[0][1]) is int
    odd = pd.DataFrame({"x": pd.Series([np.nan, pd.NaT, pd.NA], dtype="object")})
    assert list(plain(odd["x"])) == [None, None, None]


RECORDS = STREAMS["accounting_records"]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from([1.5, "1.5", "NaN", "2026-01-02", "2026-01-02T03:04:05Z"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["amount", "currency", "mcc", "new"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def odd_items(stream: Stream) -> st.SearchStrategy[list[dict[str, Any]]]:
    fields = [*dict.fromkeys(column.keys[0] for column in stream.columns), "novelty"]
    return st.lists(st.dictionaries(st.sampled_from(fields), ODD, max_size=5), max_size=3)


def quick_is_patient(stream: Stream, items: list[Any]) -> None:
    """The quick way gives what the patient way gives, or nothing."""
    raw = [json.dumps({"id": str(i)} | item).encode() for i, item in enumerate(items)]
    quick, patient = _as_declared(stream, raw, None), _item_by_item(stream, raw, None)
    if quick is None:
        assert any(items), "it may give way to anything odd, never to what is plain"
    else:
        assert (quick.rejected, quick.unknown, quick.newest) == ((), frozenset(), patient.newest)
        assert patient.rejected == ()
        assert values(quick.rows) == values(patient.rows)
        assert list(quick.rows.dtypes) == list(patient.rows.dtypes)


@given(odd_items(CARDS))
@example([{"amount": {"new": None}}])
@example([{"id": ""}])
@example([{"amount": {"amount": 2**63}}])
def test_the_quick_way_reads_money_as_the_patient_way(items: list[Any]) -> None:
    quick_is_patient(CARDS, items)


@given(odd_items(RECORDS))
@example([{"amount": {"amount": "1.5"}}])
@example([{"amount": {"amount": "NaN"}}])
@example([{"amount": {"amount": True}}])
@example([{"version": 2**63}])
def test_the_quick_way_reads_decimals_as_the_patient_way(items: list[Any]) -> None:
    quick_is_patient(RECORDS, items)


@pytest.mark.parametrize("field", ["card_metadata", "description", "amount", "novelty"])
@pytest.mark.parametrize(("opening", "closing"), ["[]", ('{"a":', "}")], ids=["lists", "maps"])
def test_however_deep_a_value_is_nested_only_its_row_is_concerned(
    field: str, opening: str, closing: str
) -> None:
    for depth in (10, 500, *range(850, 1010), 5000, 100_000):
        deep = f'{{"id":"deep","{field}":{opening * depth}1{closing * depth}}}'
        frame = normalise(CARDS, [b'{"id":"a"}', deep.encode(), b'{"id":"z"}'])
        assert set(frame.rows["id"]) >= {"a", "z"}
        assert len(frame.rows) + len(frame.rejected) == 3


def test_numbers_in_free_maps_keep_every_digit() -> None:
    numbers = ["0.123456789012345678901234567890", "1" + "0" * 40, "-1.10", "9" * 30 + ".5"]
    raw = [f'{{"id":"{i}","card_metadata":{{"n":{n}}}}}'.encode() for i, n in enumerate(numbers)]
    frame = normalise(CARDS, raw)
    assert list(frame.rows["card_metadata"]) == [f'{{"n":{n}}}' for n in numbers]


def test_a_page_as_declared_goes_the_quick_way() -> None:
    items = World(card_transactions=50).collection("card_transactions").rows().bodies
    assert _as_declared(CARDS, items, None) is not None
