"""The sandbox takes and answers writes as Brex's OpenAPI documents say."""

import json
import re
from datetime import date
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app, create_world, emit_purchase
from brex_sync.sandbox.writes import WRITES
from brex_sync.sandbox.writes.declare import WriteEndpoint
from brex_sync_tests.sandbox.asking import get
from brex_sync_tests.sandbox.schemas import FOLDER, documented_events, documented_writes

DAY = date(2026, 3, 10)
MONEY = {"amount": 90_000, "currency": "USD"}
ADDRESS = {"line1": "1 High Street", "city": "Reno", "state": "NV", "country": "US"}
WHY = {"reason": "FRAUD", "description": "Stolen"}
CONTROLS = {"spend_limit": MONEY, "spend_duration": "MONTHLY", "reason": "Tools"}
OWNER = {"type": "USER", "user_id": "cuuser_00001"}
WAYS = [
    {
        "details": {
            "type": "ACH",
            "routing_number": "121145349",
            "account_number": "1",
            "account_type": "CHECKING",
            "account_class": "BUSINESS",
        }
    },
    {
        "details": {
            "type": "DOMESTIC_WIRE",
            "routing_number": "121145349",
            "account_number": "1",
            "address": ADDRESS,
        }
    },
    {"details": {"type": "CHEQUE", "mailing_address": ADDRESS, "recipient_name": "Orbit"}},
]
LIMIT = {
    "name": "Tools",
    "period_recurrence_type": "PER_MONTH",
    "authorization_settings": {
        "base_limit": MONEY,
        "authorization_type": "HARD",
        "rollover_refresh_rate": "OFF",
    },
    "expense_visibility": "SHARED",
    "authorization_visibility": "PUBLIC",
    "limit_increase_setting": "ENABLED",
    "spend_type": "BUDGET_PROVISIONED_CARDS_ONLY",
    "auto_transfer_cards_setting": "DISABLED",
    "auto_create_limit_cards_setting": "DISABLED",
    "expense_policy_id": "policy_0001",
    "member_user_ids": ["cuuser_00001"],
}
BUDGET = {
    "name": "Tools",
    "description": "For tools",
    "parent_budget_id": "budget_0000",
    "period_recurrence_type": "MONTHLY",
    "amount": MONEY,
}
HOOK = {"url": "https://hooks.example/brex", "event_types": ["USER_UPDATED"]}

BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v2/users"): {"first_name": "Ada", "last_name": "Byron", "email": "a@b.example"},
    ("PUT", "/v2/users/{}"): {"status": "DISABLED"},
    ("POST", "/v2/users/{}/limit"): {"monthly_limit": MONEY},
    ("POST", "/v2/departments"): {"name": "Orbit", "description": "Up"},
    ("POST", "/v2/locations"): {"name": "Orbit", "description": "Up"},
    ("POST", "/v2/titles"): {"name": "Pilot"},
    ("POST", "/v2/cards"): {
        "owner": OWNER,
        "card_name": "Tools",
        "card_type": "PHYSICAL",
        "limit_type": "CARD",
        "spend_controls": CONTROLS,
        "mailing_address": ADDRESS,
        "metadata": {"a": "b"},
    },
    ("PUT", "/v2/cards/{}"): {"spend_controls": {"spend_limit": MONEY}},
    ("POST", "/v2/cards/{}/lock"): WHY,
    ("POST", "/v2/cards/{}/unlock"): None,
    ("POST", "/v2/cards/{}/terminate"): WHY,
    ("POST", "/v1/vendors"): {"company_name": "Orbit", "payment_accounts": WAYS},
    ("PUT", "/v1/vendors/{}"): {"email": "a@b.example", "payment_accounts": WAYS[:1]},
    ("DELETE", "/v1/vendors/{}"): None,
    ("PUT", "/v1/expenses/card/{}"): {"memo": "Nails"},
    ("POST", "/v1/expenses/card/receipt_match"): {"receipt_name": "a.pdf"},
    ("POST", "/v1/expenses/card/{}/receipt_upload"): {"receipt_name": "a.pdf"},
    ("POST", "/v2/budgets"): BUDGET,
    ("PUT", "/v2/budgets/{}"): {"amount": MONEY},
    ("POST", "/v2/budgets/{}/archive"): None,
    ("POST", "/v2/spend_limits"): LIMIT,
    ("PUT", "/v2/spend_limits/{}"): {"transaction_limit": MONEY},
    ("POST", "/v2/spend_limits/{}/archive"): None,
    ("POST", "/v1/fields"): {"name": "Orbit", "group": "ACCOUNTING"},
    ("POST", "/v1/fields/{}/values"): {"items": [{"value": "Moon"}, {"value": "Mars"}]},
    ("POST", "/v3/accounting/records/export-results"): {
        "results": [
            {"accounting_record_id": "accr_ready", "success": {"reference_id": "1"}},
            {"accounting_record_id": "accr_other", "failure": {"error_message": "No such account"}},
        ]
    },
    ("POST", "/v1/webhooks"): HOOK,
    ("PUT", "/v1/webhooks/{}"): HOOK | {"status": "INACTIVE"},
    ("DELETE", "/v1/webhooks/{}"): None,
    ("POST", "/v1/webhooks/groups"): {"name": "Some"},
}
IDS = {
    "users": "cuuser_00003",
    "cards": "ncard_locked",
    "vendors": "pdcont_00001",
    "expenses": "expense_card",
    "budgets": "budget_0001",
    "spend_limits": "spend_limit_0001",
    "fields": "field_0000",
    "webhooks": "wsub_0001",
}
NOT_OFFERED = {("POST", "/v1/transfers"), ("POST", "/v1/incoming_transfers")}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="Brex's OpenAPI documents are absent")


