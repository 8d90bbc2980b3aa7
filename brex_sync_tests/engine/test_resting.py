"""Lists per row of another stream that rest: read when their row changes, and all once a day."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.warehouse.load import deletions
from brex_sync.warehouse.status.runs import status
from brex_sync_tests.engine.items import person
from brex_sync_tests.engine.truth import assert_equal

STREAMS_THAT_REST = ("bookings", "user_limits")
DAY = timedelta(days=1)


def limit(amount: int) -> Any:
    money = {"amount": amount, "currency": "USD"}
    return {"monthly_limit": money, "monthly_available": money}


def asked(rig: Any, tail: str) -> set[str]:
    """The rows whose lists, at paths that end so, were asked for since requests were cleared."""
    paths = [r.path.split("/") for r in rig.requests]
    found = [path[-2] for path in paths if path[-1] == tail]
    assert len(found) == len(set(found)), "asked for twice"
    return set(found)


def ended_long_ago(trip: Any, now: datetime) -> bool:
    over = trip["ends_at"] or trip["starts_at"]
    return over is not None and datetime.fromisoformat(over) < now - timedelta(days=14)


def touch(rig: Any, trip: str) -> None:
    stamp = f"{rig.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rig.world.collection("trips").edit(trip, name="Changed", updated_at=stamp)


def edit_somewhere(rig: Any, table: str, parents: set[str], **changes: Any) -> None:
    """Changes a row in each of some lists, as Brex does: without a sign elsewhere."""
    rows = rig.world.collection(table)
    for parent in parents:
        for key in rows.rows(parent).ids[:1]:
            rows.edit(key, **changes)


def people(rig: Any, *keys: str) -> None:
    for i, key in enumerate(keys):
        rig.world.collection("users").add(person(key))
        rig.world.collection("user_limits").add_raw(key, "", json.dumps(limit(100 + i)).encode())


def leave(rig: Any, key: str) -> None:
    rig.world.collection("users").delete(key)
    rig.world.collection("user_limits").delete(key)


def test_what_a_list_rests_after_are_moments_of_its_row() -> None:
    for stream in STREAMS.values():
        if stream.parent is not None and stream.parent.refresh is not None:
            kinds = {f.name: f.kind for f in STREAMS[stream.parent.stream].fields()}
            assert {kinds.get(name) for name in stream.parent.refresh.after} <= {"timestamptz"}


@pytest.mark.whole
def test_a_run_reads_the_lists_of_rows_that_changed_and_of_trips_that_go_on(company: Any) -> None:
    trips = company.world.collection("trips").items()
    over = {t["id"] for t in trips if ended_long_ago(t, company.now())}
    going_on = {t["id"] for t in trips} - over
    changed = min(over)
    assert company.sync(*STREAMS_THAT_REST).finished
    assert asked(company, "bookings") == over | going_on
    touch(company, changed)
    company.world.collection("users").edit("cuuser_00007", last_name="Changed")
    edit_somewhere(company, "bookings", {changed, *going_on}, status="CHANGED")
    company.requests.clear()
    assert company.sync(*STREAMS_THAT_REST).finished
    assert asked(company, "bookings") == {changed, *going_on}
    assert 0 < len(going_on) < len(over)
    assert asked(company, "limit") == {"cuuser_00007"}
    assert_equal(company, "trips", "bookings")


@pytest.mark.whole
def test_what_no_row_tells_of_is_there_after_a_day(company: Any) -> None:
    company.sync(*STREAMS_THAT_REST)
    trips = company.world.collection("trips").items()
    over = {t["id"] for t in trips if ended_long_ago(t, company.now())}
    edit_somewhere(company, "bookings", over, status="CHANGED")
    company.world.collection("user_limits").edit("cuuser_00009", **limit(7))
    company.requests.clear()
    company.sync(*STREAMS_THAT_REST)
    assert asked(company, "limit") == set()
    company.later = DAY
    assert company.sync(*STREAMS_THAT_REST).finished
    assert asked(company, "limit") == set(company.world.collection("users").rows().ids)
    assert_equal(company, *STREAMS_THAT_REST)


@pytest.mark.parametrize("option", ["full", "compare"])
def test_a_full_run_and_a_reconciliation_read_every_list(rig: Any, option: str) -> None:
    people(rig, "u1", "u2", "u3")
    rig.sync("user_limits")
    rig.world.collection("user_limits").edit("u2", **limit(7))
    assert rig.sync("user_limits", **{option: True}).finished
    assert_equal(rig, "user_limits")


def test_an_interrupted_run_is_gone_on_with_where_it_was(rig: Any) -> None:
    keys = [f"u{i:02d}" for i in range(20)]
    people(rig, *keys)
    rig.faults.add(
        Fault(FaultKind.STATUS, path="/v2/users/*/limit", after=12, times=None, status=500)
    )
    assert not rig.sync("user_limits").finished
    read = {key for (key,) in rig.rows("SELECT user_id FROM brex.user_limits")}
    assert len(read) == 12
    rig.faults.clear()
    rig.requests.clear()
    assert rig.sync("user_limits").finished
    assert asked(rig, "limit") == set(keys) - read
    assert_equal(rig, "user_limits")


def test_rows_of_lists_that_were_not_read_are_not_called_gone_and_those_of_a_lost_row_are(
    rig: Any,
) -> None:
    people(rig, "u1", "u2", "u3")
    rig.sync("user_limits")
    rig.world.collection("user_limits").delete("u1")
    leave(rig, "u2")
    rig.requests.clear()
    report = rig.sync("user_limits").streams["user_limits"]
    assert asked(rig, "limit") == {"u2"}
    gone = "SELECT user_id FROM brex.user_limits WHERE _deleted_at IS NOT NULL ORDER BY 1"
    assert (report.deleted, rig.rows(gone)) == (1, [("u2",)])
    rig.later = DAY
    rig.sync("user_limits")
    assert rig.rows(gone) == [("u2",)]
    assert_equal(rig, "user_limits")


def test_a_row_that_changes_while_its_list_is_read_has_it_read_again(rig: Any) -> None:
    people(rig, "u1", "u2")
    rename = "UPDATE brex.users SET last_name = 'x', _changed_at = now() WHERE id = 'u1'"

    def changing(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"].endswith("u1/limit"):
                with rig.engine.begin() as db:
                    db.execute(sa.text(rename))
            await app(scope, receive, send)

        return inner

    rig.sync("users")
    rig.wrap = changing
    rig.sync("user_limits")
    rig.wrap = lambda app: app
    rig.requests.clear()
    rig.sync("user_limits")
    # The run set the name right again, which is a change too; the next one has nothing to read.
    assert asked(rig, "limit") == {"u1"}
    rig.requests.clear()
    rig.sync("user_limits")
    assert asked(rig, "limit") == set()


def test_a_list_whose_missing_rows_wait_for_a_decision_does_not_rest(company: Any) -> None:
    bookings = company.world.collection("bookings")
    trip = next(
        t["id"] for t in company.world.collection("trips").items()
        if ended_long_ago(t, company.now()) and bookings.rows(t["id"]).ids
    )  # fmt: skip
    for i in range(20):
        bookings.add({"id": f"more{i}", "trip_id": trip}, trip)
    company.sync("bookings")
    for i in range(20):
        bookings.delete(f"more{i}")
    touch(company, trip)
    assert company.sync("bookings").streams["bookings"].withheld == 20
    company.requests.clear()
    assert company.sync("bookings", accept_deletions=True).streams["bookings"].deleted == 20
    assert trip in asked(company, "bookings")


def test_a_list_does_not_rest_when_a_run_was_killed_before_it_settled_it(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(rig, "u1", "u2")
    rig.sync("user_limits")
    leave(rig, "u1")

    settled = deletions.settle

    def dies(engine: sa.Engine, lease: Any, *found: Any) -> None:
        if lease.slice.parent == "u1":
            raise KeyboardInterrupt
        settled(engine, lease, *found)

    with monkeypatch.context() as patch:
        patch.setattr(deletions, "settle", dies)
        with pytest.raises(KeyboardInterrupt):
            rig.sync("user_limits")
    assert rig.sync("user_limits").streams["user_limits"].deleted == 1


def test_a_stream_is_known_through_the_day_of_its_list_that_rested_longest(rig: Any) -> None:
    people(rig, "u1", "u2", "u3")
    rig.sync("user_limits")
    first = rig.now()
    leave(rig, "u3")
    rig.later = timedelta(hours=22)
    rig.sync("user_limits")
    rig.later = timedelta(hours=23, minutes=30)
    assert rig.sync("user_limits").streams["user_limits"].synced_through == rig.now().date()
    assert_equal(rig, "user_limits")
    stands = status(rig.warehouse, STREAMS["user_limits"])
    assert stands.synced_through == rig.now().date(), "not that of a user who is gone"
    rig.later = timedelta(hours=45)
    rig.world.collection("users").edit("u1", last_name="x")
    through = rig.sync("user_limits").streams["user_limits"].synced_through
    assert through == (first + timedelta(hours=23, minutes=30)).date()
