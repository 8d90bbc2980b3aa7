"""Rows reach their table exactly as sent, once, and those that Postgres refuses stay out alone."""

import json
import random
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from brex_sync.sandbox.faults import Fault
from brex_sync.sandbox.faults import FaultKind as Misbehaviour
from brex_sync.streams.columns import Kind
from brex_sync.sync.normalise.items import DTYPES
from brex_sync.warehouse.database import driver_cursor
from brex_sync.warehouse.load.staged import fields, to_bytes
from brex_sync.warehouse.load.staging import to_lines
from brex_sync_tests.engine.items import day, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

SPECIAL = ["\\", "\\N", "\\.", "\t", "\n", "\r", "\\n", "\\\\t", "N", "", " ", "null", "NaN", "é😀"]
TEXT = st.lists(
    st.sampled_from(SPECIAL) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=4,
).map(lambda pieces: "".join(pieces).replace("\0", ""))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: TEXT,
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.dates(),
    Kind.TIMESTAMP: st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES),
    Kind.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**38), 10**38).map(lambda n: Decimal(n).scaleb(-7)),
    Kind.JSON: st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=2).map(json.dumps),
}
TYPES = {
    Kind.TEXT: "text",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamptz",
    Kind.DECIMAL: "numeric",
    Kind.JSON: "jsonb",
}
ROWS = st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), max_size=5)


def framed(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = {
        kind.name: pd.array([row[i] for row in rows], dtype=DTYPES[kind])  # type: ignore[call-overload]
        for i, kind in enumerate(VALUES)
    }
    return pd.DataFrame(columns, copy=False)


@given(ROWS)
def test_every_value_survives_the_copy_into_postgres(engine: sa.Engine, rows: Any) -> None:
    columns = ", ".join(f'"{kind.name}" {name}' for kind, name in TYPES.items())
    with engine.connect() as db:
        db.exec_driver_sql(f"CREATE TEMP TABLE copied (at serial, {columns})")
        names = ", ".join(f'"{kind.name}"' for kind in TYPES)
        with driver_cursor(db) as cursor, cursor.copy(f"COPY copied ({names}) FROM STDIN") as copy:
            copy.write(to_bytes(to_lines(framed(rows))))
        found = db.exec_driver_sql(f"SELECT {names} FROM copied ORDER BY at").all()
        db.rollback()
    expected = [(*row[:-1], row[-1] and json.loads(row[-1])) for row in rows]
    assert [tuple(row) for row in found] == expected
    assert all(type(a) is type(b) for f, e in zip(found, expected, strict=True)
               for a, b in zip(f[:-1], e[:-1], strict=True))  # fmt: skip


@given(ROWS)
def test_the_fields_of_a_line_are_what_was_written_into_it(rows: Any) -> None:
    for row, line in zip(rows, to_lines(framed(rows)), strict=True):
        assert "\n" not in line
        found = fields(line)
        assert [value is None for value in found] == [value is None for value in row]
        assert found[0] == row[0]
        assert found[-1] == row[-1]


def raw(rig: Any, item: Any, **changes: Any) -> None:
    """Adds an item, even one whose id is there already."""
    item = item | changes
    body = json.dumps(item).encode()
    rig.world.collection("card_transactions").add_raw(item["id"], item["posted_at_date"], body)


@pytest.mark.parametrize("pages", [None, 20, 3], ids=["one page", "one batch", "two batches"])
@pytest.mark.parametrize("later", [False, True], ids=["a first listing", "a later one"])
def test_a_row_that_comes_twice_counts_once_and_as_its_later_version(
    rig: Any, pages: int | None, later: bool
) -> None:
    if later:
        spend(rig, 1, prefix="before")
        rig.sync("card_transactions")
    for i in range(40):
        raw(rig, spent(f"t{i:02d}", day(rig.world, i)))
    for key in ("t05", "t20"):
        raw(rig, spent(key, day(rig.world, 38)), description="the later one")
    raw(rig, spent("t05", day(rig.world, 5)), description="the first one")
    report = rig.sync("card_transactions", pages=pages, full=True).streams["card_transactions"]
    assert report.error is None
    assert report.inserted == 40
    assert report.fetched == 43 + later
    found = rig.rows(
        "SELECT id, description FROM brex.card_transactions WHERE id IN ('t05', 't20') ORDER BY id"
    )
    assert found == [("t05", "the later one"), ("t20", "the later one")]
    assert len(rig.live()) == 40 + later
    assert rig.gone() == set()
    assert rig.rows("SELECT listed, held FROM brex_sync.checkpoints") == [(40 + later,) * 2]


def unstorable(key_length: int = 9_000) -> str:
    """An identifier that no index row holds; random, since Postgres compresses others."""
    rng = random.Random(1)
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(key_length))


