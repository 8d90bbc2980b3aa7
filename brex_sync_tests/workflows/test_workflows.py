"""Each workflow's effect at Brex, and in SQL at once."""

from pathlib import Path
from typing import Any

import pytest

from brex_sync.errors import BadInputs
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.workflows.conftest import Desk

RUN = "5b0e6f4e-4b4f-4d53-9e02-3a1f4e1c7d22"
USD = {"currency": "USD"}


def invited(desk: Desk, **more: Any) -> dict[str, str]:
    """What invites Ada Lovelace made, by the step."""
    name = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@northwind.example"}
    outcome = desk.perform("invite-user", RUN, **name, **more)
    assert outcome.error is None
    if outcome.waiting:
        desk.rig.world.collection("users").edit(outcome.steps[0].kept["id"], status="ACTIVE")
        outcome = desk.perform("invite-user", RUN, **name, **more)
    return {note.step: (note.kept or {}).get("id", "") for note in outcome.steps}


def test_somebody_is_invited_with_all_they_need(desk: Desk) -> None:
    manager = desk.rig.world.collection("users").items()[0]["id"]
    department = desk.rig.world.collection("departments").items()[0]["id"]
    made = invited(
        desk,
        manager_id=manager,
        department_id=department,
        monthly_limit="2000",
        card_name="First card",
        limit="99.90 EUR",
        period="QUARTERLY",
    )
    assert list(made) == ["invite", "set limit", "issue card"]
    user = made["invite"]
    assert desk.item("users", user)["manager_id"] == manager
    assert desk.item("cards", made["issue card"])["spend_controls"]["spend_limit"] == {
        "amount": 9990,
        "currency": "EUR",
    }
    assert desk.rig.rows("SELECT id, status, department_id FROM brex.users") == [
        (user, "ACTIVE", department)
    ]
    assert desk.rig.rows("SELECT user_id, monthly_limit_minor FROM brex.user_limits") == [
        (user, 200000)
    ]
    assert desk.rig.rows(
        "SELECT owner_user_id, spend_controls_spend_limit_minor, spend_controls_spend_duration "
        "FROM brex.cards"
    ) == [(user, 9990, "QUARTERLY")]


def test_somebody_is_only_invited(desk: Desk) -> None:
    assert list(invited(desk)) == ["invite"]
    again = desk.perform(
        "invite-user", first_name="A", last_name="L", email="ada@northwind.example"
    )
    assert again.error is not None
    assert "A user with this email already exists" in again.error


def test_offboarding_may_end_cards_for_good(desk: Desk, leaver: str) -> None:
    assert desk.perform("offboard-user", user_id=leaver, cards="terminate").error is None
    states = {desk.item("cards", key)["status"] for key in ("c1", "c2", "c3", "c4")}
    assert states == {"TERMINATED"}
    assert ("POST", "/v2/cards/c4/terminate") not in desk.did()


def test_a_card_is_issued_locked_unlocked_and_ended(desk: Desk) -> None:
    user = desk.rig.world.collection("users").items()[0]["id"]
    outcome = desk.perform(
        "issue-card", user_id=user, card_name="Ads", limit="10.00", lock_after="2030-01-31"
    )
    card = outcome.steps[0].kept["id"]
    assert desk.item("cards", card)["spend_controls"]["lock_after_date"] == "2030-01-31"
    for name, status in (("lock", "LOCKED"), ("unlock", "ACTIVE"), ("terminate", "TERMINATED")):
        assert desk.perform(f"{name}-card", card_id=card).error is None
        assert desk.item("cards", card)["status"] == status
        assert desk.rig.rows("SELECT id, status FROM brex.cards") == [(card, status)]


def test_a_card_may_be_under_its_user_s_limit(desk: Desk) -> None:
    user = desk.rig.world.collection("users").items()[0]["id"]
    card = desk.perform("issue-card", user_id=user, card_name="Ads").steps[0].kept["id"]
    assert desk.item("cards", card)["limit_type"] == "USER"


