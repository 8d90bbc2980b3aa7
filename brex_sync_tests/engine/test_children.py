"""Child tables hold what stands in their parents' lists, and change with them alone."""

import json
import random
import string
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


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"receipts": {"id": "a"}}, "receipts: expected a list, got dict"),
        ({"receipts": ["a"]}, "receipts[]: expected an object, got str"),
        ({"receipts": [{"id": 5}]}, "receipts[].id: expected text, got int"),
        ({"receipts": [{}]}, "receipts[].id: missing"),
    ],
)
def test_an_item_with_an_odd_element_is_set_aside_whole_and_alone(
    rig: Any, odd: Any, reason: str
) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", "a"))
    truth.add(expense(rig, "e2", "b") | odd)
    rig.sync("expenses")
    assert rig.live("expenses") == {"e1"}
    assert receipts(rig) == {("e1", "a")}
    ((key, told),) = rig.rows("SELECT key, reason FROM brex_sync.quarantine")
    assert key == "e2"
    assert told.startswith(reason)
    truth.edit("e2", receipts=[{"id": "b"}])
    rig.sync("expenses")
    assert_equal(rig, "expenses")
    assert rig.rows("SELECT 1 FROM brex_sync.quarantine") == []


def test_what_postgres_refuses_in_an_element_sets_its_parent_aside_alone(rig: Any) -> None:
    truth = rig.world.collection("expenses")
    truth.add(expense(rig, "e1", "a"))
    truth.add(expense(rig, "e2", "".join(random.Random(1).choices(string.ascii_letters, k=10_000))))
    truth.add(expense(rig, "e3", "c"))
    rig.sync("expenses")
    assert rig.live("expenses") == {"e1", "e3"}
    assert receipts(rig) == {("e1", "a"), ("e3", "c")}
    assert rig.one("SELECT key FROM brex_sync.quarantine") == "e2"


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
