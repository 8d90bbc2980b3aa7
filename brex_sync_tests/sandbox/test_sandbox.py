"""The sandbox behaves like Brex where it matters, and is the same every time."""

import base64
import json
from datetime import date
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app, create_world
from brex_sync.sandbox.api.endpoints import ENDPOINTS
from brex_sync.sandbox.app import REMEMBERED, TokenPermissions
from brex_sync_tests.sandbox.asking import get

DAY = date(2026, 3, 10)
CARDS = "/v2/transactions/card/primary"


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(today=DAY, card_transactions=250)


@pytest.fixture
def app(world: World) -> Any:
    return create_app(world)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, second, other = (create_world(s, DAY, card_transactions=50) for s in (7, 7, 8))
    bodies = [w.collection("card_transactions").rows().bodies for w in (first, second, other)]
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]


def test_every_endpoint_has_something_to_show(world: World) -> None:
    read = {e.collection for e in ENDPOINTS}
    attached = {d.attached for e in ENDPOINTS for d in e.details if d.attached}
    assert len(read) > 30
    assert [name for name in sorted(read | attached) if not len(world.collection(name))] == []


def test_lists_come_in_envelopes_and_card_accounts_as_an_array(app: Any) -> None:
    assert set(get(app, CARDS).json()) == {"items", "next_cursor"}
    assert isinstance(get(app, "/v2/accounts/card").json(), list)
    assert get(app, CARDS).headers["X-Brex-Trace-Id"]


def test_pages_follow_each_other_by_offset_and_cover_the_list(app: Any, world: World) -> None:
    seen, cursor = [], None
    while True:
        params = {"limit": "60"} | ({"cursor": cursor} if cursor else {})
        answer = get(app, CARDS, params=params).json()
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        assert json.loads(base64.b64decode(cursor))["offset"] == len(seen)
    assert seen == world.collection("card_transactions").rows().ids


def test_a_new_row_shifts_the_pages_after_it() -> None:
    world = create_world(today=DAY, card_transactions=20)
    app = create_app(world)
    first = get(app, CARDS, params={"limit": "5"}).json()
    newest = first["items"][0] | {"id": "new"}
    world.collection("card_transactions").add(newest)
    again = get(app, CARDS, params={"limit": "5", "cursor": first["next_cursor"]}).json()
    assert again["items"][0]["id"] == first["items"][-1]["id"]


def test_limits_are_enforced(app: Any) -> None:
    assert len(get(app, CARDS).json()["items"]) == 100
    assert get(app, CARDS, params={"limit": "1001"}).status_code == 400
    assert "cursor" in get(app, CARDS, params={"cursor": "!"}).json()["message"]


def test_users_who_left_are_listed_only_when_asked_for(app: Any) -> None:
    plain = get(app, "/v2/users", params={"limit": "1000"}).json()["items"]
    hidden = get(app, "/v2/users", params={"status[]": ["DELETED", "ARCHIVED"]}).json()["items"]
    assert not {u["status"] for u in plain} & {"DELETED", "ARCHIVED"}
    assert len(hidden) == 3
    assert len(plain) + len(hidden) == 64


def test_credentials_are_refused_as_brex_refuses_them(world: World) -> None:
    tokens = {
        "some": TokenPermissions(frozenset({"users.readonly"})),
        "norole": TokenPermissions(roles=False),
    }
    app = create_app(world, tokens=tokens)
    assert get(app, "/v2/users", token=None).status_code == 401
    assert "Token" in get(app, "/v2/users", token="other").json()["message"]
    assert get(app, "/v2/users", token="some").status_code == 200
    assert "scope" in get(app, "/v2/cards", token="some").json()["message"]
    assert get(app, "/v2/accounts/cash", token="norole").status_code == 401


def test_the_rate_limit_answers_429_with_retry_after(world: World) -> None:
    app = create_app(world, rate_limit=2)
    answers = [get(app, "/v2/users/me") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60


def test_faults_and_the_truth_can_be_steered_from_outside() -> None:
    app = create_app(create_world(today=DAY, card_transactions=5))
    fault = {"kind": "status", "status": 503}
    get(app, "/_sandbox/faults", method="POST", json=fault)
    assert [get(app, CARDS).status_code for _ in range(2)] == [503, 200]
    key = get(app, CARDS).json()["items"][0]["id"]
    change = {"collection": "card_transactions", "edit": key, "changes": {"description": "new"}}
    get(app, "/_sandbox/edit", method="POST", json=change)
    assert get(app, CARDS).json()["items"][0]["description"] == "new"
    removal = {"collection": "users", "delete": "cuuser_00001"}
    get(app, "/_sandbox/edit", method="POST", json=removal)
    assert get(app, "/v2/users/cuuser_00001").status_code == 404
    assert get(app, "/_sandbox/requests").json()[0]["status"] == 503


def test_the_log_of_requests_is_bounded(world: World) -> None:
    requests = create_app(world).state.requests
    requests.extend(range(REMEMBERED + 5))
    assert len(requests) == REMEMBERED


def test_a_card_transaction_page_is_the_stored_bytes(app: Any, world: World) -> None:
    bodies = world.collection("card_transactions").rows().bodies
    page = get(app, CARDS, params={"limit": "1000"}).content
    assert page == b'{"items":[' + b",".join(bodies) + b'],"next_cursor":null}'
