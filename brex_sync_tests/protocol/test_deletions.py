"""Rows that Brex lists no more are marked once that is proved, and no live row ever is."""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from brex_sync.sandbox.faults import Fault, Kind
from brex_sync_tests.conftest import Rig

CARDS = "/v2/transactions/card/primary"


def newest(rig: Rig, n: int = 1) -> list[str]:
    return rig.world.collection("card_transactions").rows().ids[:n]


def test_a_deletion_inside_the_overlap_shows_on_the_next_run(company: Rig) -> None:
    company.sync(pages=50)
    [key] = newest(company)
    company.world.collection("card_transactions").delete(key)
    report = company.sync(pages=50)
    assert company.gone() == {key}
    assert report.streams["card_transactions"].deleted == 1
    [(changed,)] = company.rows(
        "SELECT _changed_at = _deleted_at FROM brex.card_transactions WHERE id = :k", k=key
    )
    assert changed


def test_a_row_that_comes_back_is_revived(company: Rig) -> None:
    users = company.world.collection("users")
    item = users.get("cuuser_00050")
    assert item is not None
    company.sync("users")
    users.delete("cuuser_00050")
    company.sync("users")
    assert company.gone("users") == {"cuuser_00050"}
    users.add(item)
    company.sync("users")
    assert company.gone("users") == set()


def test_archived_users_are_not_deleted(company: Rig) -> None:
    company.sync("users")
    company.world.collection("users").edit("cuuser_00030", status="ARCHIVED")
    company.sync("users")
    assert company.gone("users") == set()
    assert company.one("SELECT status FROM brex.users WHERE id = 'cuuser_00030'") == "ARCHIVED"


def test_a_row_only_re_dated_out_of_the_window_stays(company: Rig) -> None:
    company.sync(pages=50)
    [key] = newest(company)
    company.world.collection("card_transactions").edit(key, posted_at_date="2025-12-31")
    company.sync(pages=50)
    assert company.gone() == set()
    posted = company.one("SELECT posted_at_date FROM brex.card_transactions WHERE id = :k", k=key)
    assert str(posted) == "2025-12-31"


def test_when_too_many_vanish_none_is_marked_until_a_person_says_so(company: Rig) -> None:
    company.sync()
    collection = company.world.collection("cards")
    for key in list(collection.rows().ids)[:40]:
        collection.delete(key)
    report = company.sync()
    assert company.gone("cards") == set()
    assert "40 of 96 rows are missing at once" in (report.streams["cards"].doubt or "")
    assert company.one("SELECT withheld FROM brex_sync.checkpoints WHERE stream = 'cards'") == 40
    company.sync("cards", full=True, accept_deletions=True)
    assert len(company.gone("cards")) == 40


def test_an_emptied_list_marks_nothing(company: Rig) -> None:
    company.sync()
    before = company.live("users")
    company.faults.add(
        Fault(Kind.BODY, "/v2/users", times=None, body='{"items":[],"next_cursor":null}')
    )
    company.sync()
    assert company.live("users") == before


class DeletesWhilePaging:
    """Removes the first listed transaction after each page of the list, `times` times."""

    def __init__(self, app: ASGIApp, rig: Rig, times: int) -> None:
        self.app, self.rig, self.times = app, rig, times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
        if scope["path"] == CARDS and self.times > 0:
            self.times -= 1
            rows = self.rig.world.collection("card_transactions")
            rows.delete(rows.rows().ids[0])


def test_a_row_that_slips_past_between_pages_is_never_marked(company: Rig) -> None:
    company.sync(pages=50)
    company.wrap = lambda app: DeletesWhilePaging(app, company, times=3)
    company.sync(pages=50, full=True)
    truth = {t["id"] for t in company.world.collection("card_transactions").items()}
    assert not company.gone() & truth
    company.wrap = lambda app: app
    company.sync(pages=50, full=True)
    assert company.live() == truth


def test_while_the_list_keeps_changing_nothing_is_marked(company: Rig) -> None:
    company.sync(pages=50)
    company.wrap = lambda app: DeletesWhilePaging(app, company, times=10_000)
    report: Any = company.sync("card_transactions", pages=100, full=True)
    truth = {t["id"] for t in company.world.collection("card_transactions").items()}
    assert not company.gone() & truth
    assert report.streams["card_transactions"].doubt
