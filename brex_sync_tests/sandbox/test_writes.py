"""The sandbox lets itself be changed through the API, as Brex would."""

import asyncio
from datetime import date
from typing import Any

import httpx
import pytest

from brex_sync.http_server import running
from brex_sync.sandbox import Fault, Faults, World, create_app, create_world
from brex_sync.sandbox.app import TokenPermissions
from brex_sync.sandbox.faults import FaultKind
from brex_sync_tests.sandbox.asking import get, ids

DAY = date(2026, 3, 10)
ADA = {"first_name": "Ada", "last_name": "Byron", "email": "ada@northwind.example"}
OWNER = {"type": "USER", "user_id": "cuuser_00003"}
VIRTUAL = {"owner": OWNER, "card_name": "Tools", "card_type": "VIRTUAL", "limit_type": "USER"}
LIMITED = VIRTUAL | {
    "limit_type": "CARD",
    "spend_controls": {
        "spend_limit": {"amount": 50_000, "currency": "USD"},
        "spend_duration": "MONTHLY",
    },
}
PHYSICAL = VIRTUAL | {"card_type": "PHYSICAL", "mailing_address": {"line1": "1 High Street"}}


@pytest.fixture
def world() -> World:
    return create_world(today=DAY, card_transactions=60)


@pytest.fixture
def app(world: World) -> Any:
    return create_app(world, rate_limit=None)


