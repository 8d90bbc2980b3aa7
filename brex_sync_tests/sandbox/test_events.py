"""The sandbox tells subscribers what happens, signed and until they listen."""

import base64
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from brex_sync.http_server import running
from brex_sync.sandbox import World, create_app, create_empty_world, create_world
from brex_sync.sandbox.events.deliveries import sign
from brex_sync.sandbox.events.signing_secrets import list_secrets, revoke_old_secrets, rotate_secret
from brex_sync.sandbox.world.outbox import Conduct, DeliveryMode
from brex_sync_tests.sandbox.hearing import Heard, Receiver, receiving, subscribe
from brex_sync_tests.waiting import HANGS, wait_until

DAY = date(2026, 3, 10)
QUICK = Conduct(first_wait=0.02, growth=1.2, tries=6, late=0.2)
TOKEN = {"Authorization": "Bearer bxt_sandbox"}


@pytest.fixture
def world() -> World:
    world = create_world(today=DAY, card_transactions=80)
    world.events.conduct = QUICK
    return world


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with running(create_app(world)) as url:
        yield url


def signatures(heard: Heard, secret: str) -> str:
    """The signature that the secret makes, by hand."""
    text = f"{heard.id}.{heard.headers['webhook-timestamp']}.".encode() + heard.raw
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the Standard Webhooks specification."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_a_change_through_the_api_is_told_signed(
    world: World, url: str, receiver: Receiver
) -> None:
    hook = {"url": receiver.url, "event_types": ["USER_UPDATED"]}
    with httpx.Client(base_url=url, headers=TOKEN | {"Idempotency-Key": "a"}) as client:
        assert client.post("/v1/webhooks", json=hook).status_code == 200
        change = {"department_id": "dept_0005", "status": "DISABLED"}
        headers = {"Idempotency-Key": "b"}
        assert client.put("/v2/users/cuuser_00001", json=change, headers=headers).is_success
        secrets = client.get("/v1/webhooks/secrets").json()
    wait_until(lambda: len(receiver.heard) == 1)
    [heard] = receiver.heard
    assert heard.body == {
        "event_type": "USER_UPDATED",
        "user_id": "cuuser_00001",
        "company_id": "cuacc_northwind",
        "updated_attributes": ["STATUS", "DEPARTMENT_ID"],
    }
    assert [s["status"] for s in secrets] == ["ACTIVE"]
    assert heard.headers["webhook-signature"] == signatures(heard, secrets[0]["secret"])
    assert abs(int(heard.headers["webhook-timestamp"]) - time.time()) < 5


def test_only_active_subscriptions_to_the_kind_of_event_are_told(
    world: World, url: str, receiver: Receiver
) -> None:
    subscribe(world, receiver.url, "TRANSFER_FAILED")
    subscribe(world, receiver.url, "USER_UPDATED", status="INACTIVE")
    world.collection("users").edit("cuuser_00001", manager_id=None)
    world.collection("users").edit("cuuser_00001", title_id="title_0001")
    last = world.emit("TRANSFER_FAILED", transfer_id="dptx_00001")
    wait_until(lambda: bool(receiver.heard))
    assert receiver.ids() == [last.id]
    assert [e.type for e in world.events.emitted] == ["USER_UPDATED", "TRANSFER_FAILED"]


def test_transfers_and_records_are_told_when_they_get_there(world: World) -> None:
    for start, end in (("PROCESSING", "PROCESSED"), ("PROCESSED", "FAILED")):
        transfer = world.collection("transfers").items()[0] | {"id": end, "status": start}
        world.collection("transfers").add(transfer)
        world.collection("transfers").edit(end, status=end)
        world.collection("transfers").edit(end, description="Late")
    record = world.collection("accounting_records").items()[0]
    world.collection("accounting_records").add(record | {"id": "a", "review_status": "PREPARE"})
    world.collection("accounting_records").edit("a", review_status="READY_FOR_EXPORT")
    assert [event.type for event in world.events.emitted] == [
        "TRANSFER_PROCESSED",
        "TRANSFER_PROCESSED",
        "TRANSFER_FAILED",
        "ACCOUNTING_RECORD_READY_FOR_EXPORT",
    ]


def test_items_that_lack_a_state_are_no_event() -> None:
    world = create_empty_world()
    for name in ("users", "transfers", "accounting_records"):
        world.collection(name).add({"id": "odd"})
        world.collection(name).edit("odd", description="still odd")
    assert world.events.emitted == []


def test_an_event_is_sent_again_under_its_id_until_it_is_taken(
    world: World, url: str, receiver: Receiver
) -> None:
    receiver.statuses = [500, 404, 302]
    key = subscribe(world, receiver.url, "TRANSFER_FAILED")
    event = world.emit("TRANSFER_FAILED", transfer_id="dptx_00001")
    wait_until(lambda: len(world.events.attempts) == 4)
    assert receiver.ids() == [event.id] * 4
    told = [(a.subscription_id, a.number, a.status) for a in world.events.attempts]
    assert told == [(key, 1, 500), (key, 2, 404), (key, 3, 302), (key, 4, 204)]
    waits = [b.at - a.at for a, b in zip(receiver.heard, receiver.heard[1:], strict=False)]
    assert min(waits) >= QUICK.first_wait


