"""What stood in an expense's lists is kept as the expense is: by the same triggers, to be asked for
by the same query."""

from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.engine.test_children import expense, step
from brex_sync_tests.engine.truth import CHILDREN

AS_OF = (
    "SELECT id FROM brex_history.expense_receipts WHERE expense_id = 'e1' "
    "AND tstzrange(_valid_from, _valid_to) @> CAST(:at AS timestamptz) ORDER BY id"
)


@pytest.fixture
def truth(rig: Any) -> Any:
    expenses = rig.world.collection("expenses")
    expenses.add(expense(rig, "e1", "a", "b"))
    rig.sync("expenses")
    return expenses


def moments(rig: Any) -> list[Any]:
    """When the expense was seen to change."""
    found = rig.rows("SELECT _valid_from FROM brex_history.expenses ORDER BY 1")
    return [moment for (moment,) in found]


def test_which_receipts_an_expense_had_on_a_day_is_one_simple_query(rig: Any, truth: Any) -> None:
    for receipts in (["b", "c"], ["a", "c"]):
        truth.edit("e1", receipts=[{"id": key} for key in receipts])
        rig.sync("expenses")
    truth.delete("e1")
    rig.sync("expenses", full=True)
    first, second, third = moments(rig)
    assert [key for (key,) in rig.rows(AS_OF, at=first)] == ["a", "b"]
    assert [key for (key,) in rig.rows(AS_OF, at=second)] == ["b", "c"]
    assert [key for (key,) in rig.rows(AS_OF, at=third)] == ["a", "c"]
    assert rig.rows(AS_OF, at="infinity") == []
    back = (
        "SELECT _changed_columns FROM brex_history.expense_receipts "
        "WHERE id = 'a' ORDER BY _valid_from"
    )
    assert rig.rows(back) == [(None,), (["_deleted_at"],)]


def test_an_element_that_changes_has_a_version_and_one_that_does_not_has_none(
    rig: Any, truth: Any
) -> None:
    def steps(*statuses: str) -> Any:
        return {"approval_steps": [step(status) for status in statuses]}

    for statuses in (["PENDING", "PENDING"], ["APPROVED", "PENDING"], ["APPROVED", "PENDING"]):
        truth.edit("e1", review=steps(*statuses))
        rig.sync("expenses")
    assert rig.rows(
        "SELECT position, status, _valid_to IS NULL, _changed_columns "
        "FROM brex_history.expense_approval_steps ORDER BY position, _valid_from"
    ) == [
        (0, "PENDING", False, None),
        (0, "APPROVED", True, ["status"]),
        (1, "PENDING", True, None),
    ]


def test_the_last_versions_are_the_rows_and_are_not_written_again(company: Any) -> None:
    company.sync("expenses")
    written = "SELECT ctid::text, xmin::text FROM brex_history.{} ORDER BY 1"
    for child in CHILDREN["expenses"]:
        before = company.rows(written.format(child))
        company.sync("expenses", full=True)
        assert company.rows(written.format(child)) == before
        names = ", ".join(f'"{f.name}"' for c in STREAMS["expenses"].children
                          if c.name == child for f in c.fields())  # fmt: skip
        last = f"SELECT {names}, _raw FROM brex_history.{child} WHERE _valid_to IS NULL"
        live = f"SELECT {names}, _raw FROM brex.{child} WHERE _deleted_at IS NULL"
        assert company.rows(f"({last} EXCEPT {live}) UNION ALL ({live} EXCEPT {last})") == []
        assert len(before) == company.one(f"SELECT count(*) FROM brex.{child}")


def test_rows_that_were_there_before_their_past_was_kept_begin_it_when_first_seen(
    apart: Any,
) -> None:
    apart.world.collection("expenses").add(expense(apart, "e1", "a"))
    apart.sync("expenses")
    with apart.engine.begin() as db:
        db.execute(sa.text("DROP TABLE brex_history.expense_receipts"))
        db.execute(sa.text("DROP TRIGGER keep_new ON brex.expense_receipts"))
        db.execute(sa.text("DROP TRIGGER keep_changed ON brex.expense_receipts"))
        db.execute(sa.text("COMMENT ON SCHEMA brex IS 'of an older version'"))
    prepare(apart.warehouse, STREAMS.values(), VIEWS.values())
    assert apart.rows(
        "SELECT v.id, v._valid_from = t._first_seen_at, v._valid_to "
        "FROM brex_history.expense_receipts v JOIN brex.expense_receipts t USING (expense_id, id)"
    ) == [("a", True, None)]


def test_streams_without_history_keep_none_of_their_children_either(company: Any) -> None:
    kept = "SELECT to_regclass('brex_history.accounting_record_line_items')"
    assert company.one(kept) is None