def named(method: str, path: str) -> tuple[str, str]:
    """An operation whatever the parameters in its path are called."""
    return method, re.sub(r"{\w+}", "{}", path)


TOLD = {named(method, told.path): told for method, told in documented_writes()}
TAKEN = {named(write.method, write.path): write for write in WRITES}
OFFERED = sorted(TAKEN.keys() - NOT_OFFERED)


def prepared() -> World:
    """A world with something for every write."""
    world = create_world(today=DAY, card_transactions=100)
    card = next(c for c in world.collection("cards").newest() if c["limit_type"] == "CARD")
    world.collection("cards").add(card | {"id": "ncard_locked", "status": "LOCKED"})
    expense = world.collection("expenses").items()[0]
    world.collection("expenses").add(expense | {"id": "expense_card", "expense_type": "CARD"})
    record = world.collection("accounting_records").items()[0]
    for key in ("accr_ready", "accr_other"):
        ready = {"id": key, "review_status": "READY_FOR_EXPORT"}
        world.collection("accounting_records").add(record | ready)
    return world


def send(app: Any, write: WriteEndpoint, body: Any, key: str | None = "k") -> Any:
    """The write with an id of its own collection."""
    path = re.sub(r"{\w+}", IDS.get(write.path.split("/")[2], ""), write.path)
    headers = {"Idempotency-Key": key} if key else {}
    return get(app, path, method=write.method, json=body, headers=headers)


def test_every_write_is_documented_and_every_one_offered_has_an_example() -> None:
    assert TAKEN.keys() <= TOLD.keys()
    assert BODIES.keys() == set(OFFERED)


@pytest.mark.parametrize("name", OFFERED, ids=" ".join)
def test_a_write_asks_for_the_scope_and_the_key_that_are_documented(name: tuple[str, str]) -> None:
    write, told = TAKEN[name], TOLD[name]
    assert write.keyed == told.headers.get("Idempotency-Key", False)
    assert {write.scope} - {""} == told.scopes


@pytest.mark.parametrize("name", OFFERED, ids=" ".join)
def test_a_good_write_is_answered_as_documented(name: tuple[str, str]) -> None:
    write, told, body = TAKEN[name], TOLD[name], BODIES[name]
    if body is not None:
        assert told.body_complaints(body) == []
    answer = send(create_app(prepared()), write, body)
    assert answer.status_code == write.status, answer.text
    if told.answers(str(write.status)):
        assert told.complaints(answer.json(), str(write.status)) == []
    else:
        assert answer.content == b""


@pytest.mark.parametrize("name", OFFERED, ids=" ".join)
def test_what_is_documented_as_required_is_required(name: tuple[str, str]) -> None:
    write, told, body = TAKEN[name], TOLD[name], BODIES[name]
    app = create_app(prepared())
    for field in told.body.get("required", ()):
        less = {k: v for k, v in body.items() if k != field}
        answer = send(app, write, less, key=None if not write.keyed else f"k {field}")
        assert answer.status_code == 400, field
        assert field in answer.json()["message"]
    if write.keyed:
        answer = send(app, write, body, key=None)
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["message"]


def test_events_are_as_documented() -> None:
    world, told = prepared(), documented_events()
    world.collection("users").edit("cuuser_00003", status="CLOSED", manager_id=None)
    transfer = world.collection("transfers").items()[0]["id"]
    for status in ("PROCESSING", "PROCESSED", "FAILED"):
        world.collection("transfers").edit(transfer, status=status)
    for status in ("REVIEW", "READY_FOR_EXPORT"):
        world.collection("accounting_records").edit("accr_ready", review_status=status)
    for expense in world.collection("expenses").rows().ids[:50]:
        emit_purchase(world, expense, 2)
        emit_purchase(world, expense, status="DECLINED")
    kinds = set()
    for event in world.events.emitted:
        kinds.add(event.type)
        assert told[event.type].body_complaints(json.loads(event.body)) == []
    assert kinds == told.keys() - {k for k in told if k.startswith(("REFERRAL", "EMBEDDED"))}


@pytest.mark.parametrize("name", sorted(NOT_OFFERED), ids=" ".join)
def test_money_is_not_moved(name: tuple[str, str]) -> None:
    assert send(create_app(prepared()), TAKEN[name], {}).status_code == 403


def test_refusals_of_the_books_are_as_documented() -> None:
    name = ("POST", "/v3/accounting/records/export-results")
    app, write, told = create_app(prepared()), TAKEN[name], TOLD[name]
    ready = {"accounting_record_id": "accr_ready", "success": {}}
    for results, status in (
        ([ready, ready], "422"),
        ([ready | {"accounting_record_id": "accr_none"}], "404"),
    ):
        answer = send(app, write, {"results": results})
        assert str(answer.status_code) == status
        assert told.complaints(answer.json(), status) == []
    assert send(app, write, {"results": [ready]}, key=None).status_code == 200
    again = send(app, write, {"results": [ready]}, key=None)
    assert again.status_code == 422
    assert again.json()["error_code"] == "ACCOUNTING_RECORD_NOT_READY_FOR_EXPORT"
