"""Whatever happens at Brex and on the way: after one reconciliation the tables equal the truth, and
the past of every row is what the row was, in order, without overlaps, and ends in what it is."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brex_sync.sandbox import create_empty_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import day, person, spent
from brex_sync_tests.engine.truth import assert_equal

EDITED = {"users": "last_name", "card_transactions": "description"}
TABLES = tuple(EDITED)
OTHERS = (
    FaultKind.HANG,
    FaultKind.DELAY,
    FaultKind.SMALL_PAGES,
    FaultKind.BODY,
    FaultKind.DONE_STATUS,
    FaultKind.DROPPED,
)
FAULTS = [k for k in FaultKind if k not in OTHERS]

table = st.sampled_from(TABLES)
number = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.just("add"), table, st.sampled_from([0, 0, 1, 5, 14, 15, 60, 400])),
    st.tuples(st.just("edit"), table, number),
    st.tuples(st.just("back"), table, number),
    st.tuples(st.just("delete"), table, number),
    st.tuples(st.just("revive"), table, number),
    st.tuples(st.just("move"), st.just("card_transactions"), number),
    st.tuples(st.just("fail"), st.sampled_from(FAULTS), st.integers(0, 4)),
    st.tuples(st.just("sync"), st.sampled_from(["", "full", "backfill", "compare"]), number),
    st.tuples(st.just("later"), st.just(""), st.sampled_from([1, 8, 40])),
)


class Company:
    """A world that remembers every state each of its rows was in; None where it was deleted."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.names = count()
        self.states: dict[tuple[str, str], list[Any]] = defaultdict(list)

    def apply(self, kind: str, what: Any, value: Any) -> None:
        if kind == "fail":
            self.rig.faults.add(Fault(kind=what, times=3, after=value))
        elif kind == "later":
            self.rig.later += timedelta(days=value)
        elif kind == "sync":
            self.rig.sync(*TABLES, pages=3, **({what: True} if what else {}))
            self.rig.faults.clear()
            for name in TABLES:
                live = set(self.rig.world.collection(name).rows().ids)
                assert not self.rig.gone(name) & live, "a live row was marked deleted"
        else:
            self.change(kind, what, value)

    def change(self, kind: str, name: str, value: int) -> None:
        truth = self.rig.world.collection(name)
        ids = truth.rows().ids
        if kind == "add":
            key = f"{name[0]}{next(self.names):03d}"
            posted = day(self.rig.world, value)
            truth.add(person(key) if name == "users" else spent(key, posted))
        elif kind == "revive":
            gone = [k for (n, k), states in self.states.items() if n == name and not states[-1]]
            if not gone:
                return
            key = gone[value % len(gone)]
            truth.add(self.states[name, key][-2])
        elif not ids:
            return
        else:
            key = ids[value % len(ids)]
            self.alter(kind, name, key, value)
        self.states[name, key].append(truth.get(key))

    def alter(self, kind: str, name: str, key: str, value: int) -> None:
        truth = self.rig.world.collection(name)
        if kind == "delete":
            truth.delete(key)
        elif kind == "edit":
            truth.edit(key, **{EDITED[name]: f"edit {next(self.names)}"})
        elif kind == "move":
            truth.edit(key, posted_at_date=day(self.rig.world, value))
        else:
            truth.edit(key, **self.states[name, key][0])

    def assert_the_past_is_whole(self) -> None:
        for name in TABLES:
            held = {
                key: (raw, gone)
                for key, raw, gone in self.rig.rows(
                    f"SELECT id, _raw, _deleted_at IS NOT NULL FROM brex.{name}"
                )
            }
            versions: dict[str, list[Any]] = defaultdict(list)
            for key, *version in self.rig.rows(
                "SELECT id, _raw, _valid_from, _valid_to, _changed_columns "
                f"FROM brex_history.{name} ORDER BY id, _valid_from"
            ):
                versions[key].append(version)
            if name == "users":
                assert set(versions) == set(held)
            for key, past in versions.items():
                assert_in_order(past)
                raw, gone = held[key]
                assert (past[-1][2] is not None) is gone
                assert past[-1][0] == raw
                assert is_within(was(past), iter(self.states[name, key])), (name, key)


def assert_in_order(past: list[Any]) -> None:
    assert past[0][3] is None
    for (_, began, ended, _), (_, then, _, changed) in pairwise(past):
        assert began < ended <= then, "versions overlap"
        assert changed
        assert (ended < then) is ("_deleted_at" in changed), "a gap, but only while it was gone"


def was(past: list[Any]) -> Iterator[Any]:
    """What a row was by its versions, one state after another; None where it was gone."""
    for (raw, _, ended, _), following in zip(past, [*past[1:], None], strict=True):
        yield raw
        if ended is not None and (following is None or following[1] > ended):
            yield None


def is_within(states: Iterator[Any], truth: Iterator[Any]) -> bool:
    """Whether the states come in the truth in their order, others between them or not."""
    return all(state in truth for state in states)


@settings(max_examples=10)
@given(st.lists(step, min_size=6, max_size=24))
def test_every_history_is_kept_and_ends_in_equality(
    emptied: Callable[[], sa.Engine], steps: Any
) -> None:
    live_through(Company(Rig(emptied(), create_empty_world())), steps)


@pytest.mark.history
@pytest.mark.timeout(3600)
@settings(max_examples=150)
@given(st.lists(step, min_size=6, max_size=24))
def test_many_histories_are_kept_and_end_in_equality(
    emptied: Callable[[], sa.Engine], steps: Any
) -> None:
    live_through(Company(Rig(emptied(), create_empty_world())), steps)


def live_through(company: Company, steps: Any) -> None:
    for i in range(5):
        company.apply("add", "users", 0)
        company.apply("add", "card_transactions", i * 9)
    for kind, what, value in steps:
        company.apply(kind, what, value)
    company.rig.faults.clear()
    report = company.rig.sync(*TABLES, pages=3, compare=True, accept_deletions=True)
    assert report.finished, report.failed
    assert_equal(company.rig, *TABLES)
    company.assert_the_past_is_whole()
    again = company.rig.sync(*TABLES, pages=3, compare=True)
    assert {str(s.differed) for s in again.streams.values()} == {"nothing differed"}
