"""The receiver acknowledges what is stored for good, and nothing else."""

import threading
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from brex_sync.http_server import running
from brex_sync.sandbox.events.signing_secrets import (
    ensure_secret,
    list_secrets,
    revoke_old_secrets,
    rotate_secret,
)
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse import credentials
from brex_sync.warehouse.database import open_engine
from brex_sync.webhooks.verify import LARGEST
from brex_sync_tests.sandbox.hearing import subscribe
from brex_sync_tests.waiting import wait_until
from brex_sync_tests.webhooks.conftest import SECRET, Office, signed, told

BODY = told("USER_UPDATED", user_id="cuuser_00001")


def test_a_delivery_is_stored_before_it_is_acknowledged_and_once(office: Office) -> None:
    office.know(SECRET)
    for _ in range(3):
        assert office.post(BODY, signed(BODY)).status_code == 200
    assert office.rig.rows(
        "SELECT id, type, deliveries, state, body FROM brex_sync.webhook_events "
        "JOIN brex_sync.webhook_bodies USING (connection, id)"
    ) == [("msg_1", "USER_UPDATED", 3, "waiting", BODY.decode())]
    standing = office.standing()
    assert (standing.received, standing.verified, standing.waiting) == (3, 1, 1)


def test_a_replay_of_what_is_done_is_acknowledged_and_changes_nothing(office: Office) -> None:
    office.know(SECRET)
    office.deliver(BODY)
    office.process()
    office.deliver(BODY)
    assert office.process() == 0
    assert office.events() == [("msg_1", "done", 1, None)]


def test_refusals_are_told_and_counted_and_nothing_of_them_is_kept(office: Office) -> None:
    office.know(SECRET)
    wrong = signed(BODY) | {"Webhook-Signature": "v1," + "A" * 43 + "="}
    assert office.post(BODY, wrong).status_code == 401
    assert dict(office.reception.refused) == {("brex", "wrong signature"): 1}
    assert office.post(BODY, {}).status_code == 400
    assert office.post(b"[]", signed(b"[]")).status_code == 400
    assert office.post(BODY, signed(BODY, age=400)).status_code == 400
    assert office.events() == []


def test_a_connection_that_there_is_not_is_not_found(office: Office) -> None:
    assert office.post(BODY, signed(BODY), "/webhooks/other").status_code == 404
    assert office.post(BODY, signed(BODY), "/webhooks/").status_code == 404


def test_a_large_body_is_refused_however_it_comes(office: Office) -> None:
    office.know(SECRET)
    body = BODY[:-1] + b' , "x": "' + b"x" * LARGEST + b'"}'
    assert office.post(body, signed(body)).status_code == 413
    just = BODY[:-1] + b', "x": "'
    just += b"x" * (LARGEST - len(just) - 2) + b'"}'
    assert len(just) == LARGEST
    assert office.post(just, signed(just)).status_code == 200


def test_without_the_database_the_sender_is_told_to_come_again(
    office: Office, database_url: str
) -> None:
    office.know(SECRET)
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("ALTER TABLE brex_sync.webhook_events RENAME TO away")
        try:
            assert office.post(BODY, signed(BODY)).status_code == 503
        finally:
            db.execute("ALTER TABLE brex_sync.away RENAME TO webhook_events")
    assert office.post(BODY, signed(BODY)).status_code == 200
    assert [row[0] for row in office.events()] == ["msg_1"]


def test_a_server_that_is_gone_is_no_fault_of_the_sender(office: Office) -> None:
    office.rig.engine = open_engine("postgresql://x@127.0.0.1:9/x?connect_timeout=1")
    assert office.post(BODY, signed(BODY)).status_code == 503


def test_secrets_are_asked_for_when_none_is_known_and_kept_sealed(office: Office) -> None:
    ensure_secret(office.world)
    [secret] = list_secrets(office.world, "ACTIVE")
    assert office.post(BODY, signed(BODY, secret=secret)).status_code == 200
    stored = office.rig.one("SELECT secrets FROM brex_sync.webhook_secrets")
    assert secret not in stored
    asked = len(office.rig.asked("/v1/webhooks/secrets"))
    assert office.post(BODY, signed(BODY, secret=secret)).status_code == 200
    assert len(office.rig.asked("/v1/webhooks/secrets")) == asked == 1


def pass_a_minute(office: Office) -> None:
    with office.rig.engine.begin() as db:
        db.execute(
            sa.text(
                "UPDATE brex_sync.webhook_secrets SET asked_at = asked_at - interval '61 seconds'"
            )
        )


