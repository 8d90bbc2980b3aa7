"""Child tables hold what stands in their parents' lists, and change with them alone."""

import json
from typing import Any

import pytest

from brex_sync_tests.engine.items import day
from brex_sync_tests.engine.truth import assert_equal


def expense(rig: Any, key: str, *receipts: str, **more: Any) -> Any:
    moment = f"{day(rig.world, 0)}T00:00:0{len(receipts)}Z"
    return {
        "id": key,
        "updated_at": moment,
        "dashboard_url": "https://dashboard.brex.com",
        "receipts": [{"id": receipt} for receipt in receipts],
    } | more


def step(status: str) -> Any:
    return {"status": status, "reviewer": {"id": "u1", "first_name": "Ada"}, "resolved_at": None}


def receipts(rig: Any, *, deleted: bool = False) -> set[tuple[str, str]]:
    found = rig.rows(
        "SELECT expense_id, id FROM brex.expense_receipts "
        f"WHERE _deleted_at IS {'NOT NULL' if deleted else 'NULL'}"
    )
    return {(parent, key) for parent, key in found}


def test_rows_come_and_go_with_the_list_in_their_parent(rig: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", "a", "b"))
    truth.add(expense(rig, "e2", "a"))
    rig.sync("expenses")
    assert receipts(rig) == {("e1", "a"), ("e1", "b"), ("e2", "a")}
    truth.edit("e1", receipts=[{"id": "b"}, {"id": "c"}])
    rig.sync("expenses")
    assert receipts(rig) == {("e1", "b"), ("e1", "c"), ("e2", "a")}
    assert receipts(rig, deleted=True) == {("e1", "a")}
    truth.edit("e1", receipts=[{"id": "a"}])
    rig.sync("expenses")
    assert ("e1", "a") in receipts(rig), "a row that comes back is revived"
    truth.edit("e1", receipts=None)
    rig.sync("expenses")
    assert receipts(rig) == {("e2", "a")}
    assert_equal(rig, "expenses")


def test_rows_of_a_deleted_parent_are_deleted_and_revived_with_it(rig: Any) -> None:
    truth = rig.world.collection("expenses")
    item = expense(rig, "e1", "a", review={"approval_steps": [step("APPROVED")]})
    truth.add(item)
    rig.sync("expenses")
    truth.delete("e1")
    rig.sync("expenses")
    assert receipts(rig) == set()
    assert rig.one("SELECT _deleted_at IS NOT NULL FROM brex.expense_approval_steps")
    truth.add(item)
    rig.sync("expenses")
    assert receipts(rig) == {("e1", "a")}
    assert_equal(rig, "expenses")


def test_rows_without_an_id_are_told_apart_by_their_place(rig: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", review={"approval_steps": [step("APPROVED"), step("PENDING")]}))
    rig.sync("expenses")
    assert rig.rows(
        "SELECT position, status, reviewer_id FROM brex.expense_approval_steps ORDER BY 1"
    ) == [(0, "APPROVED", "u1"), (1, "PENDING", "u1")]
    truth.edit("e1", review={"approval_steps": [step("REJECTED")]})
    rig.sync("expenses")
    assert_equal(rig, "expenses")


def test_what_is_as_before_is_not_written(company: Any) -> None:
    tables = ("expense_line_items", "expense_custom_fields", "accounting_record_line_items")

    def versions() -> list[Any]:
        return [company.rows(f"SELECT ctid::text, xmin::text FROM brex.{t}") for t in tables]

    company.sync("expenses", "accounting_records")
    before = versions()
    assert all(before)
    company.sync("expenses", "accounting_records", full=True)
    assert versions() == before


def test_of_a_parent_listed_twice_the_later_list_counts(rig: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", "old"))
    rig.sync("expenses")
    for later in (expense(rig, "e1", "new"), expense(rig, "e1", "earlier", "new")):
        truth.add_raw("e1", later["updated_at"], json.dumps(later).encode())
    rig.sync("expenses")
    listed = truth.items()
    assert len(listed) == 3
    assert receipts(rig) == {("e1", r["id"]) for r in listed[-1]["receipts"]}


UNREAD = [
    ({"receipts": {"id": "a"}}, "receipts", "receipts: expected a list, got dict"),
    ({"receipts": "b"}, "receipts", "receipts: expected a list, got str"),
    ({"receipts": [None]}, "receipts[0]", "receipts[0]: expected an object, got NoneType"),
    ({"receipts": [{"id": "c"}, "a"]}, "receipts[1]", "receipts[1]: expected an object, got str"),
    ({"receipts": [{"id": 5}]}, "receipts[0]", "receipts[0].id: expected text, got int"),
    ({"receipts": [{}]}, "receipts[0]", "receipts[0].id: missing"),
    ({"receipts": [{"id": "x" * 5000}]}, "receipts[0]", "receipts[0].id: too long"),
]


@pytest.mark.parametrize("known", [False, True], ids=["a new parent", "a known one"])
@pytest.mark.parametrize(("odd", "field", "reason"), UNREAD)
def test_an_element_that_cannot_be_read_costs_itself_and_proves_no_other_gone(
    rig: Any, odd: Any, field: str, reason: str, known: bool
) -> None:
    truth = rig.world.collection("expenses")
    amount = {"amount": 5, "currency": "USD"}
    truth.add(expense(rig, "e1", "a"))
    before = set()
    if known:
        truth.add(expense(rig, "e2", "b"))
        rig.sync("expenses")
        truth.delete("e2")
        before = set() if "xxx" in str(odd) else {("e2", "b")}
    truth.add(expense(rig, "e2", "b", billing_amount=amount) | odd)
    assert rig.sync("expenses").finished
    assert rig.live("expenses") == {"e1", "e2"}
    assert rig.one("SELECT sum(billing_amount_minor) FROM brex.expenses") == 5
    extra = {("e2", "c")} if "'c'" in str(odd) else set()
    assert receipts(rig) == {("e1", "a")} | before | extra
    ((key, at, told),) = rig.rows("SELECT key, field, reason FROM brex_sync.quarantine")
    assert (key, at) == ("e2", field)
    assert told.startswith(reason)
    truth.edit("e2", receipts=[{"id": "d"}])
    rig.sync("expenses")
    assert_equal(rig, "expenses")
    assert rig.rows("SELECT 1 FROM brex_sync.quarantine") == []


def test_of_elements_only_the_one_whose_money_does_not_fit_is_kept_out(rig: Any) -> None:
    truth = rig.world.collection("expenses")

    def line(key: str, minor: Any, **more: Any) -> Any:
        return {"id": key, "billing_amount": {"amount": minor, "currency": "USD"}} | more

    truth.add(expense(rig, "e", expense_line_items=[line(k, 1) for k in "abc"]))
    rig.sync("expenses")
    truth.edit("e", expense_line_items=[line("a", "?"), line("b", 2, approved_at="never")])
    rig.sync("expenses")
    assert rig.rows(
        "SELECT id, billing_amount_minor, _deleted_at IS NOT NULL "
        "FROM brex.expense_line_items ORDER BY id"
    ) == [("a", 1, False), ("b", 2, False), ("c", 1, True)]
    assert rig.rows("SELECT key, field FROM brex_sync.quarantine ORDER BY field") == [
        ("e", "expense_line_items[0]"),
        ("e", "expense_line_items[1].approved_at"),
    ]


@pytest.mark.parametrize("review", ["none", {"approval_steps": "none"}, {"approval_steps": [0]}])
def test_a_list_that_could_not_be_read_is_not_an_empty_one(rig: Any, review: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e", review={"approval_steps": [step("APPROVED")]}))
    rig.sync("expenses")
    truth.edit("e", review=review)
    rig.sync("expenses")
    assert rig.one("SELECT _deleted_at IS NULL FROM brex.expense_approval_steps")
    assert rig.one("SELECT count(*) FROM brex_sync.quarantine") == 1
    truth.edit("e", review={"approval_steps": []})
    rig.sync("expenses")
    assert_equal(rig, "expenses")


def test_new_fields_in_elements_are_reported(rig: Any) -> None:
    rig.world.collection("expenses").add(expense(rig, "e1", receipts=[{"id": "a", "novelty": 1}]))
    assert rig.sync("expenses").streams["expenses"].unknown == {"receipts[].novelty"}


def test_a_parent_and_its_elements_are_seen_together_or_not_at_all(rig: Any, trigger: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", "a"))
    rig.sync("expenses")
    truth.edit("e1", memo="changed", receipts=[{"id": "a"}, {"id": "b"}])
    trigger("brex.expense_receipts", "RAISE EXCEPTION USING ERRCODE = '55000';")
    assert not rig.sync("expenses").finished
    assert rig.one("SELECT memo FROM brex.expenses") is None
    assert receipts(rig) == {("e1", "a")}
