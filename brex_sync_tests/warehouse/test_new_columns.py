"""What a new version declares is added to tables that have rows, and filled from what they hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.errors import TableMismatch
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.declare import Stream
from brex_sync.sync import refill as refilling
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare import tables, unfilled
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.truth import assert_equal

pytestmark = pytest.mark.whole

Declare = Callable[[Stream], None]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Puts another declaration in the place of a stream's, as an older version had it."""

    def put(stream: Stream) -> None:
        monkeypatch.setitem(STREAMS, stream.name, stream)

    yield put
    monkeypatch.undo()


@pytest.fixture
def old(server: Any, new_database: Callable[[], str]) -> Iterator[sa.Engine]:
    """A database in which nothing is prepared."""
    engine = open_engine(new_database())
    with engine.begin() as db:
        db.execute(sa.text("DROP SCHEMA brex, brex_history CASCADE"))
        db.execute(sa.text("DROP SCHEMA brex_sync CASCADE"))
    yield engine
    engine.dispose()


def without(stream: Stream, *columns: str, children: bool = True) -> Stream:
    kept = tuple(c for c in stream.columns if c.name not in columns)
    hidden = tuple(c.path for c in stream.columns if c.name in columns)
    return replace(
        stream,
        columns=kept,
        ignored_fields=(*stream.ignored_fields, *hidden),
        children=stream.children if children else (),
    )


def later(declare: Declare, rig: Rig) -> Any:
    """The new version, before it reads anything."""
    for stream in (EXPENSES, USERS):
        declare(stream)
    rig.requests.clear()
    prepare(rig.warehouse, STREAMS.values(), VIEWS.values())


EXPENSES, USERS = STREAMS["expenses"], STREAMS["users"]


def test_columns_and_child_tables_are_filled_without_asking_brex(
    old: sa.Engine, declare: Declare, company: Rig
) -> None:
    rig = Rig(old, company.world)
    declare(without(EXPENSES, "budget_amount", "memo", "review_compliance_status", children=False))
    assert rig.sync("users", "expenses").finished
    before = dict(rig.rows("SELECT id, _changed_at FROM brex.expenses"))
    later(declare, rig)
    refilling.refill(Warehouse(old, "brex"))
    assert not rig.requests
    assert_equal(rig, "expenses")
    filled = rig.rows(
        "SELECT id FROM brex.expenses WHERE budget_amount_minor IS NOT NULL "
        "OR memo IS NOT NULL OR review_compliance_status IS NOT NULL"
    )
    after = rig.rows("SELECT id, _changed_at FROM brex.expenses")
    assert {key for key, at in after if at != before[key]} == {key for (key,) in filled}
    assert unfilled.pending(old, "brex") == []


def test_rows_that_get_no_value_are_not_written(
    old: sa.Engine, declare: Declare, company: Rig
) -> None:
    rig = Rig(old, company.world)
    declare(without(USERS, "title_id"))
    rig.sync("users")
    with old.begin() as db:
        db.exec_driver_sql(
            "UPDATE brex.users SET _raw = _raw - 'title_id' WHERE id < 'cuuser_00030'"
        )
    before = dict(rig.rows("SELECT id, _changed_at FROM brex.users"))
    later(declare, rig)
    refilling.refill(Warehouse(old, "brex"))
    after = rig.rows("SELECT id, title_id, _changed_at FROM brex.users")
    assert all((at != before[key]) == (title is not None) for key, title, at in after)
    assert any(title for _, title, _ in after)