def write(app: Any, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
    """One write, under a key where one is given."""
    headers = {"Idempotency-Key": key} if key else {}
    return get(app, path, method=method, json=body, headers=headers)


def refusal(answer: httpx.Response) -> str:
    """The message of a 400 as Brex words them."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["X-Brex-Trace-Id"]
    assert set(answer.json()) == {"type", "message"}
    return str(answer.json()["message"])


def test_somebody_is_invited_and_then_listed(app: Any) -> None:
    made = write(app, "POST", "/v2/users", ADA | {"department_id": "dept_0001"}).json()
    assert made["status"] == "INVITED"
    assert get(app, f"/v2/users/{made['id']}").json() == made
    assert ids(app, "/v2/users", **{"email[]": ADA["email"]}) == [made["id"]]
    assert get(app, f"/v2/users/{made['id']}/limit").json()["monthly_limit"] is None


def test_the_same_email_is_invited_once(app: Any) -> None:
    assert write(app, "POST", "/v2/users", ADA).status_code == 200
    again = write(app, "POST", "/v2/users", ADA | {"email": "ADA@northwind.example"})
    assert "already exists" in refusal(again)


@pytest.mark.parametrize("missing", sorted(ADA))
def test_an_invitation_needs_names_and_an_address(app: Any, missing: str) -> None:
    body = {name: value for name, value in ADA.items() if name != missing}
    assert missing in refusal(write(app, "POST", "/v2/users", body))


@pytest.mark.parametrize("field", ["manager_id", "department_id", "location_id", "title_id"])
def test_references_must_exist(app: Any, field: str) -> None:
    assert "nobody" in refusal(write(app, "POST", "/v2/users", ADA | {field: "nobody"}))
    assert "nobody" in refusal(write(app, "PUT", "/v2/users/cuuser_00003", {field: "nobody"}))


def test_an_update_changes_what_it_names_and_nothing_else(app: Any) -> None:
    before = get(app, "/v2/users/cuuser_00003").json()
    changes = {"status": "DISABLED", "location_id": None}
    after = write(app, "PUT", "/v2/users/cuuser_00003", changes | {"first_name": "Eve"}).json()
    assert after == before | changes
    assert get(app, "/v2/users/cuuser_00003").json() == after
    refused = write(app, "PUT", "/v2/users/cuuser_00003", {"status": "DELETED"})
    assert "DELETED" in refusal(refused)
    assert write(app, "PUT", "/v2/users/nobody", {}).status_code == 404


def test_a_limit_is_set_and_taken_away(app: Any) -> None:
    path = "/v2/users/cuuser_00003/limit"
    limit = {"amount": 70_000, "currency": "USD"}
    set_ = write(app, "POST", path, {"monthly_limit": limit}).json()
    assert set_ == {"monthly_limit": limit, "monthly_available": limit}
    assert get(app, path).json() == set_
    write(app, "POST", path, {"monthly_limit": None})
    assert get(app, path).json()["monthly_limit"] is None


@pytest.mark.parametrize("kind", ["departments", "locations", "titles"])
def test_places_are_made(app: Any, kind: str) -> None:
    made = write(app, "POST", f"/v2/{kind}", {"name": "Orbit", "description": "Up"}).json()
    assert made["name"] == "Orbit"
    assert ("description" in made) == (kind != "titles")
    assert get(app, f"/v2/{kind}/{made['id']}").json() == made
    assert "name" in refusal(write(app, "POST", f"/v2/{kind}", {}))


def test_a_card_needs_a_key_and_is_issued_once_under_it(app: Any, world: World) -> None:
    assert "Idempotency-Key" in refusal(write(app, "POST", "/v2/cards", LIMITED))
    made = write(app, "POST", "/v2/cards", LIMITED, "k1")
    again = write(app, "POST", "/v2/cards", LIMITED, "k1")
    assert made.content == again.content
    assert ids(app, "/v2/cards", user_id="cuuser_00003").count(made.json()["id"]) == 1
    log = [(w.path, w.key, w.repeated, w.status, w.done) for w in world.writes]
    assert log == [
        ("/v2/cards", None, False, 400, False),
        ("/v2/cards", "k1", False, 200, True),
        ("/v2/cards", "k1", True, 200, False),
    ]
    assert world.writes[1].body == LIMITED


def test_a_key_is_refused_for_another_request(app: Any) -> None:
    assert write(app, "POST", "/v2/cards", VIRTUAL, "k1").status_code == 200
    other = write(app, "POST", "/v2/cards", VIRTUAL | {"card_name": "Ads"}, "k1")
    assert "another request" in refusal(other)
    assert "another request" in refusal(write(app, "POST", "/v2/users", ADA, "k1"))


def test_a_refused_write_may_be_corrected_under_its_key(app: Any) -> None:
    refusal(write(app, "POST", "/v2/cards", VIRTUAL | {"card_type": "GOLD"}, "k1"))
    assert write(app, "POST", "/v2/cards", VIRTUAL, "k1").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        VIRTUAL | {"spend_controls": LIMITED["spend_controls"]},
        LIMITED | {"spend_controls": None},
        VIRTUAL | {"card_type": "PHYSICAL"},
        PHYSICAL | {"mailing_address": {"line1": "x" * 60}},
        VIRTUAL | {"owner": {"type": "USER", "user_id": "nobody"}},
    ],
)
def test_a_card_that_cannot_be_is_refused(app: Any, body: Any) -> None:
    assert refusal(write(app, "POST", "/v2/cards", body, "k1"))


def test_a_user_holds_ten_physical_cards_at_most(app: Any) -> None:
    answers = [write(app, "POST", "/v2/cards", PHYSICAL, f"k{i}") for i in range(11)]
    held = ids(app, "/v2/cards", user_id="cuuser_00003")
    assert len([a for a in answers if a.status_code == 200]) < 11
    assert "10 physical" in refusal(answers[-1])
    assert len(held) >= 10


def test_cards_are_locked_unlocked_and_terminated_for_good(app: Any) -> None:
    card = f"/v2/cards/{write(app, 'POST', '/v2/cards', VIRTUAL, 'k').json()['id']}"
    why = {"reason": "OTHER"}
    assert "locked" in refusal(write(app, "POST", f"{card}/unlock"))
    assert "reason" in refusal(write(app, "POST", f"{card}/lock", {}))
    assert write(app, "POST", f"{card}/lock", why).json()["status"] == "LOCKED"
    assert get(app, card).json()["status"] == "LOCKED"
    assert write(app, "POST", f"{card}/unlock").json()["status"] == "ACTIVE"
    assert write(app, "POST", f"{card}/terminate", why).json()["status"] == "TERMINATED"
    for step in ("lock", "unlock", "terminate"):
        assert "terminated" in refusal(write(app, "POST", f"{card}/{step}", why))
    assert "terminated" in refusal(write(app, "PUT", card, {"metadata": {"a": "b"}}))


def test_a_raised_limit_leaves_what_is_spent_spent(app: Any, world: World) -> None:
    key = write(app, "POST", "/v2/cards", LIMITED, "k").json()["id"]
    card = world.collection("cards").get(key)
    assert card
    spent = card["spend_controls"] | {"spend_available": {"amount": 20_000, "currency": "USD"}}
    world.collection("cards").edit(key, spend_controls=spent)
    more = {"spend_controls": {"spend_limit": {"amount": 80_000, "currency": "USD"}}}
    controls = write(app, "PUT", f"/v2/cards/{key}", more).json()["spend_controls"]
    assert controls["spend_available"]["amount"] == 50_000
    assert controls["spend_duration"] == "MONTHLY"
    both = {
        "allowed_merchant_details": [{"name": "A"}],
        "blocked_merchant_details": [{"name": "B"}],
    }
    refusal(write(app, "PUT", f"/v2/cards/{key}", {"spend_controls": both}))


def test_writes_need_the_scope_to_write(world: World) -> None:
    tokens = {
        "reads": TokenPermissions(frozenset({"users.readonly"})),
        "writes": TokenPermissions(frozenset({"users"})),
    }
    app = create_app(world, tokens=tokens)
    assert get(app, "/v2/users", method="POST", json=ADA, token="reads").status_code == 403
    assert get(app, "/v2/users", method="POST", json=ADA, token=None).status_code == 401
    assert world.writes == []
    assert get(app, "/v2/users", method="POST", json=ADA, token="writes").status_code == 200


def test_what_is_no_json_is_refused(app: Any) -> None:
    answer = get(app, "/v2/users", method="POST", content=b"{")
    assert refusal(answer)


def test_a_write_can_be_done_and_answered_as_a_failure(world: World) -> None:
    faults = Faults(Fault(FaultKind.DONE_STATUS, "/v2/users", method="POST", status=500))
    app = create_app(world, faults=faults)
    assert get(app, "/v2/users").status_code == 200
    assert write(app, "POST", "/v2/users", ADA, "k1").status_code == 500
    assert write(app, "POST", "/v2/users", ADA, "k1").json()["email"] == ADA["email"]
    assert [w.repeated for w in world.writes] == [False, True]


def test_a_late_answer_is_the_answer(world: World) -> None:
    app = create_app(world, faults=Faults(Fault(FaultKind.DELAY, seconds=0.01)))
    answer = write(app, "POST", "/v1/expenses/card/receipt_match", {"receipt_name": "a.pdf"})
    assert answer.status_code == 201
    assert set(answer.json()) == {"id", "uri"}


def test_a_write_can_be_refused_without_being_done(world: World) -> None:
    app = create_app(world, faults=Faults(Fault(FaultKind.STATUS, "/v2/users", status=503)))
    assert write(app, "POST", "/v2/users", ADA).status_code == 503
    assert world.writes == []


def test_a_key_in_flight_twice_is_done_once(world: World) -> None:
    app = create_app(world, faults=Faults(Fault(FaultKind.DELAY, "/v2/cards", seconds=0.2)))
    headers = {"Authorization": "Bearer bxt_sandbox", "Idempotency-Key": "k1"}

    async def both(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            posts = (client.post("/v2/cards", json=VIRTUAL) for _ in range(5))
            return await asyncio.gather(*posts)

    with running(app) as url:
        answers = asyncio.run(both(url))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [w.done for w in world.writes].count(True) == 1


def test_a_connection_can_drop_once_the_write_is_done(world: World) -> None:
    app = create_app(world, faults=Faults(Fault(FaultKind.DROPPED, "/v2/users")))
    headers = {"Authorization": "Bearer bxt_sandbox", "Idempotency-Key": "k1"}
    with running(app) as url, httpx.Client(base_url=url, headers=headers) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/v2/users", json=ADA)
        assert client.post("/v2/users", json=ADA).status_code == 200
    assert [w.done for w in world.writes] == [True, False]
