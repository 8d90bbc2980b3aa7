"""Rows that Brex lists no more are marked once that is proved, and no live row ever is."""

import json
from datetime import timedelta
from typing import Any

import pytest

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.warehouse.status.runs import status
from brex_sync_tests.engine.items import cash_account, day, paid, person, spend, spent
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
NOBODY = '{"items":[],"next_cursor":null}'


def transactions(rig: Any) -> Any:
    return rig.world.collection("card_transactions")


def deleting(rig: Any, times: int) -> Any:
    """Removes the first listed transaction after each answer, so that the others move up."""

    def wrap(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            nonlocal times
            await app(scope, receive, send)
            ids = transactions(rig).rows().ids
            if scope["path"] == CARDS and times > 0 and ids:
                times -= 1
                transactions(rig).delete(ids[0])

        return inner

    return wrap


@pytest.mark.parametrize("pages", [5, None])
def test_a_deletion_inside_the_overlap_shows_once_a_later_run_misses_the_row_too(
    rig: Any, pages: int | None
) -> None:
    keys = spend(rig, 30)
    rig.sync("card_transactions", pages=pages)
    transactions(rig).delete(keys[3])
    for minutes in (0, 1, 4):
        rig.later = timedelta(minutes=minutes)
        report = rig.sync("card_transactions", pages=pages).streams["card_transactions"]
        assert (rig.gone(), report.withheld, report.doubt) == (set(), 1, None)
        assert "a later run decides" in report.notices[0]
    rig.later = timedelta(minutes=6)
    report = rig.sync("card_transactions", pages=pages).streams["card_transactions"]
    assert rig.gone() == {keys[3]}
    assert (report.deleted, report.withheld, report.notices) == (1, 0, [])
    assert_equal(rig, "card_transactions")


def test_a_deletion_before_the_overlap_waits_and_one_on_its_first_day_shows(rig: Any) -> None:
    keys = spend(rig, 20)
    rig.sync("card_transactions")
    transactions(rig).delete(keys[15])
    rig.sync_twice("card_transactions")
    assert rig.gone() == set()
    transactions(rig).delete(keys[14])
    rig.sync_twice("card_transactions")
    assert rig.gone() == {keys[14]}
    rig.sync_twice("card_transactions")
    assert rig.gone() == {keys[14], keys[15]}, "the listing that proves one misses the other"


def test_a_deleted_row_that_comes_back_is_revived(rig: Any) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    item = transactions(rig).get("t0002")
    transactions(rig).delete("t0002")
    rig.sync_twice("card_transactions")
    assert rig.gone() == {"t0002"}
    transactions(rig).add(item)
    rig.sync("card_transactions")
    assert rig.gone() == set()
    assert_equal(rig, "card_transactions")


def test_a_missing_row_that_comes_back_is_as_if_never_missing(rig: Any) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    item = transactions(rig).get("t0002")
    transactions(rig).delete("t0002")
    rig.sync("card_transactions")
    transactions(rig).add(item)
    rig.later = timedelta(hours=1)
    assert rig.sync("card_transactions").streams["card_transactions"].withheld == 0
    transactions(rig).delete("t0002")
    rig.later = timedelta(hours=2)
    rig.sync("card_transactions")
    assert rig.gone() == set(), "missing for the first time again"


@pytest.mark.parametrize("answer", ['{"items":[]}', "[]"])
@pytest.mark.parametrize("runs", [1, 2])
def test_one_odd_answer_marks_nothing_however_few_rows_there_are(
    company: Any, answer: str, runs: int
) -> None:
    """A list that turns empty is doubted for a day, and says so."""
    small = {"card_accounts", "card_statements", "linked_accounts", "cost_centers"}
    read = small | {"card_transactions", "cash_transactions", "cash_statements", "field_values"}
    read |= {"bookings"}
    company.sync(*read)
    live = {name: company.one(f"SELECT count(*) FROM brex.{name}") for name in read}
    odd = {STREAMS[name].path.replace("{id}", "*").replace("{brex_id}", "*") for name in read}
    for path in odd:
        company.faults.add(Fault(FaultKind.BODY, path, times=None, body=answer))
    for _ in range(runs):
        company.later += timedelta(hours=1)
        report = company.sync(*read, full=True)
        assert sum(s.deleted for s in report.streams.values()) == 0
    for name in small & {s.stream for s in report.streams.values() if s.finished}:
        assert live[name] == 0 or report.streams[name].doubt
    company.faults.clear()
    company.later += timedelta(hours=30)
    report = company.sync(*read, full=True)
    assert report.finished
    assert not any(s.withheld or s.doubt for s in report.streams.values())
    assert_equal(company, *read)


@pytest.mark.parametrize("left", [0, 3])
def test_a_list_that_lost_more_than_half_of_its_few_rows_is_doubted_for_a_day(
    rig: Any, left: int
) -> None:
    keys = spend(rig, 8)
    rig.sync("card_transactions")
    for key in keys[left:]:
        transactions(rig).delete(key)
    for hours in (1, 2, 24):
        rig.later = timedelta(hours=hours)
        report = rig.sync("card_transactions").streams["card_transactions"]
        assert (rig.gone(), report.withheld) == (set(), 8 - left)
        assert "more than half" in str(report.doubt)
        assert status(rig.warehouse, STREAMS["card_transactions"]).doubted == 8 - left
    for hours in (26, 50):
        rig.later = timedelta(hours=hours)
        rig.sync("card_transactions")
    assert rig.live() == set(keys[:left])
    assert_equal(rig, "card_transactions")


def test_a_list_read_once_without_ten_of_its_rows_marks_none(rig: Any) -> None:
    keys = spend(rig, 900)
    rig.sync("card_transactions")
    kept = [transactions(rig).get(key) for key in keys[100:110]]
    for item in kept:
        transactions(rig).delete(item["id"])
    assert rig.sync("card_transactions", full=True).streams["card_transactions"].withheld == 10
    for item in kept:
        transactions(rig).add(item)
    rig.later = timedelta(hours=1)
    assert rig.sync("card_transactions").streams["card_transactions"].withheld == 0
    assert rig.gone() == set()


@pytest.mark.parametrize("pages", [3, None])
def test_users_who_leave_are_known_as_such_and_those_brex_does_not_know_are_gone(
    rig: Any, pages: int | None
) -> None:
    users = rig.world.collection("users")
    for i in range(8):
        users.add(person(f"u{i}"))
    rig.sync("users", pages=pages)
    users.edit("u1", status="DELETED")
    users.edit("u2", status="ARCHIVED")
    users.delete("u3")
    rig.sync("users", pages=pages)
    assert rig.gone("users") == {"u3"}
    assert_equal(rig, "users")


def test_a_row_missing_from_the_list_is_asked_for_by_its_id_before_it_is_called_gone(
    rig: Any,
) -> None:
    for i in range(3):
        rig.world.collection("users").add(person(f"u{i}"))
    rig.sync("users")
    rig.world.collection("users").edit("u1", status="VANISHING")
    rig.faults.add(Fault(FaultKind.BODY, "/v2/users", times=2, body=NOBODY))
    report = rig.sync("users").streams["users"]
    assert rig.gone("users") == set()
    assert rig.one("SELECT status FROM brex.users WHERE id = 'u1'") == "VANISHING"
    assert (report.fetched, report.updated, report.deleted) == (3, 1, 0)


def test_when_asking_by_id_fails_nothing_is_marked_and_the_next_run_asks_again(rig: Any) -> None:
    for i in range(3):
        rig.world.collection("users").add(person(f"u{i}"))
    rig.sync("users")
    rig.world.collection("users").delete("u1")
    rig.faults.add(Fault(FaultKind.STATUS, "/v2/users/u1", times=None, status=500))
    assert rig.sync("users").streams["users"].error
    assert rig.gone("users") == set()
    rig.faults.clear()
    rig.sync("users")
    assert rig.gone("users") == {"u1"}


@pytest.mark.parametrize("left", [0, 20])
def test_a_list_that_shrinks_too_much_marks_nothing_until_it_is_accepted(
    rig: Any, left: int
) -> None:
    keys = spend(rig, 40)
    rig.sync("card_transactions")
    for key in keys[left:]:
        transactions(rig).delete(key)
    report = rig.sync("card_transactions", full=True).streams["card_transactions"]
    assert rig.gone() == set()
    assert report.withheld == 40 - left
    assert f"{40 - left} of 40 rows are missing at once" in str(report.doubt)
    assert rig.rows("SELECT listed, held FROM brex_sync.checkpoints") == [(left, left)]
    rig.later = timedelta(days=3)
    assert rig.sync("card_transactions", full=True).streams["card_transactions"].doubt
    report = rig.sync("card_transactions", full=True, accept_deletions=True)
    assert report.streams["card_transactions"].deleted == 40 - left
    assert rig.live() == set(keys[:left])
    assert rig.rows("SELECT * FROM brex_sync.missing_rows") == []


def test_ten_deleted_rows_are_within_the_guard_and_eleven_are_not(rig: Any) -> None:
    keys = spend(rig, 30)
    rig.sync("card_transactions")
    for key in keys[:10]:
        transactions(rig).delete(key)
    twice = rig.sync_twice("card_transactions", full=True)
    assert twice.streams["card_transactions"].deleted == 10
    for key in keys[10:21]:
        transactions(rig).delete(key)
    twice = rig.sync_twice("card_transactions", full=True)
    assert twice.streams["card_transactions"].withheld == 11


@pytest.mark.parametrize("full", [False, True])
def test_a_row_that_slips_past_while_another_is_deleted_is_never_marked(
    rig: Any, full: bool
) -> None:
    """Deleting a row of page one while page two is awaited moves a row up, unseen."""
    spend(rig, 12)
    rig.sync("card_transactions")
    for hours in (1, 2):
        rig.later = timedelta(hours=hours)
        rig.wrap = deleting(rig, times=2)
        rig.sync("card_transactions", pages=5, full=full)
        truth = set(transactions(rig).rows().ids)
        assert not rig.gone() & truth
    rig.wrap = lambda app: app
    rig.later = timedelta(hours=3)
    rig.sync_twice("card_transactions", pages=5, full=True)
    assert_equal(rig, "card_transactions")


def test_while_the_list_keeps_changing_nothing_is_marked(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions")
    rig.wrap = deleting(rig, times=10_000)
    for hours in range(3):
        rig.later = timedelta(hours=hours)
        report = rig.sync("card_transactions", pages=10, full=True).streams["card_transactions"]
        assert not rig.gone() & set(transactions(rig).rows().ids)
    assert report.doubt == "the list kept changing while it was read"
    assert report.withheld


@pytest.mark.parametrize("pages", [3, None])
def test_a_row_dated_back_out_of_the_window_is_not_marked_but_brought_up_to_date(
    rig: Any, pages: int | None
) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    transactions(rig).edit("t0001", posted_at_date=day(rig.world, 200))
    rig.sync_twice("card_transactions", pages=pages)
    assert rig.gone() == set()
    assert_equal(rig, "card_transactions")


def test_a_row_that_turns_unreadable_keeps_its_content_and_is_not_marked(rig: Any) -> None:
    spend(rig, 5)
    rig.sync("card_transactions")
    body = transactions(rig).get("t0002") | {"id": 5}
    transactions(rig).delete("t0002")
    transactions(rig).delete("t0003")
    transactions(rig).add_raw("t0002", day(rig.world, 1), json.dumps(body).encode())
    report = rig.sync_twice("card_transactions").streams["card_transactions"]
    assert rig.gone() == set(), "a row that is missing may be one whose key could not be read"
    assert report.withheld == 2
    assert "could not be read" in str(report.doubt)
    assert "t0002" in rig.live()


def test_a_missing_row_of_one_account_leaves_the_other_accounts_row_alone(rig: Any) -> None:
    for account in ("one", "two"):
        rig.world.collection("cash_accounts").add(cash_account(account))
        rig.world.collection("cash_transactions").add(paid("same", day(rig.world, 1)), account)
        rig.world.collection("cash_transactions").add(
            paid(f"of {account}", day(rig.world, 1)), account
        )
    rig.sync()
    rig.world.collection("cash_transactions").delete("same")
    rig.sync_twice()
    assert_equal(rig, "cash_transactions")
    assert rig.gone("cash_transactions") == {"same"}
    assert len(rig.rows("SELECT 1 FROM brex.cash_transactions WHERE id = 'same'")) == 2


def test_a_row_added_while_its_absence_is_looked_into_lands(rig: Any) -> None:
    """The proof is a listing like any other: what it shows for the first time is stored."""
    spend(rig, 12)
    rig.sync("card_transactions")
    transactions(rig).delete("t0001")
    rig.sync("card_transactions")
    rig.later = timedelta(hours=1)
    asked = 0

    def adding(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            nonlocal asked
            asked += 1
            if asked == 4:
                transactions(rig).add(spent("late", day(rig.world, 0)))
            await app(scope, receive, send)

        return inner

    rig.wrap = adding
    assert rig.sync("card_transactions", pages=5).finished
    assert asked > 4
    assert rig.gone() == {"t0001"}
    assert_equal(rig, "card_transactions")