def test_a_receiver_that_stays_down_is_given_up_and_the_server_ends(world: World) -> None:
    subscribe(world, "http://127.0.0.1:9/hook", "TRANSFER_FAILED")
    with running(create_app(world)):
        world.emit("TRANSFER_FAILED", transfer_id="dptx_00001")
        wait_until(lambda: len(world.events.attempts) == QUICK.tries)
        world.events.conduct = Conduct(first_wait=3600)
        world.emit("TRANSFER_FAILED", transfer_id="dptx_00002")
        wait_until(lambda: len(world.events.attempts) == QUICK.tries + 1)
        began = time.monotonic()
    assert time.monotonic() - began < HANGS
    assert {a.error for a in world.events.attempts} == {"ConnectError"}
    assert [a.accepted for a in world.events.attempts] == [False] * (QUICK.tries + 1)


def test_nothing_is_sent_to_another_machine(world: World, url: str) -> None:
    subscribe(world, "https://hooks.example/brex", "TRANSFER_FAILED")
    world.emit("TRANSFER_FAILED", transfer_id="dptx_00001")
    wait_until(lambda: bool(world.events.attempts))
    time.sleep(QUICK.first_wait * 3)
    [attempt] = world.events.attempts
    assert attempt.status is None
    assert "this machine alone" in attempt.error


def test_a_rotated_secret_signs_beside_the_old_one_until_that_is_revoked(
    world: World, url: str, receiver: Receiver
) -> None:
    subscribe(world, receiver.url, "USER_UPDATED")
    [old] = list_secrets(world, "ACTIVE")
    new = rotate_secret(world, "whsec_")
    assert list_secrets(world, "ACTIVE") == [new]
    assert list_secrets(world, "PENDING_REVOKE") == [old]
    assert new.startswith("whsec_")
    world.emit("USER_UPDATED", user_id="cuuser_00001")
    wait_until(lambda: len(receiver.heard) == 1)
    revoke_old_secrets(world)
    world.emit("USER_UPDATED", user_id="cuuser_00001")
    wait_until(lambda: len(receiver.heard) == 2)
    first, second = receiver.heard
    both = f"{signatures(first, new)} {signatures(first, old)}"
    assert first.headers["webhook-signature"] == both
    assert second.headers["webhook-signature"] == signatures(second, new)
    assert list_secrets(world, "REVOKED") == [old]


def test_events_go_astray_as_the_seed_says(world: World, url: str, receiver: Receiver) -> None:
    share = 0.1
    world.events.conduct = Conduct(
        dropped=share, doubled=share, reordered=share, delayed=share, late=0.3, first_wait=0.05
    )
    subscribe(world, receiver.url, "TRANSFER_PROCESSED")
    events = [world.emit("TRANSFER_PROCESSED", transfer_id=str(n)) for n in range(200)]
    fates = Counter(event.fate for event in events)
    assert [e.fate for e in events] == [world.events.conduct.fate(n) for n in range(1, 201)]
    assert all(8 <= fates[f] <= 40 for f in DeliveryMode if f is not DeliveryMode.PLAIN)
    expected = {
        e.id: {DeliveryMode.DROPPED: 0, DeliveryMode.DOUBLED: 2}.get(e.fate, 1)
        for e in events
    }  # fmt: skip
    wait_until(lambda: len(receiver.heard) >= sum(expected.values()))
    time.sleep(0.2)
    assert Counter(receiver.ids()) == Counter(expected)
    first_heard = list(dict.fromkeys(receiver.ids()))
    assert first_heard != sorted(first_heard)


def test_a_live_world_tells_of_purchases_and_people_without_being_asked(
    receiver: Receiver,
) -> None:
    now = [datetime(2026, 3, 10, 12, tzinfo=UTC)]
    world = create_world(today=DAY, card_transactions=80, live=True, clock=lambda: now[0])
    subscribe(world, receiver.url, "EXPENSE_PAYMENT_UPDATED")
    now[0] += timedelta(minutes=5)
    with running(create_app(world)):
        wait_until(lambda: len(receiver.heard) > 20)
    bodies = [heard.body for heard in receiver.heard]
    assert {body["payment_status"] for body in bodies} == {"PENDING"}
    for body in bodies:
        expense = world.collection("expenses").get(body["expense_id"])
        assert expense
        assert body["version"] >= 1
        assert body["amount"] == expense["billing_amount"]
    kinds = {event.type for event in world.events.emitted}
    assert kinds > {"USER_UPDATED", "TRANSFER_PROCESSED", "ACCOUNTING_RECORD_READY_FOR_EXPORT"}


def test_another_process_steers_events_by_the_door(
    world: World, url: str, receiver: Receiver
) -> None:
    subscribe(world, receiver.url, "EXPENSE_PAYMENT_UPDATED", "USER_UPDATED")
    expense = world.collection("expenses").rows().ids[0]
    with httpx.Client(base_url=f"{url}/_sandbox/") as door:

        def turn(what: str, **wish: Any) -> Any:
            return door.post(what, json=wish).raise_for_status().json()

        turn("conduct", doubled=1.0)
        doubled = turn("emit", event_type="USER_UPDATED", user_id="cuuser_00001")["id"]
        turn("conduct", doubled=0.0)
        bought = turn("purchase", expense_id=expense, version=3)["id"]
        wait_until(lambda: len(receiver.heard) == 3)
        assert Counter(receiver.ids()) == Counter([doubled, doubled, bought])
        secret = turn("secrets", prefix="whsec_")["secret"]
        assert list_secrets(world, "ACTIVE") == [secret]
        turn("secrets", rotate=False)
        assert list_secrets(world, "PENDING_REVOKE") == []
        events = door.get("events").json()
        assert [e["id"] for e in events] == [doubled, bought]
        assert events[1]["body"]["version"] == 3
        wait_until(lambda: len(door.get("attempts").json()) >= 3)
        assert door.get("writes").json() == []
        assert door.post("conduct", json={"no_such": 1}).status_code == 400
        assert door.get("nothing").status_code == 404
