"""An odd value in any field of any stream costs no more than that field.

No other row is lost, nothing sticks, and sums of money over the table equal the sums over what
Brex sent, for all rows whose key and money fit.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.sandbox import create_app
from brex_sync.streams import STREAMS
from brex_sync.streams.columns import Column, Kind
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine import truth
from brex_sync_tests.engine.truth import COLLECTIONS, assert_equal
from brex_sync_tests.worlds import PAGE, ids, small_company

AS_WRITTEN = re.compile(rb'"written ([0-9a-f]+)"')
"""Stands for JSON that is sent as it is written: numbers and escapes that no library writes."""


def written(text: str) -> str:
    """What stands for JSON text until it is sent."""
    return f"written {text.encode().hex()}"


ODD: list[Any] = [
    None, "", " ", "x", "é" * 3000, "\x00", "a\x00b", written('"\\ud800"'), "12", "1.5", "true",
    "null", "NaN",
    True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400,
    *map(written, ("1.0", "6e2", "623.0", "-0.0", "1e400", "1.5", "1e-400", "0.1e1")),
    [], {}, [None], [[]], [1, "x"], {"": None}, {"amount": 5}, {"amount": "5", "currency": "USD"},
    {"amount": 7, "currency": 840}, {"amount": 12345, "currency": "BGN"},
    {"amount": 12345, "currency": "ZZZ"}, {"amount": 1, "currency": ""}, {"id": None}, [{"id": 1}],
    "2026-03-10", "2026-03-10T18:25:43Z", "2026-03-10T18:25:43", "2026-02-30", "2026-13-01",
    "0000-01-01", "10000-01-01", "9999-12-31", "9999-12-31T23:59:59-08:00", "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+10:00", "0001-01-01T00:00:00Z", "0001-01-01", "infinity", "-infinity",
    "2026-W10-1", "20260310", "2026-03-10T24:00:00Z", "2026-03-10T23:59:60Z", "now", "epoch",
    "2026-03-10T18:25:43.123456789Z", "2026-03-10 18:25:43+00", "2026-03-10t18:25:43z",
]  # fmt: skip
DEEP: Any = None
for _ in range(900):
    DEEP = [DEEP]
NAMES = sorted(set(STREAMS) - {"company", "current_user", "user_limits"})
"""Streams with lists of rows that can be made odd one by one."""
oddity = st.tuples(
    st.sampled_from(NAMES), st.integers(0, 50), st.integers(0, 200), st.sampled_from([*ODD, DEEP])
)


class AsWritten:
    """An app whose responses hold marked texts as they are written."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def rewritten(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    h for h in message["headers"] if h[0].lower() != b"content-length"
                ]
            if "body" in message:
                message["body"] = _unmarked(message["body"])
            await send(message)

        await self.app(scope, receive, rewritten)


def _unmarked(body: bytes) -> bytes:
    return AS_WRITTEN.sub(lambda found: bytes.fromhex(found[1].decode()), body)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an item: keys and positions from the item down."""
    if here:
        yield here
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*here, key))


def put(item: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the item with another value at a place."""
    copy = json.loads(json.dumps(item))
    inside = copy
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return copy


class Oddities:
    """A company some of whose rows are odd, and how they were before."""

    def __init__(self, engine: sa.Engine) -> None:
        self.world = small_company()
        self.rig = Rig(engine, self.world, wrap=AsWritten)
        self.rig.app = create_app(self.world, faults=self.rig.faults, rate_limit=None)
        self.before: dict[tuple[str, str | None, str], tuple[str, bytes]] = {}
        self.items: dict[str, dict[truth.Key, Any]] = {}
        self.truth = {name: truth.expected(self.world, name) for name in NAMES}

    def make_odd(self, name: str, row: int, place: int, value: Any) -> None:
        rows = [(p, key) for p in self._parents(name) for key in ids(self.world, self._in(name), p)]
        if not rows:
            return
        parent, key = rows[row % len(rows)]
        at = (parent, key) if parent else (key,)
        odd = self.items.setdefault(name, {})
        item = odd.get(at) or self._collection(name).get(key)
        found = list(places(item))
        odd[at] = put(item, found[place % len(found)], value)
        self._replace(name, parent, key, odd[at])

    def mend(self) -> None:
        for (name, parent, key), (day, body) in self.before.items():
            self._collection(name).delete(key)
            self._collection(name).add_raw(key, day, body, parent)
        self.before.clear()

    def _replace(self, name: str, parent: str | None, key: str, item: Any) -> None:
        collection = self._collection(name)
        rows = collection.rows(parent)
        at = rows.ids.index(key)
        day, body = rows.dates[at], rows.bodies[at]
        self.before.setdefault((name, parent, key), (day, body))
        collection.delete(key)
        collection.add_raw(key, day, json.dumps(item).encode(), parent)

    def _in(self, name: str) -> str:
        return COLLECTIONS.get(name, name)

    def _collection(self, name: str) -> Any:
        return self.world.collection(self._in(name))

    def _parents(self, name: str) -> list[Any]:
        return self._collection(name).parents() if STREAMS[name].parent else [None]