@pytest.mark.parametrize(("said", "limit"), [("1500.50", USD | {"amount": 150050}), ("none", None)])
def test_what_somebody_may_spend_is_set_or_taken_away(desk: Desk, said: str, limit: Any) -> None:
    user = desk.rig.world.collection("users").items()[0]["id"]
    assert desk.perform("set-user-limit", user_id=user, monthly_limit=said).error is None
    assert desk.writes[0].body == {"monthly_limit": limit}
    shown = desk.rig.rows("SELECT user_id, monthly_limit_minor FROM brex.user_limits")
    assert shown == [(user, limit and limit["amount"])]


def test_a_spend_limit_is_created_and_changed(desk: Desk) -> None:
    users = [user["id"] for user in desk.rig.world.collection("users").items()[:2]]
    made = desk.perform(
        "create-spend-limit",
        name="Offsite",
        limit="5000",
        expense_policy_id="policy_1",
        period_recurrence_type="ONE_TIME",
        owner_user_ids=users[:1],
        transaction_limit="800",
        end_date="2030-12-31",
    )
    assert made.error is None
    key = made.steps[0].kept["id"]
    changed = desk.perform(
        "update-spend-limit",
        spend_limit_id=key,
        limit="7500.25",
        member_user_ids=users,
        take_away=["end_date", "transaction_limit"],
    )
    assert changed.error is None
    item = desk.item("spend_limits", key)
    assert (item["end_date"], item["transaction_limit"]) == (None, None)
    assert item["authorization_settings"]["authorization_type"] == "HARD"
    assert desk.rig.rows(
        "SELECT id, name, authorization_settings_base_limit_minor, member_user_ids "
        "FROM brex.spend_limits"
    ) == [(key, "Offsite", 750025, users)]


ACCOUNT = {
    "type": "ACH",
    "routing_number": "021000021",
    "account_number": "9876543210",
    "account_type": "CHECKING",
    "account_class": "BUSINESS",
}


def test_a_vendor_is_created_and_its_bank_numbers_are_kept_nowhere(desk: Desk) -> None:
    refusal = '{"type": "BAD", "message": "account_number 9876543210 is unknown at 021000021"}'
    desk.rig.faults.add(Fault(FaultKind.STATUS, "/v1/vendors", "POST", status=400, body=refusal))
    given = {"company_name": "Acme Ltd", "payment_accounts": [ACCOUNT]}
    refused = desk.perform("create-vendor", RUN, **given)
    assert refused.error is not None
    assert "400: account_number …3210 is unknown at …0021 (Brex trace id" in refused.error
    made = desk.perform("create-vendor", RUN, **given)
    assert made.error is None
    assert desk.writes[0].body["payment_accounts"] == [{"details": ACCOUNT}]
    assert desk.rig.rows("SELECT company_name FROM brex.vendors") == [("Acme Ltd",)]
    shown = desk.rig.one("SELECT body FROM brex_sync.writes WHERE status = 200")
    assert shown["payment_accounts"][0]["details"]["account_number"] == "3210"
    for table in ("writes", "workflow_steps", "workflow_runs", "workflow_inputs"):
        stored = desk.rig.rows(f"SELECT t::text FROM brex_sync.{table} t")
        assert stored
        assert not any(number in text for (text,) in stored for number in ("9876543", "02100002"))


def expenses(desk: Desk, count: int, kind: str = "CARD") -> list[str]:
    found = desk.rig.world.collection("expenses").items()
    return [e["id"] for e in found if e["expense_type"] == kind][:count]


def memos(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("expense_id,memo", *lines)))
    return str(path)


def test_memos_are_set_from_a_file(desk: Desk, tmp_path: Path) -> None:
    one, two = expenses(desk, 2)
    outcome = desk.perform(
        "set-memos", memos=memos(tmp_path / "m.csv", f'{one},"Lunch, with Acme"', f"{two},Taxi")
    )
    assert outcome.error is None
    assert desk.item("expenses", one)["memo"] == "Lunch, with Acme"
    found = dict(desk.rig.rows("SELECT id, memo FROM brex.expenses"))
    assert found == {one: "Lunch, with Acme", two: "Taxi"}


