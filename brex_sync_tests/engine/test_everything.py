"""Every stream at once: any order of edits, deletions, faults and syncs, and one reconciliation.

Run by `make history-test`; hypothesis keeps the seeds of what failed in `.hypothesis`.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.sandbox import create_app, create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.test_streams import EDITS, _now
from brex_sync_tests.engine.truth import assert_equal

TABLES = [*EDITS, "card_transactions", "cash_transactions"]
SELF = "cuuser_00000"
"""The user whose credential reads: Brex would take it back with them."""
BACK_DATED = "2025-12-03"
table, row = st.sampled_from(TABLES), st.integers(0, 1000)
step = st.one_of(
    st.tuples(st.just("edit"), table, row),
    st.tuples(st.just("delete"), st.sampled_from([t for t in TABLES if t != "company"]), row),
    st.tuples(st.just("back_date"), st.sampled_from(TABLES[-2:]), row),
    st.tuples(
        st.just("fail"),
        st.sampled_from([FaultKind.STATUS, FaultKind.TRUNCATED, FaultKind.HTML]),
        row,
    ),
    st.tuples(st.just("sync"), st.booleans(), row),
)
pytestmark = [pytest.mark.history, pytest.mark.timeout(3600)]


class History:
    """What happens to a whole company, at Brex and here."""

    def __init__(self, engine: sa.Engine) -> None:
        self.rig = Rig(engine, create_world(months=24, card_transactions=120, expenses=60))
        self.rig.app = create_app(self.rig.world, faults=self.rig.faults, rate_limit=None)
        self.names = count()

    def edit(self, name: str, at: int) -> None:
        changes = EDITS.get(name, {"description": f"edit {next(self.names)}"})
        collection, key = self._row(name, at)
        stamp = {"updated_at": _now(self.rig)} if "updated_at" in collection.get(key) else {}
        collection.edit(key, **changes, **stamp)

    def delete(self, name: str, at: int) -> None:
        collection, key = self._row(name, at)
        if key != SELF:
            collection.delete(key)

    def back_date(self, name: str, at: int) -> None:
        collection, key = self._row(name, at)
        collection.edit(key, posted_at_date=BACK_DATED)

    def fail(self, kind: FaultKind, after: int) -> None:
        self.rig.faults.add(Fault(kind, times=4, after=after % 40))

    def sync(self, full: bool, _: int) -> None:
        self.rig.sync(full=full)
        self.rig.faults.clear()

    def _row(self, name: str, at: int) -> tuple[Any, str]:
        collection = self.rig.world.collection(name)
        ids = [k for p in (collection.parents() or [None]) for k in collection.rows(p).ids]
        return collection, ids[at % len(ids)]


@pytest.mark.parametrize("quarter", range(4), ids=str)
@settings(max_examples=50)
@given(st.lists(step, min_size=5, max_size=25))
def test_every_history_of_a_company_ends_in_equality(
    emptied: Callable[[], sa.Engine], quarter: int, steps: Any
) -> None:
    history = History(emptied())
    history.sync(False, 0)
    for kind, what, value in steps:
        getattr(history, kind)(what, value)
    history.rig.faults.clear()
    report = history.rig.sync(compare=True, accept_deletions=True)
    assert report.finished, report.failed
    assert_equal(history.rig)
