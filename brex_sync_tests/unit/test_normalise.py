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

from brex_sync.sandbox import create_world
from brex_sync.streams import STREAMS
from brex_sync.streams.declare import Stream
from brex_sync.sync.normalise import money
from brex_sync.sync.normalise.items import _as_declared, _item_by_item, normalise
from brex_sync.warehouse.load.staging import plain

CARDS, CASH = STREAMS["card_transactions"], STREAMS["cash_accounts"]
EXPENSES = STREAMS["expenses"]
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
            optional={"currency": st.sampled_from([None, "USD", "JPY", "KWD", "BGN", "XXX", "?"])},
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
        ({"amount": {"amount": 1.5}}, "amount.amount: expected integer"),
        ({"amount": {"amount": True}}, "amount.amount: expected integer"),
        ({"amount": {"amount": "1"}}, "amount.amount: expected integer"),
        ({"amount": {"amount": 2**63}}, "amount.amount: expected integer"),
        ({"amount": {"amount": -(2**63) - 1}}, "amount.amount: expected integer"),
        ({"amount": {"amount": 1, "currency": 5}}, "amount.currency: expected text"),
        ({"amount": 5}, "amount: expected money"),
        ({"amount": []}, "amount: expected money"),
        ({"id": ""}, "id: missing"),
        ({"id": None}, "id: missing"),
        ({"id": 5}, "id: expected text"),
        ({"id": "x" * 1001}, "id: too long"),
    ],
)
def test_a_row_whose_key_or_money_does_not_fit_is_rejected_alone(bad: Any, reason: str) -> None:
    items = [{"id": "a"}, {"id": "b"} | bad, {"id": "c"}]
    frame = normalise(CARDS, [json.dumps(i).encode() for i in items])
    assert list(frame.rows["id"]) == ["a", "c"]
    (rejected,) = frame.rejected
    assert rejected.reason.startswith(reason)
    assert json.loads(rejected.raw) == items[1]
    assert frame.misfits == ()


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"posted_at_date": "20260310"}, "posted_at_date"),
        ({"posted_at_date": 5}, "posted_at_date"),
        ({"merchant": []}, "merchant"),
        ({"merchant": "M"}, "merchant"),
        ({"merchant": {"mcc": 5812}}, "merchant.mcc"),
        ({"description": True}, "description"),
        ({"amount": {"amount": 1, "currency": "???"}}, "amount.currency"),
    ],
)
def test_any_other_field_that_does_not_fit_is_null_and_told(bad: Any, field: str) -> None:
    items = [{"id": "a"}, {"id": "b", "amount": {"amount": 1}, "type": "T"} | bad, {"id": "c"}]
    frame = normalise(CARDS, [json.dumps(i).encode() for i in items])
    assert (list(frame.rows["id"]), frame.rejected) == (["a", "b", "c"], ())
    (misfit,) = frame.misfits
    assert (misfit.key, misfit.field) == ("b", field)
    assert misfit.reason.startswith(f"{field}: ")
    row = values(frame.rows)[1]
    assert (row["amount_minor"], row["type"]) == (1, "T")
    assert json.loads(row["_raw"]) == items[1]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.0", 1),
        ("6e2", 600),
        ("623.0", 623),
        ("-0.0", 0),
        ("0e999", 0),
        ("9007199254740993.0", 2**53 + 1),
        ("9223372036854775807.000", 2**63 - 1),
        ("-9.223372036854775808e18", -(2**63)),
    ],
)
def test_a_whole_number_is_one_however_it_is_written(written: str, number: int) -> None:
    frame = normalise(CARDS, [f'{{"id":"a","amount":{{"amount":{written}}}}}'.encode()])
    assert plain(frame.rows["amount_minor"]) == [number]


@pytest.mark.parametrize(
    "written",
    ["1.5", "1e400", "1e-1", "9223372036854775808.0", "1e99999999", f"1e{10**20}"],
)
def test_what_is_no_whole_number_of_64_bits_is_none(written: str) -> None:
    frame = normalise(CARDS, [f'{{"id":"a","amount":{{"amount":{written}}}}}'.encode()])
    assert frame.rows.empty
    assert [r.key for r in frame.rejected] == ["a"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-10T18:25:43Z", datetime(2026, 3, 10, 18, 25, 43, tzinfo=UTC)),
        ("2026-03-10t18:25:43z", datetime(2026, 3, 10, 18, 25, 43, tzinfo=UTC)),
        ("2026-03-10 18:25:43+05:30", datetime(2026, 3, 10, 12, 55, 43, tzinfo=UTC)),
        ("2026-03-10T18:25:43.123456789Z", datetime(2026, 3, 10, 18, 25, 43, 123456, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_moments_are_read_as_rfc_3339_writes_them(written: str, read: datetime) -> None:
    [row] = rows_of(EXPENSES, {"id": "e", "updated_at": written})
    assert row["updated_at"] == read
    assert row["updated_at"].utcoffset() == timedelta()


@pytest.mark.parametrize(
    "written",
    [
        "9999-12-31T23:59:59-08:00",
        "9999-12-31T23:59:60Z",
        "0001-01-01T00:00:00+00:01",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2026-03-10T24:00:00Z",
        "2026-03-10T18:25:60Z",
        "2026-03-10T18:25:43",
        "2026-03-10T18:25:43+24:00",
        "2026-03-10T18:25:43+00:00:30",
        "2026-W11-2T18:25:43Z",
        "20260310T182543Z",
        "2026-02-30T00:00:00Z",
        "2026-03-10",
        "infinity",
        "",
        "٢٠٢٦-03-10T18:25:43Z",
    ],
)
def test_a_moment_that_is_none_or_that_utc_cannot_hold_is_null(written: str) -> None:
    text = json.dumps({"id": "e", "updated_at": written, "status": "S"}).encode()
    frame = normalise(EXPENSES, [text])
    [row] = values(frame.rows)
    assert (row["updated_at"], row["status"], frame.newest) == (None, "S", None)
    assert [m.field for m in frame.misfits] == ["updated_at"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-10", date(2026, 3, 10)),
        ("2026-03-10T23:59:59-08:00", date(2026, 3, 10)),
        ("9999-12-31T23:59:59-08:00", date(9999, 12, 31)),
        ("2026-03-10T00:00:00", date(2026, 3, 10)),
        ("2026-W11-2", None),
        ("2026-03-10T", None),
        ("2026-03-10 later", None),
        ("0000-03-10", None),
        ("2026-02-30", None),
        ("infinity", None),
        ("", None),
    ],
)
def test_a_date_is_the_date_as_it_is_written(written: str, read: date | None) -> None:
    frame = normalise(CARDS, [json.dumps({"id": "a", "posted_at_date": written}).encode()])
    assert plain(frame.rows["posted_at_date"]) == [read]
    assert [m.field for m in frame.misfits] == [] if read else ["posted_at_date"]


@pytest.mark.parametrize(
    ("currency", "places"),
    [
        *((code, 2) for code in ("BGN", "HRK", "ANG", "ZWL", "VEF", "IRR", "usd", None)),
        *((code, 2) for code in ("MRO", "SLL", "sll", "STD", "COP", "HUF")),
        *((code, 0) for code in ("ESP", "UGX")),
        *((code, None) for code in ("", "US$", "XAU", "???")),
    ],
)
def test_withdrawn_currencies_keep_their_decimal_places(
    currency: str | None, places: int | None
) -> None:
    assert money.places(currency) == places


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
        assert patient.rejected == patient.misfits == ()
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
    items = create_world(card_transactions=50).collection("card_transactions").rows().bodies
    assert _as_declared(CARDS, items, None) is not None
