"""Any order of changes, failures and syncs ends in equality, and no live row is ever marked."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.sandbox import create_empty_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import day, spent
from brex_sync_tests.engine.truth import assert_equal

SLOW = (FaultKind.HANG, FaultKind.DELAY)
SPECIAL = (FaultKind.SMALL_PAGES, FaultKind.BODY, FaultKind.DONE_STATUS, FaultKind.DROPPED)
number = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([-40, -1, 0, 0, 1, 5, 13, 14, 15, 60, 400])),
    st.tuples(st.just("edit"), number),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("move"), st.tuples(number, st.sampled_from([-3, 0, 2, 14, 15, 29, 300]))),
    st.tuples(
        st.just("fail"),
        st.tuples(
            st.sampled_from([k for k in FaultKind if k not in SLOW + SPECIAL]), st.integers(0, 4)
        ),
    ),
    st.tuples(st.just("sync"), st.booleans()),
)


class History:
    """What happens to one list, at Brex and here."""

    def __init__(self, engine: sa.Engine) -> None:
        self.rig = Rig(engine, create_empty_world())
        self.truth = self.rig.world.collection("card_transactions")
        self.names = count()

    def add(self, back: int) -> None:
        name = f"k{next(self.names):03d}"
        self.truth.add(spent(name, day(self.rig.world, back), amount=back))

    def edit(self, at: int) -> None:
        if key := self._key(at):
            self.truth.edit(key, description=f"edit {next(self.names)}")

    def delete(self, at: int) -> None:
        if key := self._key(at):
            self.truth.delete(key)

    def move(self, how: tuple[int, int]) -> None:
        if key := self._key(how[0]):
            self.truth.edit(key, posted_at_date=day(self.rig.world, how[1]))

    def fail(self, how: tuple[FaultKind, int]) -> None:
        self.rig.faults.add(Fault(kind=how[0], times=4, after=how[1]))

    def sync(self, full: bool) -> None:
        report = self.rig.sync("card_transactions", pages=3, full=full)
        self.rig.faults.clear()
        assert not self.rig.gone() & set(self.truth.rows().ids), "a live row was marked deleted"
        if report.finished:
            self.agrees_within_the_overlap()

    def agrees_within_the_overlap(self) -> None:
        first = day(self.rig.world, 14)
        here = self.rig.rows(
            "SELECT id, description, posted_at_date::text FROM brex.card_transactions "
            "WHERE _deleted_at IS NULL AND posted_at_date >= :first",
            first=first,
        )
        there = {
            (t["id"], t["description"], t["posted_at_date"])
            for t in self.truth.items()
            if t["posted_at_date"] >= first
        }
        waiting = {key for (key,) in self.rig.rows("SELECT key FROM brex_sync.missing_rows")}
        assert {row for row in here if row[0] not in waiting} == there

    def _key(self, at: int) -> str | None:
        ids: list[str] = self.truth.rows().ids
        return ids[at % len(ids)] if ids else None


@settings(max_examples=15)
@given(st.lists(step, min_size=4, max_size=14))
def test_every_history_ends_in_equality(emptied: Callable[[], sa.Engine], steps: Any) -> None:
    live_through(History(emptied()), steps)


@pytest.mark.history
@pytest.mark.timeout(3600)
@settings(max_examples=300)
@given(st.lists(step, min_size=4, max_size=20))
def test_many_histories_end_in_equality(emptied: Callable[[], sa.Engine], steps: Any) -> None:
    live_through(History(emptied()), steps)


def live_through(history: History, steps: Any) -> None:
    for back in range(0, 28, 4):
        history.add(back)
    for kind, value in steps:
        getattr(history, kind)(value)
    history.rig.faults.clear()
    report = history.rig.sync("card_transactions", pages=3, full=True, accept_deletions=True)
    assert report.finished
    assert_equal(history.rig, "card_transactions")