def test_all_bad_lines_are_told_together(desk: Desk, tmp_path: Path) -> None:
    lines = ["e1,Taxi", "e2,", ",Taxi", "e3,Café", "e1,Taxi again", 'e4,"a', 'b"', "e5", "e6,x,y"]
    with pytest.raises(BadInputs) as bad:
        desk.perform("set-memos", memos=memos(tmp_path / "m.csv", *lines))
    assert bad.value.faults == (
        "line 3: memo: Field required",
        "line 4: expense_id: Field required",
        "line 5: memo: Brex takes only plain (ASCII) characters",
        "line 6: e1 is on line 2 already",
        "line 8: memo: Brex takes only plain (ASCII) characters",
        "line 9: has another number of cells than the first line",
        "line 10: has another number of cells than the first line",
    )
    assert not desk.rig.requests


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "its first line must name the columns expense_id, memo, and no others"),
        (b"expense_id,note\ne1,x\n", "its first line must name the columns"),
        (b"expense_id,memo\n", "there is no line after the first"),
        (b"expense_id,memo\ne1,\xff\n", "is not UTF-8 text: save it as CSV in UTF-8"),
        (b'expense_id,memo\ne1,"x" y\n', "is no CSV: "),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    desk: Desk, tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "m.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputs, match=told):
        desk.perform("set-memos", memos=str(path))


def test_what_is_no_card_expense_is_told_before_anything_is_written(
    desk: Desk, tmp_path: Path
) -> None:
    (card,), (other,) = expenses(desk, 1), expenses(desk, 1, "REIMBURSEMENT")
    outcome = desk.perform("set-memos", memos=memos(tmp_path / "m.csv", f"{card},a", f"{other},b"))
    assert outcome.faults == (f"{other} is no card expense, but REIMBURSEMENT",)
    unknown = desk.perform("set-memos", memos=memos(tmp_path / "m.csv", f"{card},a", "e0,b"))
    assert unknown.error is not None
    assert "look at e0: GET /v1/expenses/e0 answered 404" in unknown.error
    assert not desk.rig.world.writes


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("invite-user", {"first_name": "A", "last_name": "L"}, "email: Field required"),
        ("invite-user", {"first_name": "A", "last_name": "L", "email": "a@b.c", "limit": "1"},
         "limit is the card's"),
        ("set-user-limit", {"user_id": "u"}, "monthly_limit: Field required"),
        ("set-user-limit", {"user_id": "u", "monthly_limit": "1.234"}, "USD has 2 decimal places"),
        ("set-user-limit", {"user_id": "u", "monthly_limit": "1.5 JPY"}, "JPY has 0 decimal pl"),
        ("set-user-limit", {"user_id": "u", "monthly_limit": "-5"}, "expected an amount"),
        ("set-user-limit", {"user_id": "u", "monthly_limit": "5 XXY"}, "no currency with a known"),
        ("issue-card", {"user_id": "u", "card_name": "c", "lock_after": "2030-01-01"},
         "lock_after needs a limit"),
        ("lock-card", {"card_id": "c", "reason": "BORED"}, "reason: Input should be "),
        ("lock-card", {"card_id": "c", "why": "x"}, "why: Extra inputs are not permitted"),
        ("lock-card", {"card_id": "  "}, "card_id: String should have at least 1"),
        ("update-spend-limit", {"spend_limit_id": "s"}, "nothing is to be changed"),
        ("update-spend-limit",
         {"spend_limit_id": "s", "end_date": "2030-01-01", "take_away": ["end_date"]},
         "end_date is both set and taken away"),
        ("update-spend-limit", {"spend_limit_id": "s", "end_date": "soon"}, "end_date: Invalid"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    desk: Desk, name: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadInputs) as bad:
        desk.asked(name, **given)
    assert told in str(bad.value)
