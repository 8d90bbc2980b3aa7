"""What is listed before it is acted upon: each once, though rows move from page to page."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.errors import BadInputs
from brex_sync_tests.workflows.conftest import Desk

RUN = "0d9d1c1e-6f0c-4f5e-9c53-0d3a4bb4a001"
LOCKS = [("POST", f"/v2/cards/c{number}/lock") for number in (1, 2)]
DISABLE = ("PUT", "/v2/users/leaver")
Listing = Sequence[Sequence[tuple[str, str]]]
"""Pages of cards: their ids and states."""


class Pages:
    """Stands before the sandbox and lists cards as told; the last listing comes for ever."""

    def __init__(self, desk: Desk, *listings: Listing) -> None:
        self.listings, self.listed = list(listings), 0
        self._app = desk.rig.app
        desk.rig.wrap = lambda _: self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/v2/cards" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        number = int(query.partition("cursor=")[2].partition("&")[0] or 0)
        if number == 0:
            self.listed += 1
        pages = self.listings[min(self.listed, len(self.listings)) - 1]
        items = [{"id": key, "status": status} for key, status in pages[number]]
        following = str(number + 1) if number + 1 < len(pages) else None
        body = json.dumps({"items": items, "next_cursor": following}).encode()
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


OPEN_1, OPEN_2 = ("c1", "ACTIVE"), ("c2", "ACTIVE")


@pytest.mark.parametrize(
    ("listings", "locked"),
    [
        ([[[OPEN_1, OPEN_2]]], LOCKS),
        ([[[OPEN_1, OPEN_2, OPEN_1]]], LOCKS),
        ([[[OPEN_1, OPEN_2], [OPEN_2]]], LOCKS),
        ([[[OPEN_1], [OPEN_1], [OPEN_2, OPEN_1]]], LOCKS),
        ([[[OPEN_1, OPEN_2], [("c1", "TERMINATED")]]], LOCKS[1:]),
        ([[[("c1", "LOCKED"), OPEN_2], [OPEN_1]]], LOCKS),
        ([[[OPEN_1], []], [[OPEN_1, OPEN_2], []]], LOCKS),
        ([[[OPEN_1], [("c3", "LOCKED")]], [[OPEN_2], [("c3", "LOCKED")]]], LOCKS),
    ],
    ids=["once", "twice on a page", "over two pages", "over three", "ended meanwhile",
         "opened meanwhile", "slipped between pages", "slipped, and another the second time"],
)  # fmt: skip
def test_each_card_is_acted_upon_once(
    desk: Desk, leaver: str, listings: list[Listing], locked: list[tuple[str, str]]
) -> None:
    Pages(desk, *listings)
    outcome = desk.perform("offboard-user", user_id=leaver)
    assert outcome.error is None
    assert sorted(desk.did()[:-1]) == locked
    assert desk.did()[-1] == DISABLE


def test_a_list_in_one_page_is_asked_for_once(desk: Desk, leaver: str) -> None:
    pages = Pages(desk, [[OPEN_1]])
    assert desk.perform("offboard-user", user_id=leaver).error is None
    assert pages.listed == 1


def test_a_list_that_never_stands_still_is_not_acted_upon(desk: Desk, leaver: str) -> None:
    Pages(desk, *([[(f"d{n}", "ACTIVE")], [OPEN_1]] for n in range(9)))
    outcome = desk.perform("offboard-user", RUN, user_id=leaver)
    assert outcome.error == (
        "list cards: GET /v2/cards: rows moved from page to page in each of 5 readings"
    )
    assert not outcome.refused
    assert not desk.did()
    desk.rig.wrap = lambda app: app
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [*LOCKS, DISABLE]


def test_a_run_that_an_earlier_version_stopped_at_a_card_listed_twice_goes_on(
    desk: Desk, leaver: str
) -> None:
    Pages(desk, [[OPEN_1, OPEN_2]])
    refused = '{"type": "FORBIDDEN", "message": "no scope"}'
    from brex_sync.sandbox.faults import Fault, FaultKind

    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=403, body=refused)
    )
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is not None
    twice = [{"id": key, "status": "ACTIVE"} for key in ("c1", "c2", "c1")]
    with desk.rig.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE brex_sync.workflow_steps SET kept = cast(:kept AS jsonb) "
                "WHERE step = 'list cards'"
            ),
            {"kept": json.dumps(twice)},
        )
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [*LOCKS, DISABLE]


def test_a_line_given_twice_is_one_and_two_memos_for_one_expense_are_refused(desk: Desk) -> None:
    found = desk.rig.world.collection("expenses").items()
    key = next(e["id"] for e in found if e["expense_type"] == "CARD")
    one, other = ({"expense_id": key, "memo": memo} for memo in ("Taxi", "Lunch"))
    with pytest.raises(BadInputs, match=f"memos: {key} has several memos"):
        desk.asked("set-memos", memos=[one, other])
    assert desk.perform("set-memos", memos=[one, one]).error is None
    assert desk.did() == [("PUT", f"/v1/expenses/card/{key}")]
