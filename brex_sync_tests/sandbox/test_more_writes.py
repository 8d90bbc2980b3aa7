"""What writes about vendors, expenses, budgets, the books and webhooks do, and refuse."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app, create_empty_world, create_world, shown_items
from brex_sync_tests.sandbox.asking import get, ids, listed
from brex_sync_tests.sandbox.test_write_conformance import BUDGET, LIMIT, WAYS, prepared
from brex_sync_tests.sandbox.test_writes import refusal, write

EXPENSE = "/v1/expenses/card/expense_card"


@pytest.fixture
def world() -> World:
    return prepared()


@pytest.fixture
def app(world: World) -> Any:
    return create_app(world, rate_limit=None)


def test_a_company_name_is_one_vendor(app: Any) -> None:
    made = write(app, "POST", "/v1/vendors", {"company_name": "Orbit"}, "a").json()
    assert "exists" in refusal(write(app, "POST", "/v1/vendors", {"company_name": "Orbit"}, "b"))
    taken = {"company_name": "Orbit"}
    assert "exists" in refusal(write(app, "PUT", "/v1/vendors/pdcont_00001", taken))
    assert write(app, "PUT", f"/v1/vendors/{made['id']}", taken).json() == made


def test_a_vendor_is_paid_one_way_of_each_type(app: Any) -> None:
    twice = {"company_name": "Orbit", "payment_accounts": [WAYS[0], WAYS[0]]}
    assert "each type" in refusal(write(app, "POST", "/v1/vendors", twice, "a"))
    abroad = {
        "company_name": "Orbit",
        "payment_accounts": [{"details": {"type": "INTERNATIONAL_WIRE"}}],
    }
    assert "INTERNATIONAL_WIRE" in refusal(write(app, "POST", "/v1/vendors", abroad, "b"))
    made = {"company_name": "Orbit", "payment_accounts": WAYS}
    key = write(app, "POST", "/v1/vendors", made, "c").json()["id"]
    changed = {"details": WAYS[0]["details"] | {"account_number": "2"}}
    after = write(app, "PUT", f"/v1/vendors/{key}", {"payment_accounts": [changed]}).json()
    details = [account["details"] for account in after["payment_accounts"]]
    assert sorted(d["type"] for d in details) == ["ACH", "CHEQUE", "DOMESTIC_WIRE"]
    assert [d["account_number"] for d in details if d["type"] == "ACH"] == ["2"]


def test_a_deleted_vendor_is_gone(app: Any) -> None:
    assert write(app, "DELETE", "/v1/vendors/pdcont_00001").status_code == 200
    assert "pdcont_00001" not in ids(app, "/v1/vendors")
    assert write(app, "DELETE", "/v1/vendors/pdcont_00001").status_code == 404


def test_a_memo_moves_the_expense_to_the_front_of_what_changed(app: Any, world: World) -> None:
    before = get(app, EXPENSE).json()
    after = write(app, "PUT", EXPENSE, {"memo": "Nails"}).json()
    assert after == before | {"memo": "Nails", "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert ids(app, "/v1/expenses", updated_at_start=after["updated_at"]) == ["expense_card"]
    other = next(e for e in shown_items(world, "expenses") if e["expense_type"] == "REIMBURSEMENT")
    assert write(app, "PUT", f"/v1/expenses/card/{other['id']}", {}).status_code == 404


def test_a_memo_of_a_part_shows_in_the_expense_it_was_split_from() -> None:
    world = create_world(today=date(2026, 3, 10), card_transactions=600)
    app = create_app(world)
    whole = next(e for e in shown_items(world, "expenses") if e["status"] == "SPLIT")
    part = whole["expense_line_items"][0]["id"]
    changed = write(app, "PUT", f"/v1/expenses/card/{part}", {"memo": "Half"}).json()
    shown = get(app, f"/v1/expenses/{whole['id']}").json()
    assert shown["expense_line_items"][0] == changed
    assert shown["updated_at"] == changed["updated_at"]


def test_an_uploaded_receipt_shows_in_its_expense(app: Any, world: World) -> None:
    before = get(app, EXPENSE).json()
    path = f"{EXPENSE}/receipt_upload"
    made = write(app, "POST", path, {"receipt_name": "a.pdf"}).json()
    assert get(app, EXPENSE).json() == before
    put = get(app, made["uri"], token=None, method="PUT", content=b"%PDF")
    assert put.status_code == 200
    after = get(app, EXPENSE).json()
    assert after["receipts"] == [*before["receipts"], {"id": made["id"]}]
    assert after["updated_at"] > before["updated_at"]
    assert world.uploads[made["id"]].content == b"%PDF"
    get(app, made["uri"], token=None, method="PUT", content=b"%PDF")
    assert get(app, EXPENSE).json()["receipts"] == after["receipts"]


def test_an_upload_is_refused_with_the_token_a_false_signature_or_late(world: World) -> None:
    now = [datetime(2026, 3, 10, tzinfo=UTC)]
    world = create_world(today=date(2026, 3, 10), card_transactions=20, clock=lambda: now[0])
    app = create_app(world)
    path = "/v1/expenses/card/receipt_match"
    made = write(app, "POST", path, {"receipt_name": "a.pdf"}).json()
    assert get(app, made["uri"], method="PUT", content=b"x").status_code == 400
    assert get(app, made["uri"] + "0", token=None, method="PUT").status_code == 403
    now[0] += timedelta(minutes=31)
    assert get(app, made["uri"], token=None, method="PUT").status_code == 403
    assert world.uploads[made["id"]].content is None


def test_an_invitation_is_accepted_after_a_while_unless_it_was_withdrawn() -> None:
    now = [datetime(2026, 3, 10, tzinfo=UTC)]
    world = create_world(today=date(2026, 3, 10), card_transactions=20, clock=lambda: now[0])
    app = create_app(world)
    name = {"first_name": "A", "last_name": "B"}
    keys = [
        write(app, "POST", "/v2/users", name | {"email": f"{n}@x.example"}).json()["id"]
        for n in range(2)
    ]
    write(app, "PUT", f"/v2/users/{keys[1]}", {"status": "DISABLED"})

    def states() -> list[str]:
        return [get(app, f"/v2/users/{key}").json()["status"] for key in keys]

    assert states() == ["INVITED", "DISABLED"]
    now[0] += timedelta(minutes=11)
    assert states() == ["ACTIVE", "DISABLED"]


def test_budgets_are_made_changed_and_archived(app: Any) -> None:
    made = write(app, "POST", "/v2/budgets", BUDGET, "a").json()
    path = f"/v2/budgets/{made['budget_id']}"
    hard = BUDGET | {"limit_type": "HARD"}
    assert "HARD" in refusal(write(app, "POST", "/v2/budgets", hard, "b"))
    assert "HARD" in refusal(write(app, "PUT", path, {"limit_type": "HARD"}, "c"))
    changes = {"name": "Nails", "description": None}
    assert write(app, "PUT", path, changes, "d").json() == made | {"name": "Nails"}
    write(app, "POST", f"{path}/archive")
    assert get(app, path).json()["spend_budget_status"] == "ARCHIVED"


def test_null_leaves_a_spend_limit_and_a_flag_takes_away(app: Any) -> None:
    made = LIMIT | {"transaction_limit": {"amount": 5, "currency": "USD"}}
    key = write(app, "POST", "/v2/spend_limits", made, "a").json()["id"]
    path = f"/v2/spend_limits/{key}"
    assert write(app, "PUT", path, {"transaction_limit": None}, "b").json()["transaction_limit"]
    taken = write(app, "PUT", path, {"set_transaction_limit_null": True}, "c").json()
    assert taken["transaction_limit"] is None
    more = {"authorization_settings": {"base_limit": {"amount": 7, "currency": "USD"}}}
    settings = write(app, "PUT", path, more, "d").json()["authorization_settings"]
    assert settings["authorization_type"] == "HARD"
    assert settings["limit_with_increases"]["amount"] == 7
    write(app, "POST", f"{path}/archive")
    assert get(app, path).json()["status"] == "ARCHIVED"
    earlier = get(app, f"/v1/budgets/{key}").json()
    assert earlier["budget_status"] == "TERMINATED"
    assert earlier["limit"]["amount"] == 7


def test_values_are_added_all_or_none(app: Any) -> None:
    field = write(app, "POST", "/v1/fields", {"name": "Orbit", "group": "ERP"}, "a").json()
    path = f"/v1/fields/{field['brex_id']}/values"
    made = write(app, "POST", path, {"items": [{"value": "Moon"}]}, "b").json()["items"]
    both = {"items": [{"value": "Mars"}, {"value": "Moon"}]}
    assert "exists" in refusal(write(app, "POST", path, both, "c"))
    assert listed(app, path) == made
    many = {"items": [{"value": str(i)} for i in range(1001)]}
    assert "1000" in refusal(write(app, "POST", path, many, "d"))


def test_exported_records_leave_the_queue(app: Any, world: World) -> None:
    before = world.collection("accounting_records").get("accr_ready")
    results = [
        {"accounting_record_id": "accr_ready", "success": {}},
        {"accounting_record_id": "accr_other", "failure": {"error_message": "Closed"}},
    ]
    path = "/v3/accounting/records/export-results"
    answer = write(app, "POST", path, {"results": results}).json()
    assert answer == {"updated_accounting_record_ids": ["accr_ready", "accr_other"]}
    after = get(app, "/v3/accounting/records/accr_ready").json()
    assert before
    assert after["review_status"] == "EXPORTED"
    assert after["version"] == before["version"] + 1
    assert after["updated_at"] > before["updated_at"]
    other = get(app, "/v3/accounting/records/accr_other").json()
    assert other["review_status"] == "READY_FOR_EXPORT"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://hooks.example/brex", 200),
        ("http://127.0.0.1:9/brex", 200),
        ("http://localhost:9/brex", 200),
        ("http://hooks.example/brex", 400),
        ("http://10.0.0.1/brex", 400),
        ("ftp://127.0.0.1/brex", 400),
        ("brex", 400),
        ("https://", 400),
        ("http://127.0.0.1:99999/", 400),
        ("http://[::1/brex", 400),
    ],
)
def test_a_webhook_goes_to_https_or_to_this_machine(app: Any, url: str, status: int) -> None:
    body = {"url": url, "event_types": ["USER_UPDATED"]}
    assert write(app, "POST", "/v1/webhooks", body, "a").status_code == status


def test_subscriptions_are_registered_listed_changed_and_deleted() -> None:
    app = create_app(create_empty_world())
    body = {"url": "http://127.0.0.1:9/brex", "event_types": ["USER_UPDATED"]}
    assert get(app, "/v1/webhooks/secrets").json() == []
    made = write(app, "POST", "/v1/webhooks", body, "a").json()
    assert made["status"] == "ACTIVE"
    assert [s["status"] for s in get(app, "/v1/webhooks/secrets").json()] == ["ACTIVE"]
    path = f"/v1/webhooks/{made['id']}"
    assert "status" in refusal(write(app, "PUT", path, body))
    off = body | {"status": "INACTIVE"}
    assert write(app, "PUT", path, off).json() == made | off
    assert listed(app, "/v1/webhooks") == [made | off]
    assert "NO_SUCH" in refusal(write(app, "PUT", path, off | {"event_types": ["NO_SUCH"]}))
    assert write(app, "DELETE", path).status_code == 200
    assert get(app, path).status_code == 404
