"""What a read finds missing is neither forgotten nor called deleted before that is settled."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.sandbox import create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse.load import deletions
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import cash_account, day, paid, spend, spent

CARDS = "/v2/transactions/card/primary"


def transactions(rig: Any) -> Any:
    return rig.world.collection("card_transactions")


def month_later(rig: Any) -> None:
    """A month after a first read, a full one is due; one old row is gone."""
    spend(rig, 80)
    transactions(rig).add(spent("old", day(rig.world, 300)))
    transactions(rig).add(spent("older", day(rig.world, 301)))
    rig.sync("card_transactions")
    transactions(rig).delete("old")
    rig.later = timedelta(days=33)


def fails(rig: Any, after: int) -> None:
    """The month's read, with an outage after so many answers."""
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=None, after=after, status=500))
    assert not rig.sync("card_transactions", pages=10).finished
    rig.faults.clear()


def fails_again(rig: Any) -> None:
    """The month's read, and one that is to confirm it, with an outage while it lists again."""
    rig.sync("card_transactions", pages=10)
    rig.later += timedelta(hours=1)
    fails(rig, after=9)


def killed(rig: Any, **options: Any) -> None:
    """A read, killed when all is read and nothing is settled."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deletions, "settle", dies)
        with pytest.raises(KeyboardInterrupt):
            rig.sync("card_transactions", pages=10, **options)


@pytest.mark.parametrize(
    "stopped",
    [
        pytest.param(lambda rig: fails(rig, after=3), id="while it reads"),
        pytest.param(fails_again, id="while it lists again"),
        pytest.param(killed, id="before it settles"),
    ],
)
def test_what_a_stopped_read_found_missing_the_next_runs_settle(
    rig: Any, stopped: Callable[[Any], None]
) -> None:
    month_later(rig)
    stopped(rig)
    assert rig.gone() == set()
    report = rig.sync_twice("card_transactions", pages=10).streams["card_transactions"]
    assert (rig.gone(), report.withheld, report.doubt) == ({"old"}, 0, None)
    rig.sync("card_transactions", pages=10)
    assert "older" in rig.live()


def test_a_read_that_was_asked_for_and_killed_is_made_up_for(rig: Any) -> None:
    spend(rig, 80)
    rig.sync("card_transactions")
    transactions(rig).delete("t0060")
    killed(rig, full=True)
    rig.later = timedelta(hours=1)
    rig.sync("card_transactions")
    assert rig.gone() == {"t0060"}


def test_a_row_that_could_not_be_asked_for_is_asked_for_again(engine: sa.Engine) -> None:
    rig = Rig(engine, create_world(card_transactions=60))
    rig.sync("expenses")
    expenses = rig.world.collection("expenses")
    oldest = expenses.rows().ids[-1]
    expenses.delete(oldest)
    rig.later = timedelta(days=33)
    rig.faults.add(Fault(FaultKind.STATUS, f"/v1/expenses/{oldest}", times=None, status=500))
    assert not rig.sync("expenses").finished
    rig.faults.clear()
    rig.sync("expenses")
    assert rig.gone("expenses") == {oldest}


def test_a_doubt_stays_until_the_rows_are_found_or_their_deletion_is_accepted(rig: Any) -> None:
    spend(rig, 80)
    rig.sync("card_transactions")
    for n in range(40, 70):
        transactions(rig).delete(f"t{n:04d}")
    report = rig.sync("card_transactions", full=True).streams["card_transactions"]
    assert report.withheld == 30
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.withheld == 30
    assert "30 of 80 rows are missing at once" in str(report.doubt)
    report = rig.sync("card_transactions", accept_deletions=True).streams["card_transactions"]
    assert (report.withheld, report.doubt, len(rig.gone())) == (0, None, 30)


def test_a_doubt_is_laid_when_the_rows_are_found_again(rig: Any) -> None:
    keys = spend(rig, 80)
    rig.sync("card_transactions")
    kept = {key: transactions(rig).get(key) for key in keys[40:70]}
    for key in kept:
        transactions(rig).delete(key)
    rig.sync("card_transactions", full=True)
    for item in kept.values():
        transactions(rig).add(item)
    report = rig.sync("card_transactions", full=True).streams["card_transactions"]
    assert (report.withheld, report.doubt, rig.gone()) == (0, None, set())


def test_a_comparison_tells_of_rows_that_may_be_gone(rig: Any) -> None:
    spend(rig, 80)
    rig.sync("card_transactions")
    for n in range(40, 70):
        transactions(rig).delete(f"t{n:04d}")
    report = rig.sync("card_transactions", compare=True).streams["card_transactions"]
    assert str(report.differed) == "0 missing, 0 stale, 0 gone, 30 not known to be gone"
    assert rig.rows("SELECT gone, withheld FROM brex_sync.reconciliations") == [(0, 30)]


def test_the_guard_counts_the_rows_of_all_lists_of_a_stream(rig: Any) -> None:
    for account in range(30):
        rig.world.collection("cash_accounts").add(cash_account(f"a{account}"))
        paid_once = paid(f"a{account}t", day(rig.world, 1))
        rig.world.collection("cash_transactions").add(paid_once, f"a{account}")
    rig.sync("cash_transactions")
    rig.faults.add(
        Fault(FaultKind.BODY, "/v2/transactions/cash/*", times=None, body='{"items":[]}')
    )
    for hours in (0, 1, 26, 50):
        rig.later = timedelta(hours=hours)
        report = rig.sync("cash_transactions").streams["cash_transactions"]
        assert (report.deleted, report.withheld) == (0, 30)
        assert "30 of 30 rows are missing at once" in str(report.doubt)


def test_a_row_that_slips_past_twice_because_others_move_is_not_called_deleted(rig: Any) -> None:
    spend(rig, 12)
    rig.sync("card_transactions")
    listings = 0

    def wrap(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            nonlocal listings
            begins = scope["path"] == CARDS and b"cursor" not in scope["query_string"]
            listings += begins
            if begins and listings == 2:
                transactions(rig).add(spent("new", day(rig.world, 0)))
            await app(scope, receive, send)
            if begins and listings <= 2:
                moved = transactions(rig).rows().ids[listings - 1]
                transactions(rig).edit(moved, posted_at_date=day(rig.world, 100 + listings))

        return inner

    rig.wrap = wrap
    rig.sync_twice("card_transactions", pages=5, full=True)
    assert listings == 3
    assert rig.gone() == set()
