"""Whatever Brex answers: a stream recovers or says why not, and no live row is lost or marked."""

from typing import Any

import pytest

from brex_sync.sandbox.faults import Fault, Kind
from brex_sync_tests.engine.items import day, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
PASSING = [
    Fault(Kind.STATUS, CARDS, status=429, headers={"Retry-After": "0"}),
    Fault(Kind.STATUS, CARDS, status=500, body="oops"),
    Fault(Kind.STATUS, CARDS, status=503, after=1),
    Fault(Kind.HTML, CARDS, after=1),
    Fault(Kind.TRUNCATED, CARDS, after=2),
    Fault(Kind.EMPTY, CARDS),
    Fault(Kind.NO_ITEMS, CARDS, after=1),
    Fault(Kind.NULL_ITEMS, CARDS, after=1),
    Fault(Kind.BODY, CARDS, body='{"items":[{"id":NaN}]}'),
    Fault(Kind.EXPIRED_CURSOR, CARDS, after=2),
    Fault(Kind.HANG, CARDS, after=1),
    Fault(Kind.SMALL_PAGES, CARDS, limit=3, times=None),
]
LASTING = [k for k in Kind if k not in (Kind.DELAY, Kind.SMALL_PAGES, Kind.STATUS, Kind.BODY)]


def again(fault: Fault, **changes: Any) -> Fault:
    """A fault of one's own, since they are used up."""
    names = ("kind", "path", "times", "after", "status", "body", "headers", "limit", "seconds")
    return Fault(**{name: getattr(fault, name) for name in names} | changes)


@pytest.mark.parametrize("fault", PASSING, ids=lambda f: f"{f.kind}-{f.status}-{f.after}")
def test_a_passing_fault_is_survived(rig: Any, fault: Fault) -> None:
    spend(rig, 30)
    rig.faults.add(again(fault))
    report = rig.sync("card_transactions", pages=10)
    assert report.finished, report.failed
    assert_equal(rig, "card_transactions")
    assert rig.gone() == set()


@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("after", [0, 2])
def test_a_lasting_fault_fails_its_stream_alone_and_the_next_run_heals(
    rig: Any, kind: Kind, after: int
) -> None:
    spend(rig, 30)
    rig.world.collection("users").add(person("u1"))
    rig.sync("card_transactions", "users", pages=10)
    spend(rig, 5, prefix="new")
    rig.world.collection("users").add(person("u2"))
    rig.faults.add(Fault(kind, CARDS, times=None, after=after))
    report = rig.sync("card_transactions", "users", pages=5, full=True)
    broken = report.streams["card_transactions"]
    assert broken.error
    assert CARDS in broken.error or "JSON" in broken.error
    assert report.streams["users"].error is None
    assert rig.live("users") == {"u1", "u2"}
    assert rig.gone() == set()
    assert len(rig.live()) >= 30
    rig.faults.clear()
    assert rig.sync("card_transactions", pages=10).finished
    assert_equal(rig, "card_transactions")


def test_a_missing_scope_makes_one_stream_unavailable_and_says_so(company: Any) -> None:
    company.faults.add(
        Fault(Kind.STATUS, "/v2/cards", times=None, status=403, body='{"message":"No scope x"}')
    )
    report = company.sync()
    assert [s.stream for s in report.failed] == ["cards"]
    assert "No scope x" in str(report.streams["cards"].error)
    assert report.streams["cards"].requests == 1


@pytest.mark.parametrize("left", [0, 20])
def test_a_list_that_shrinks_too_much_marks_nothing_until_it_is_accepted(
    rig: Any, left: int
) -> None:
    keys = spend(rig, 40)
    rig.sync("card_transactions")
    for key in keys[left:]:
        rig.world.collection("card_transactions").delete(key)
    report = rig.sync("card_transactions", full=True).streams["card_transactions"]
    assert rig.gone() == set()
    assert report.withheld == 40 - left
    assert str(40 - left) in str(report.doubt)
    report = rig.sync("card_transactions", full=True, accept_deletions=True)
    assert report.streams["card_transactions"].deleted == 40 - left
    assert rig.live() == set(keys[:left])


def test_ten_deleted_rows_are_within_the_guard_and_eleven_are_not(rig: Any) -> None:
    keys = spend(rig, 30)
    rig.sync("card_transactions")
    for key in keys[:10]:
        rig.world.collection("card_transactions").delete(key)
    assert rig.sync("card_transactions", full=True).streams["card_transactions"].deleted == 10
    for key in keys[10:21]:
        rig.world.collection("card_transactions").delete(key)
    assert rig.sync("card_transactions", full=True).streams["card_transactions"].withheld == 11


def test_users_who_leave_are_known_as_such_and_not_called_deleted_rows(rig: Any) -> None:
    for i in range(4):
        rig.world.collection("users").add(person(f"u{i}"))
    rig.sync("users")
    rig.world.collection("users").edit("u1", status="DELETED")
    rig.world.collection("users").edit("u2", status="ARCHIVED")
    rig.sync("users")
    assert rig.gone("users") == set()
    assert_equal(rig, "users")


def test_a_row_missing_from_the_list_is_asked_for_by_its_id_before_it_is_called_gone(
    rig: Any,
) -> None:
    for i in range(3):
        rig.world.collection("users").add(person(f"u{i}"))
    rig.sync("users")
    rig.world.collection("users").edit("u1", status="VANISHING")
    whole = '{"items":[],"next_cursor":null}'
    rig.faults.add(Fault(Kind.BODY, "/v2/users", times=2, body=whole))
    rig.sync("users")
    assert rig.gone("users") == set()
    assert rig.one("SELECT status FROM brex.users WHERE id = 'u1'") == "VANISHING"


def test_a_deleted_row_that_comes_back_is_revived(rig: Any) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    item = rig.world.collection("card_transactions").get("t0002")
    rig.world.collection("card_transactions").delete("t0002")
    rig.sync("card_transactions")
    assert rig.gone() == {"t0002"}
    rig.world.collection("card_transactions").add(item)
    rig.sync("card_transactions")
    assert rig.gone() == set()
    assert_equal(rig, "card_transactions")


@pytest.mark.parametrize("full", [False, True])
def test_a_row_that_slips_past_while_another_is_deleted_is_never_marked(
    rig: Any, full: bool
) -> None:
    """Deleting a row of page one while page two is awaited moves a row back, unseen."""
    keys = spend(rig, 12)
    rig.sync("card_transactions")
    victims = iter(keys[:3])

    def shrinking(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if b"cursor" not in scope["query_string"] and (victim := next(victims, None)):
                rig.world.collection("card_transactions").delete(victim)

        return inner

    rig.wrap = shrinking
    rig.sync("card_transactions", pages=5, full=full)
    truth = set(rig.world.collection("card_transactions").rows().ids)
    assert not rig.gone() & truth
    rig.wrap = lambda app: app
    rig.sync("card_transactions", pages=5, full=True)
    assert_equal(rig, "card_transactions")


def test_a_row_back_dated_out_of_the_window_is_not_marked_deleted(rig: Any) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.delete("t0001")
    truth.add(spent("t0001", day(rig.world, 200)))
    rig.sync("card_transactions")
    assert "t0001" not in rig.gone()
