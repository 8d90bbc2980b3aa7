"""Events worked off: each is a hint to fetch rows again, whatever it says and however it comes."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.brex.client import Patience
from brex_sync.errors import MalformedEvent
from brex_sync.runtime.events import process_events
from brex_sync.sandbox.faults import Fault, FaultKind, Faults
from brex_sync.streams import EVENT_TABLES, STREAMS
from brex_sync.warehouse.events import inbox
from brex_sync.warehouse.events.inbox import TRIES
from brex_sync.warehouse.workflows import waits
from brex_sync.webhooks.events import EVENT_TYPES
from brex_sync.webhooks.processing import BATCH_SECONDS
from brex_sync_tests.conftest import REFUSED
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.webhooks.conftest import SECRET, Office, told

NOBODY = told("USER_UPDATED", user_id="cuuser_99999")


@pytest.fixture(autouse=True)
def _known(office: Office) -> None:
    office.know(SECRET)


def payment(version: int, status: str = "PENDING", **more: Any) -> bytes:
    fields = {
        "expense_id": "expense_1",
        "payment_status": status,
        "payment_type": "PURCHASE",
        "company_id": "cuacc_1",
        "purchased_at": "2026-03-01T10:00:00Z",
        "billing_amount": {"amount": 9007199254740993, "currency": "JPY"},
        "original_amount": {"amount": 1234, "currency": "USD"},
        "amount": None,
        "payment_description": "Coffee",
        "card_id": "ncard_00000",
        "merchant": {"raw_descriptor": "COFFEE", "mcc": "5814", "country": "USA"},
        "payment_status_reason": "APPROVED",
        "payment_authorization_code": "000123",
        "version": version,
    }
    return told("EXPENSE_PAYMENT_UPDATED", **fields | more)


def test_an_event_brings_its_row_up_to_date(office: Office) -> None:
    office.rig.sync("users")
    office.world.collection("users").edit("cuuser_00001", department_id="dept_0002")
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    assert office.process() == 1
    assert office.events() == [("msg_1", "done", 1, None)]
    assert_equal(office.rig, "users")


def test_a_user_s_event_has_waiting_workflows_looked_at_now(office: Office) -> None:
    with office.rig.engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO brex_sync.workflow_runs "
            "(run_id, connection, workflow, asked_by, state, next_look_at) VALUES "
            "('waits', 'brex', 'invite-user', 'me', 'waiting', now() + interval '1 hour')"
        )
    office.deliver_quietly(told("TRANSFER_FAILED", transfer_id="t1"), "other")
    office.process()
    assert waits.due(office.rig.engine, "brex") == []
    office.deliver_quietly(told("USER_UPDATED", user_id="cuuser_00001"), "accepted")
    office.process()
    assert waits.due(office.rig.engine, "brex") == ["waits"]


def test_every_kind_of_event_has_its_rows_fetched(office: Office) -> None:
    names = ("users", "transfers", "expenses", "accounting_records", "referrals")
    first = {name: office.world.collection(name).rows().ids[0] for name in names}
    bodies = [
        told("USER_UPDATED", user_id=first["users"]),
        told("TRANSFER_PROCESSED", transfer_id=first["transfers"], return_for_id=None),
        payment(1, expense_id=first["expenses"]),
        told(
            "ACCOUNTING_RECORD_READY_FOR_EXPORT", accountingRecordIds=[first["accounting_records"]]
        ),
        told("REFERRAL_CREATED", referral_id=first["referrals"]),
    ]
    for number, body in enumerate(bodies):
        office.deliver(body, f"msg_{number}")
    assert office.process() == len(bodies)
    assert {row[1:] for row in office.events()} == {("done", 1, None)}
    assert {name: office.rig.live(name) for name in names} == {n: {k} for n, k in first.items()}


def test_a_row_that_many_events_tell_of_is_fetched_once(office: Office) -> None:
    for number in range(30):
        body = told("USER_UPDATED", user_id=f"cuuser_0000{number % 3}")
        office.deliver(body, f"msg_{number}")
    before = len(office.rig.requests)
    office.process()
    paths = [r.path for r in list(office.rig.requests)[before:] if r.path.startswith("/v2/users/")]
    assert sorted(paths) == [f"/v2/users/cuuser_0000{n}" for n in range(3)]
    assert office.standing().done == 30


def test_what_brex_has_no_more_is_marked_as_deleted(office: Office) -> None:
    office.rig.sync("transfers")
    key = office.world.collection("transfers").rows().ids[0]
    office.world.collection("transfers").delete(key)
    office.deliver(told("TRANSFER_FAILED", transfer_id=key))
    office.process()
    assert office.rig.gone("transfers") == {key}


def test_an_unknown_kind_is_kept_and_nothing_comes_of_it(office: Office) -> None:
    office.deliver(told("EMBEDDED_FRAUD_ALERT", alert="x"))
    assert office.process() == 1
    note = "nothing is known of events of type EMBEDDED_FRAUD_ALERT"
    assert office.events() == [("msg_1", "done", 1, note)]
    assert office.rig.one("SELECT count(*) FROM brex_sync.webhook_bodies") == 1


def test_a_stream_that_is_not_synced_or_not_to_be_read_gets_no_rows(office: Office) -> None:
    office.settings = office.settings.model_copy(update={"streams": "-transfers"})
    office.rig.sync("users")
    with office.rig.engine.begin() as db:
        db.execute(
            sa.text(
                "INSERT INTO brex_sync.unavailable (connection, stream, reason, since) "
                "VALUES ('brex', 'users', 'no scope', now())"
            )
        )
    office.deliver(told("TRANSFER_FAILED", transfer_id="dptx_00001"), "a")
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"), "b")
    before = len(office.rig.requests)
    office.process()
    assert [row[3] for row in office.events()] == [
        "transfers is not synced",
        "users is unavailable: no scope",
    ]
    assert len(office.rig.requests) == before


def test_a_scope_that_was_lost_ends_the_event_with_what_brex_says(
    office: Office, faults: Faults
) -> None:
    body = json.dumps({"type": "FORBIDDEN", "message": "your role may not see users"})
    faults.add(Fault(FaultKind.STATUS, "/v2/users/*", status=403, body=body))
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    office.process()
    [(_, state, _, note)] = office.events()
    assert state == "done"
    assert "your role may not see users" in note


@pytest.mark.parametrize(
    "body",
    [
        told("USER_UPDATED"),
        told("USER_UPDATED", user_id=7),
        told("USER_UPDATED", user_id=""),
        told("USER_UPDATED", user_id=None),
        told("ACCOUNTING_RECORD_READY_FOR_EXPORT", accountingRecordIds=[]),
        told("ACCOUNTING_RECORD_READY_FOR_EXPORT", accountingRecordIds=[None]),
        told("EXPENSE_PAYMENT_UPDATED", expense_id="e", version="one"),
        told("TRANSFER_FAILED", transfer_id="t", return_for_id={}),
    ],
)
def test_what_does_not_say_what_it_should_is_parked_at_once(office: Office, body: bytes) -> None:
    office.deliver(body, "bad")
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"), "good")
    office.process()
    assert [row[:2] for row in office.events()] == [("bad", "parked"), ("good", "done")]
    [parked] = inbox.parked(office.rig.warehouse)
    assert parked.id == "bad"
    assert parked.note


def test_an_event_that_fails_is_tried_again_later_then_parked_and_holds_up_no_other(
    office: Office, faults: Faults
) -> None:
    faults.add(
        Fault(FaultKind.STATUS, "/v2/users/cuuser_00001", times=None, status=422, body=REFUSED)
    )
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"), "poison")
    office.deliver(told("USER_UPDATED", user_id="cuuser_00002"), "good")
    assert office.process() == 2
    assert office.process() == 0, "it waits"
    for tries in range(1, TRIES):
        assert office.events()[0][:3] == ("poison", "waiting", tries)
        assert office.events()[1][:3] == ("good", "done", 1)
        office.make_due()
        assert office.process() == 1
    [(_, state, tries, note), _] = office.events()
    assert (state, tries) == ("parked", TRIES)
    assert "422" in note
    faults.clear()
    assert inbox.replay(office.rig.warehouse, "poison")
    assert not inbox.replay(office.rig.warehouse, "unheard of")
    assert office.process() == 1
    assert office.events()[0] == ("poison", "done", 1, None)
    assert office.rig.live("users") == {"cuuser_00001", "cuuser_00002"}


def test_waits_between_tries_grow(office: Office, faults: Faults) -> None:
    faults.add(Fault(FaultKind.STATUS, "/v2/users/*", times=None, status=422, body=REFUSED))
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    waits = []
    for _ in range(4):
        office.process()
        waits.append(
            office.rig.one("SELECT round(extract(epoch FROM next_try_at - now()))::int "
                           "FROM brex_sync.webhook_events")
        )  # fmt: skip
        office.make_due()
    assert waits == [pytest.approx(s, abs=1) for s in (5, 10, 20, 40)]


def test_an_outage_is_no_events_fault(office: Office, faults: Faults) -> None:
    faults.add(Fault(FaultKind.HANG, "/v2/users/*", times=None))
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    began = time.monotonic()
    for _ in range(3):
        asyncio.run(
            process_events(office.settings, office.connection, office.rig.warehouse, seconds=0.5)
        )
        office.make_due()
    assert time.monotonic() - began < Patience().deadline, "the time set is kept to"
    assert office.events() == [("msg_1", "waiting", 0, "Brex did not answer in time")]
    faults.clear()
    office.process()
    assert office.standing().done == 1


def test_whoever_dies_over_an_event_leaves_it_to_others_and_not_for_ever(office: Office) -> None:
    office.deliver(NOBODY)
    for tries in range(1, TRIES + 1):
        [taken] = inbox.claim(office.rig.warehouse, 10)
        assert taken.id == "msg_1"
        assert inbox.claim(office.rig.warehouse, 10) == [], "it is someone's"
        assert office.events()[0][1:3] == ("waiting", tries)
        office.make_due()
    assert inbox.claim(office.rig.warehouse, 10) == []
    assert office.events() == [("msg_1", "parked", TRIES, "whoever took it up came to no end")]


def test_several_at_once_share_the_work(office: Office) -> None:
    users = office.world.collection("users").rows().ids
    for number in range(300):
        body = told("USER_UPDATED", user_id=users[number % len(users)])
        office.deliver_quietly(body, f"msg_{number}")
    with ThreadPoolExecutor(3) as pool:
        counts = list(pool.map(lambda _: office.process(), range(3)))
    assert sum(counts) == 300
    assert {row[1:] for row in office.events()} == {("done", 1, None)}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 1)])
@pytest.mark.parametrize("together", [True, False])
def test_an_older_version_of_a_payment_never_takes_the_place_of_a_newer(
    office: Office, order: tuple[int, ...], together: bool
) -> None:
    for version in order:
        status = "DECLINED" if version == 3 else "PENDING"
        office.deliver(payment(version, status), f"msg_{version}")
        if not together:
            office.process()
    office.process()
    assert office.rig.rows(
        "SELECT expense_id, version, payment_status FROM brex.expense_payments"
    ) == [("expense_1", 3, "DECLINED")]
    assert {row[1] for row in office.events()} == {"done"}


def test_a_payments_money_is_exact_and_the_row_is_there_before_the_expense(office: Office) -> None:
    office.deliver(payment(1))
    office.process()
    assert office.rig.rows(
        "SELECT billing_amount_minor, billing_amount::text, billing_amount_currency, "
        "original_amount::text, amount, merchant_mcc, payment_authorization_code, card_id "
        "FROM brex.expense_payments"
    ) == [
        (9007199254740993, "9007199254740993", "JPY", "12.34", None, "5814", "000123",
         "ncard_00000")
    ]  # fmt: skip
    assert office.rig.live("expenses") == set()


def test_a_payment_brings_its_expense_too(office: Office) -> None:
    key = office.world.collection("expenses").rows().ids[0]
    office.deliver(payment(1, expense_id=key))
    office.process()
    assert office.rig.live("expenses") == {key}
    assert office.rig.one("SELECT expense_id FROM brex.expense_payments") == key


def test_characters_that_postgres_cannot_hold_are_replaced(office: Office) -> None:
    office.deliver(payment(1, payment_description="a\x00b\ud800c"))
    office.process()
    shown = office.rig.one("SELECT payment_description FROM brex.expense_payments")
    assert shown == "a\ufffdb\ufffdc"


def test_events_fill_tables_that_no_sync_reads() -> None:
    assert not set(EVENT_TABLES) & set(STREAMS)
    for kind in EVENT_TYPES.values():
        assert kind.stream.item_path
        if kind.table:
            assert (kind.table.event, kind.table.scope) == (kind.name, kind.stream.scope)


def test_ids_are_each_told_once() -> None:
    kind = EVENT_TYPES["TRANSFER_FAILED"]
    body = told("TRANSFER_FAILED", transfer_id="a", return_for_id="b").decode()
    assert kind.keys(body) == ["a", "b"]
    again = told("TRANSFER_FAILED", transfer_id="a", return_for_id="a").decode()
    assert kind.keys(again) == ["a"]
    with pytest.raises(MalformedEvent):
        kind.keys("[]")


def test_a_lease_outlasts_the_work() -> None:
    assert timedelta(seconds=BATCH_SECONDS + 5) < inbox.LEASE