HUGE = '{"n": 1e200000}'


@pytest.mark.parametrize("pages", [None, 7])
@pytest.mark.parametrize("later", [False, True], ids=["a first listing", "a later one"])
def test_a_row_that_postgres_refuses_is_set_aside_alone(
    rig: Any, later: bool, pages: int | None
) -> None:
    """An id too long for the index; a number too large for any numeric costs its field alone."""
    if later:
        spend(rig, 3, prefix="before")
        rig.sync("card_transactions")
    spend(rig, 30)
    long = spent(unstorable(), day(rig.world, 3))
    raw(rig, long)
    truth = rig.world.collection("card_transactions")
    huge = json.dumps(spent("huge", day(rig.world, 17)))[:-1] + f', "card_metadata": {HUGE}}}'
    truth.add_raw("huge", day(rig.world, 17), huge.encode())
    report = rig.sync("card_transactions", pages=pages, full=True).streams["card_transactions"]
    assert report.error is None
    assert (report.quarantined, report.inserted) == (1, 31)
    assert len(rig.live()) == 31 + 3 * later
    aside = {key: (reason, text) for key, reason, text in rig.rows(
        "SELECT key, reason, raw FROM brex_sync.quarantine"
    )}  # fmt: skip
    assert set(aside) == {long["id"], "huge"}
    assert "too long" in aside[long["id"]][0]
    assert json.loads(aside[long["id"]][1]) == long
    assert "more digits than can be stored" in aside["huge"][0]
    assert aside["huge"][1] == HUGE
    kept = "SELECT _raw FROM brex.card_transactions WHERE id = 'huge'"
    assert "card_metadata" not in rig.one(kept)
    truth.delete("huge")
    raw(rig, spent("huge", day(rig.world, 17)))
    truth.delete(long["id"])
    rig.sync("card_transactions", full=True)
    assert rig.rows("SELECT key FROM brex_sync.quarantine") == []
    assert_equal(rig, "card_transactions")


def test_a_field_that_does_not_fit_in_a_row_asked_for_by_its_id_is_told_too(rig: Any) -> None:
    for i in range(3):
        rig.world.collection("users").add(person(f"u{i}"))
    rig.sync("users")
    body = json.dumps(person("u1"))[:-1] + f', "metadata": {HUGE}}}'
    rig.world.collection("users").edit("u1", status="VANISHING")
    rig.faults.add(
        Fault(Misbehaviour.BODY, "/v2/users", times=2, body='{"items":[],"next_cursor":null}')
    )
    rig.faults.add(Fault(Misbehaviour.BODY, "/v2/users/u1", body=body))
    report = rig.sync("users").streams["users"]
    assert report.error is None
    assert report.quarantined == 0
    assert rig.rows("SELECT key, raw FROM brex_sync.quarantine") == [("u1", HUGE)]
    assert rig.live("users") == {"u0", "u1", "u2"}


def test_dates_and_moments_are_the_same_in_every_time_zone(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(rig, 3)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            rig.sync("card_transactions", full=True)
            found = rig.rows("SELECT posted_at_date FROM brex.card_transactions ORDER BY 1")
            through = rig.one("SELECT synced_through FROM brex_sync.checkpoints")
        finally:
            monkeypatch.undo()
            time.tzset()
        assert [r[0].isoformat() for r in found] == [day(rig.world, b) for b in (2, 1, 0)]
        assert through == datetime.now(UTC).date()
    assert isinstance(found[0][0], date)