def fits(value: Any) -> bool:
    """Whether money can be stored: an integer of 64 bits, however it is written, and a text."""
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    return _minor(value.get("amount")) is not False and (
        value.get("currency") is None or isinstance(value.get("currency"), str)
    )


def _minor(amount: Any) -> Any:
    """The amount as an integer, None where there is none, False where it does not fit."""
    if isinstance(amount, str) and (found := AS_WRITTEN.fullmatch(f'"{amount}"'.encode())):
        amount = json.loads(bytes.fromhex(found[1].decode()), parse_float=Decimal)
        if isinstance(amount, Decimal):
            amount = int(amount) if amount < 2**63 and amount == int(amount) else False
    if amount is None:
        return None
    whole = isinstance(amount, int) and not isinstance(amount, bool)
    return amount if whole and -(2**63) <= amount < 2**63 else False


def money_at(item: Any, column: Column) -> Any:
    """The value of a money column in an item; something unfit where an object should be."""
    for key in column.keys:
        if item is None:
            return None
        if not isinstance(item, dict):
            return "unfit"
        item = item.get(key)
    return item


def assert_others_stand(company: Oddities, name: str) -> None:
    """Rows that are not odd are as Brex has them; odd ones whose key and money fit are there."""
    rig, stream = company.rig, STREAMS[name]
    expected, odd = company.truth[name], company.items.get(name, {})
    key = truth._key_columns(name)
    found = truth.live_rows(rig, name, key)
    types = truth._types(rig, name)
    for at, item in expected.items():
        if at not in odd:
            truth._same_row(name, types, item, found[at], frozenset())
    monies = [c for c in stream.columns if c.kind is Kind.MONEY]
    own = truth.IDS.get(name, "id")
    for at, item in odd.items():
        if item.get(own) == at[-1] and all(fits(money_at(item, c)) for c in monies):
            assert at in found, (name, item)
            for column in monies:
                sent = money_at(item, column) or {}
                assert found[at][f"{column.name}_minor"] == _minor(sent.get("amount"))


def live_through(engine: sa.Engine, oddities: list[Any], *, known: bool) -> None:
    """Syncs odd rows, those `known` before too, again and again, and then mends them."""
    company = Oddities(engine)
    names = sorted({name for name, *_ in oddities})
    if known:
        company.rig.sync(*names, *_above(names), pages=PAGE)
    for one in oddities:
        company.make_odd(*one)
    for options in ({}, {"full": True}, {"compare": True}):
        company.rig.later += timedelta(days=1)
        report = company.rig.sync(*names, *_above(names), pages=PAGE, **options)
        assert report.finished, [s.error for s in report.failed]
        for name in names:
            assert_others_stand(company, name)
    company.mend()
    for _ in range(2):
        company.rig.later += timedelta(days=1.1)
        report = company.rig.sync(*names, *_above(names), pages=PAGE, full=True)
        assert report.finished, [s.error for s in report.failed]
    assert_equal(company.rig, *names)
    assert company.rig.rows("SELECT stream, reason FROM brex_sync.quarantine") == []


def _above(names: list[str]) -> set[str]:
    return {per.stream for name in names if (per := STREAMS[name].parent)}


@settings(max_examples=10, derandomize=True)
@given(st.lists(oddity, min_size=1, max_size=4), st.booleans())
def test_an_odd_value_costs_no_more_than_its_field(
    emptied: Callable[[], sa.Engine], oddities: list[Any], known: bool
) -> None:
    live_through(emptied(), oddities, known=known)


@pytest.mark.history
@pytest.mark.timeout(3600)
@settings(max_examples=400)
@given(st.lists(oddity, min_size=1, max_size=6), st.booleans())
def test_many_odd_values_cost_no_more_than_their_fields(
    emptied: Callable[[], sa.Engine], oddities: list[Any], known: bool
) -> None:
    live_through(emptied(), oddities, known=known)