def test_filling_goes_on_where_it_was_killed(
    old: sa.Engine, declare: Declare, company: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(old, company.world)
    declare(without(EXPENSES, "dashboard_url", children=False))
    rig.sync("expenses")
    monkeypatch.setattr(unfilled, "BATCH", 40)
    later(declare, rig)
    whole = unfilled.went_on
    batches = 0

    def killed(*arguments: Any) -> None:
        nonlocal batches
        batches += 1
        if batches == 4:
            raise KeyboardInterrupt
        whole(*arguments)

    monkeypatch.setattr(unfilled, "went_on", killed)
    with pytest.raises(KeyboardInterrupt):
        refilling.refill(Warehouse(old, "brex"))
    filled = rig.one("SELECT count(*) FROM brex.expenses WHERE dashboard_url IS NOT NULL")
    assert filled == 120
    monkeypatch.setattr(unfilled, "went_on", whole)
    refilling.refill(Warehouse(old, "brex"))
    assert_equal(rig, "expenses")


PAST = (
    "SELECT id, _valid_from, _valid_to, _changed_columns, _raw FROM brex_history.{} ORDER BY 1, 2"
)
UNLIKE = (
    "SELECT count(*) FROM brex_history.{0} v WHERE {1} IS DISTINCT FROM _raw->>'{1}' "
    "OR ({1} IS NULL AND _raw ? '{1}' AND _raw->'{1}' <> 'null')"
)


@pytest.fixture
def with_a_past(old: sa.Engine, declare: Declare, company: Rig) -> Rig:
    """Users and expenses that changed or went, under declarations that lacked a column."""
    rig = Rig(old, company.world)
    declare(without(USERS, "title_id"))
    declare(without(EXPENSES, "memo"))
    users, expenses = (rig.world.collection(name) for name in ("users", "expenses"))
    rig.sync("users", "expenses")
    for text in ("of then", "of now"):
        users.edit("cuuser_00003", title_id=text)
        expenses.edit(expenses.rows().ids[0], memo=text)
        rig.sync("users", "expenses")
    users.delete("cuuser_00004")
    rig.sync("users", "expenses")
    return rig


def test_versions_that_have_ended_are_filled_from_what_brex_sent_then(
    with_a_past: Rig, declare: Declare
) -> None:
    rig, tables = with_a_past, {"users": "title_id", "expenses": "memo"}
    before = {table: rig.rows(PAST.format(table)) for table in tables}
    later(declare, rig)
    refilling.refill(rig.warehouse)
    assert not rig.requests
    for table, column in tables.items():
        assert rig.one(UNLIKE.format(table, column)) == 0
        assert rig.rows(PAST.format(table)) == before[table], "it counts as no change"
    titles = (
        "SELECT title_id FROM brex_history.users WHERE id = 'cuuser_00003' ORDER BY _valid_from"
    )
    assert [t for (t,) in rig.rows(titles)][1:] == ["of then", "of now"]
    gone = "SELECT title_id FROM brex_history.users WHERE id = 'cuuser_00004'"
    assert rig.one(gone) is not None
    assert unfilled.pending(rig.warehouse, "brex_history") == []


def test_filling_versions_goes_on_where_it_was_killed(
    with_a_past: Rig, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfilled, "BATCH", 5)
    later(declare, with_a_past)
    whole, kept = unfilled.went_on, []

    def killed(db: Any, place: Any, after: Any) -> None:
        whole(db, place, after)
        if place.past:
            kept.append(after)
            if len(kept) == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(unfilled, "went_on", killed)
    with pytest.raises(KeyboardInterrupt):
        refilling.refill(with_a_past.warehouse)
    [task, *_] = unfilled.pending(with_a_past.warehouse, "brex_history")
    assert task.after == tuple(map(str, kept[2]))
    monkeypatch.setattr(unfilled, "went_on", whole)
    refilling.refill(with_a_past.warehouse)
    assert with_a_past.one(UNLIKE.format("users", "title_id")) == 0
    assert unfilled.pending(with_a_past.warehouse, "brex_history") == []


def test_a_value_that_does_not_fit_is_left_out_and_the_others_are_filled(
    old: sa.Engine, declare: Declare, company: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(old, company.world)
    declare(without(USERS, "title_id"))
    rig.sync("users")
    with old.begin() as db:
        db.exec_driver_sql(
            "UPDATE brex.users SET _raw = jsonb_set(_raw, '{title_id}', '5') "
            "WHERE id = 'cuuser_00003'"
        )
    later(declare, rig)
    refilling.refill(Warehouse(old, "brex"))
    assert "1 rows do not fit what is new in it" in caplog.text
    found = dict(rig.rows("SELECT id, title_id FROM brex.users"))
    assert found["cuuser_00003"] is None
    assert sum(title is not None for title in found.values()) > 30


def test_days_that_an_earlier_version_kept_as_checkpoints_become_moments(
    old: sa.Engine, company: Rig
) -> None:
    rig = Rig(old, company.world)
    rig.sync("card_transactions")
    with old.begin() as db:
        for column in ("watermark", "window_since", "window_newest"):
            db.exec_driver_sql(f"ALTER TABLE brex_sync.checkpoints ALTER COLUMN {column} TYPE date")
        db.exec_driver_sql("ALTER TABLE brex_sync.checkpoints DROP COLUMN window_until")
        db.exec_driver_sql("DROP TABLE brex_sync.unavailable")
        db.exec_driver_sql("COMMENT ON SCHEMA brex_sync IS NULL")
    assert rig.sync("card_transactions").finished
    today = datetime.combine(rig.world.today, datetime.min.time(), UTC)
    watermark = rig.one("SELECT watermark FROM brex_sync.checkpoints WHERE slice = ''")
    assert watermark <= today
    assert_equal(rig, "card_transactions")


def test_a_column_of_another_type_is_refused_and_nothing_is_changed(old: sa.Engine) -> None:
    prepare(Warehouse(old, "brex"), STREAMS.values(), VIEWS.values())
    with old.begin() as db:
        db.exec_driver_sql("ALTER TABLE brex.expense_receipts DROP COLUMN id CASCADE")
        db.exec_driver_sql("ALTER TABLE brex.expense_receipts ADD COLUMN id bigint")
        db.exec_driver_sql("COMMENT ON SCHEMA brex IS NULL")
    with pytest.raises(TableMismatch, match=r"\"expense_receipts\"\.id is BIGINT"):
        prepare(Warehouse(old, "brex"), STREAMS.values(), VIEWS.values())
    with old.connect() as db:
        assert tables._fingerprint_of(db, "brex") is None
