"""Any order of changes, failures and syncs ends in equality, and no live row is ever marked."""

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brex_sync.sandbox import World
from brex_sync.sandbox.faults import Fault, Kind
from brex_sync.warehouse.database import open_warehouse
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import day, spent
from brex_sync_tests.engine.truth import assert_equal

number = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.just("add"), st.sampled_from([-40, -1, 0, 0, 1, 5, 13, 14, 15, 60, 400])),
    st.tuples(st.just("edit"), number),
    st.tuples(st.just("delete"), number),
    st.tuples(st.just("move"), number),
    st.tuples(st.just("fail"), st.sampled_from([k for k in Kind if k not in (
        Kind.HANG, Kind.DELAY, Kind.SMALL_PAGES, Kind.BODY)])),
    st.tuples(st.just("sync"), st.booleans()),
)  # fmt: skip


def apply(rig: Rig, kind: str, value: Any, names: Any) -> None:
    truth = rig.world.collection("card_transactions")
    ids = truth.rows().ids
    if kind == "add":
        truth.add(spent(f"k{next(names):03d}", day(rig.world, value)))
    elif kind == "fail":
        rig.faults.add(Fault(kind=value, times=4, after=1))
    elif kind == "sync":
        rig.sync("card_transactions", pages=3, full=value)
        rig.faults.clear()
        assert not rig.gone() & set(truth.rows().ids), "a live row was marked deleted"
    elif ids:
        key = ids[value % len(ids)]
        if kind == "edit":
            truth.edit(key, description=f"edit {next(names)}")
        elif kind == "delete":
            truth.delete(key)
        else:
            truth.edit(key, posted_at_date=day(rig.world, value))


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=4, max_size=14))
def test_every_history_ends_in_equality(new_database: Callable[[], str], steps: Any) -> None:
    engine = open_warehouse(new_database())
    rig = Rig(engine, World.empty())
    names = count()
    for i in range(7):
        apply(rig, "add", i * 4, names)
    for kind, value in steps:
        apply(rig, kind, value, names)
    rig.faults.clear()
    report = rig.sync("card_transactions", pages=3, full=True, accept_deletions=True)
    assert report.finished
    assert_equal(rig, "card_transactions")
    assert not rig.gone() & rig.live()
    engine.dispose()
