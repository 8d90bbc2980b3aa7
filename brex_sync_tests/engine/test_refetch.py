"""Single rows fetched again, beside whatever syncs meanwhile."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.streams import STREAMS
from brex_sync.sync.read.refetch import Refetched, can_refetch, refetch
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.state.checkpoints import Slice
from brex_sync_tests.conftest import BREX_URL, SHORT
from brex_sync_tests.engine.items import person
from brex_sync_tests.engine.truth import assert_equal


def fetch(rig: Any, stream: str, *keys: str) -> Refetched:
    async def go() -> Refetched:
        async with BrexClient(
            BrexApi(BREX_URL, lambda: rig.token),
            RateLimiter(),
            SHORT,
            transport=httpx.ASGITransport(rig.app),
        ) as client:
            return await refetch(client, rig.warehouse, STREAMS[stream], keys)

    return asyncio.run(go())


def users(rig: Any) -> Any:
    return rig.world.collection("users")


def test_one_row_is_brought_up_to_date_and_the_others_are_left(rig: Any) -> None:
    for key in ("u1", "u2"):
        users(rig).add(person(key))
    rig.sync("users")
    users(rig).edit("u1", status="DISABLED")
    users(rig).edit("u2", status="DISABLED")
    asked = len(rig.requests)
    done = fetch(rig, "users", "u1", "u1")
    assert (done.counts.updated, done.gone, len(rig.requests) - asked) == (1, (), 1)
    assert rig.rows("SELECT id, status FROM brex.users ORDER BY id") == [
        ("u1", "DISABLED"),
        ("u2", "ACTIVE"),
    ]
    rig.sync("users")
    assert_equal(rig, "users")


def test_a_row_never_seen_lands_and_the_first_sync_still_reads_all(rig: Any) -> None:
    users(rig).add(person("u1"))
    users(rig).add(person("u2"))
    assert fetch(rig, "users", "u2").counts.inserted == 1
    assert rig.live("users") == {"u2"}
    report = rig.sync("users")
    assert report.finished
    assert_equal(rig, "users")


def test_a_row_brex_has_no_more_is_marked_as_deleted(rig: Any) -> None:
    users(rig).add(person("u1"))
    users(rig).add(person("u2"))
    rig.sync("users")
    users(rig).delete("u1")
    assert fetch(rig, "users", "u1", "nobody").gone == ("u1",)
    assert (rig.live("users"), rig.gone("users")) == ({"u2"}, {"u1"})


def test_an_unchanged_row_is_not_written(rig: Any) -> None:
    users(rig).add(person("u1"))
    rig.sync("users")
    before = rig.rows("SELECT xmin, _changed_at FROM brex.users")
    done = fetch(rig, "users", "u1")
    assert (done.counts.inserted, done.counts.updated) == (0, 0)
    assert rig.rows("SELECT xmin, _changed_at FROM brex.users") == before


def test_whoever_holds_the_list_goes_on_holding_it(rig: Any) -> None:
    users(rig).add(person("u1"))
    slice_ = Slice("brex", STREAMS["users"])
    lease = checkpoints.open_lease(rig.warehouse, slice_)
    fetch(rig, "users", "u1")
    with rig.engine.begin() as db:
        checkpoints.committed(db, lease)


def test_what_exists_once_per_parent_is_fetched_by_it(rig: Any) -> None:
    users(rig).add(person("u1"))
    limit = {"monthly_limit": {"amount": 5000, "currency": "USD"}, "monthly_available": None}
    rig.world.collection("user_limits").add_raw("u1", "", json.dumps(limit).encode())
    assert fetch(rig, "user_limits", "u1").counts.inserted == 1
    assert rig.rows("SELECT user_id, monthly_limit_minor FROM brex.user_limits") == [("u1", 5000)]


def test_children_come_and_go_with_their_row(rig: Any) -> None:
    expenses = rig.world.collection("expenses")
    expense = {"id": "e1", "updated_at": "2026-01-01T00:00:00Z", "receipts": [{"id": "r1"}]}
    expenses.add(expense)
    rig.sync("expenses")
    expenses.edit("e1", receipts=[{"id": "r2"}])
    fetch(rig, "expenses", "e1")
    assert_equal(rig, "expenses")


@pytest.mark.parametrize("name", ["users", "cards", "transfers", "expenses", "user_limits"])
def test_rows_that_events_and_writes_concern_can_be_fetched(name: str) -> None:
    assert can_refetch(STREAMS[name])


def test_what_has_no_single_rows_cannot(rig: Any) -> None:
    assert not can_refetch(STREAMS["card_transactions"])
    with pytest.raises(ValueError, match="card_transactions"):
        fetch(rig, "card_transactions", "t1")