@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_a_change_of_secrets_needs_nobody(office: Office, prefix: str) -> None:
    old = rotate_secret(office.world)
    assert office.post(BODY, signed(BODY, secret=old)).status_code == 200
    new = rotate_secret(office.world, prefix)
    pass_a_minute(office)
    assert office.post(BODY, signed(BODY, "msg_2", secret=new)).status_code == 200
    assert office.post(BODY, signed(BODY, "msg_3", secret=old)).status_code == 200
    revoke_old_secrets(office.world)
    pass_a_minute(office)
    assert office.post(BODY, signed(BODY, "x", secret=SECRET)).status_code == 401
    assert office.post(BODY, signed(BODY, "msg_4", secret=old)).status_code == 401
    assert office.post(BODY, signed(BODY, "msg_5", secret=new)).status_code == 200
    assert len(office.rig.asked("/v1/webhooks/secrets")) == 3


def test_however_many_signatures_are_wrong_brex_is_asked_once_a_minute(office: Office) -> None:
    office.know(SECRET)
    pass_a_minute(office)
    headers = signed(BODY, secret="AAAA" * 8)
    for _ in range(5):
        assert office.post(BODY, headers).status_code == 401
    assert len(office.rig.asked("/v1/webhooks/secrets")) == 1
    pass_a_minute(office)
    assert office.post(BODY, headers).status_code == 401
    assert len(office.rig.asked("/v1/webhooks/secrets")) == 2


def test_what_is_known_is_verified_though_brex_is_down(office: Office, faults: Any) -> None:
    office.know(SECRET)
    faults.add(Fault(FaultKind.HANG, "/v1/webhooks/secrets", times=None))
    assert office.post(BODY, signed(BODY)).status_code == 200
    pass_a_minute(office)
    assert office.post(BODY, signed(BODY, secret="AAAA" * 8)).status_code == 401


def test_one_endpoint_of_a_partner_takes_the_events_of_all_its_companies(office: Office) -> None:
    office.know(SECRET)
    office.others = ("other",)
    with office.rig.engine.begin() as db:
        for name, company in (("brex", "company_1"), ("other", "company_2")):
            credentials.put(
                db, name, configuration="brex", company_id=company, state="CONNECTED",
                state_since=sa.func.now(),
            )  # fmt: skip
    for number, company in enumerate(("company_1", "company_2", "company_3", None)):
        office.deliver(told("USER_UPDATED", user_id="u", company_id=company), f"msg_{number}")
    record = told("ACCOUNTING_RECORD_READY_FOR_EXPORT", companyId="company_2")
    office.deliver(record, "msg_4")
    owners = office.rig.rows("SELECT connection FROM brex_sync.webhook_events ORDER BY id")
    assert [name for (name,) in owners] == ["brex", "other", "brex", "brex", "other"]


HEADERS = st.dictionaries(
    st.sampled_from(
        ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Content-Type", "Content-Encoding",
         "X-Forwarded-For", "Cookie", "Accept"]
    ),
    st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60).map(
        lambda text: text.encode("latin-1").strip()
    ),
)  # fmt: skip


def test_no_headers_and_no_body_end_in_a_5xx(office: Office) -> None:
    office.know(SECRET)
    with running(office.service()) as url, httpx.Client(base_url=url) as client:

        @hypothesis_settings(max_examples=200)
        @given(HEADERS, st.binary(max_size=300), st.booleans(), st.booleans())
        def send(headers: dict[str, bytes], body: bytes, right: bool, over: bool) -> None:
            """Anything at all, or the same under a right signature, in part overwritten."""
            good = {n: v.encode() for n, v in signed(body).items()} if right else {}
            mixed = headers | good if over else good | headers
            answer = client.post("/webhooks/brex", content=body, headers=mixed)
            assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text

        send()


def test_the_service_works_events_off_by_itself_within_seconds(office: Office) -> None:
    office.rig.sync("users")
    with running(office.service()) as url:
        subscribe(office.world, f"{url}/webhooks/brex", "USER_UPDATED")
        office.world.collection("users").edit("cuuser_00001", department_id="dept_0003")
        wait_until(
            lambda: (
                office.rig.one("SELECT department_id FROM brex.users WHERE id = 'cuuser_00001'")
                == "dept_0003"
            ),
            5,
        )
        wrong = httpx.post(f"{url}/webhooks/brex", content=BODY, headers=signed(BODY))
        assert wrong.status_code == 401
        wait_until(lambda: office.standing().refused == 1)
    assert office.standing().done == 1


def test_many_deliveries_at_once_are_each_stored_once(office: Office) -> None:
    office.know(SECRET)
    with running(office.service()) as url:

        def send(number: int) -> None:
            with httpx.Client(base_url=url) as client:
                for at in range(20):
                    headers = signed(BODY, f"msg_{(number * 10 + at) % 100}")
                    assert client.post("/webhooks/brex", content=BODY, headers=headers).is_success

        threads = [threading.Thread(target=send, args=(n,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    standing = office.standing()
    assert (standing.verified, standing.received) == (100, 200)
