"""A stream is read from the beginning once where its request changes, or its rows lack a column."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from brex_sync.sandbox import create_world
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.streams.columns import text
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.worlds import trimmed

CARD, LIMITS = STREAMS["card_transactions"], STREAMS["user_limits"]
Declare = Callable[[Stream], None]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Puts another declaration in the place of a stream's."""

    def put(stream: Stream) -> None:
        monkeypatch.setitem(STREAMS, stream.name, stream)

    return put


@pytest.fixture
def old(new_database: Callable[[], str], declare: Declare) -> Iterator[Rig]:
    """A warehouse of a version that did not ask for the expense of a card transaction."""
    engine = open_engine(new_database())
    rig = Rig(engine, trimmed(create_world(card_transactions=150)))
    kept = tuple(c for c in CARD.columns if c.name != "expense_id")
    declare(
        replace(CARD, params={}, columns=kept, ignored_fields=(*CARD.ignored_fields, "expense_id"))
    )
    assert rig.sync("card_transactions").finished
    rig.sync("card_transactions")
    rig.requests.clear()
    engine.dispose()  # the new version is another process
    yield rig
    engine.dispose()


def reads(rig: Rig, path: str) -> list[bool]:
    """Of each list that was begun: whether it was read from its beginning."""
    begun = [r for r in rig.asked(path) if "cursor" not in str(r.query)]
    found = ["posted_at_start" not in str(r.query) for r in begun]
    rig.requests.clear()
    return found


PATH = "/v2/transactions/card/primary"


def test_older_rows_have_what_a_later_version_asks_for(old: Rig, declare: Declare) -> None:
    declare(CARD)
    assert old.sync("card_transactions").finished
    assert_equal(old, "card_transactions")
    assert old.one("SELECT count(expense_id) FROM brex.card_transactions")
    assert True in reads(old, PATH)
    old.sync("card_transactions")
    assert reads(old, PATH) == [False], "it is read so once"


def test_it_stays_due_until_it_was_read_to_its_end(old: Rig, declare: Declare) -> None:
    declare(CARD)
    old.faults.add(Fault(FaultKind.STATUS, PATH, after=2, times=None, status=500))
    assert not old.sync("card_transactions", pages=40).finished
    old.faults.clear()
    assert old.sync("card_transactions", pages=40).finished
    assert_equal(old, "card_transactions")
    old.requests.clear()
    old.sync("card_transactions")
    assert reads(old, PATH) == [False]


def test_a_walk_begun_before_the_change_is_not_gone_on_with(old: Rig, declare: Declare) -> None:
    old.faults.add(Fault(FaultKind.STATUS, PATH, after=2, times=None, status=500))
    assert not old.sync("card_transactions", pages=40, full=True).finished
    old.faults.clear()
    declare(CARD)
    old.engine.dispose()
    assert old.sync("card_transactions", pages=40).finished
    assert_equal(old, "card_transactions")


def test_lists_that_rest_are_read_too(company: Rig, declare: Declare) -> None:
    company.sync("users", "user_limits")
    company.requests.clear()
    company.sync("users", "user_limits")
    assert not [r for r in company.requests if r.path.endswith("/limit")]
    declare(replace(LIMITS, drop=("nothing_of_ours",)))
    company.sync("users", "user_limits")
    asked = [r for r in company.requests if r.path.endswith("/limit") and r.status == 200]
    assert len(asked) == company.one("SELECT count(*) FROM brex.users WHERE _deleted_at IS NULL")
    company.requests.clear()
    company.sync("users", "user_limits")
    assert not [r for r in company.requests if r.path.endswith("/limit")]


def test_a_column_that_is_not_in_what_is_stored_has_the_stream_read_again(
    old: Rig, declare: Declare, caplog: pytest.LogCaptureFixture
) -> None:
    grown = (*STREAMS["card_transactions"].columns, text("card_id_of_late", "New at Brex."))
    with old.engine.begin() as db:
        db.execute(sa.text("UPDATE brex.card_transactions SET _raw = _raw - 'description'"))
        db.execute(sa.text("ALTER TABLE brex.card_transactions DROP COLUMN description CASCADE"))
    assert old.sync("card_transactions").finished
    lacking = "SELECT count(*) FROM brex.card_transactions WHERE NOT _raw ? 'description'"
    assert old.one(lacking) == 0
    assert old.one("SELECT count(description) FROM brex.card_transactions") > 100
    assert "read from the beginning once: older rows lack description" in caplog.text
    caplog.clear()
    declare(replace(STREAMS["card_transactions"], columns=grown))
    old.engine.dispose()
    assert old.sync("card_transactions").finished
    assert "older rows lack card_id_of_late" in caplog.text
    caplog.clear()
    old.requests.clear()
    old.sync("card_transactions")
    assert "beginning" not in caplog.text
    assert reads(old, PATH) == [False]


def test_a_column_that_is_in_what_is_stored_asks_for_nothing(
    old: Rig, declare: Declare, caplog: pytest.LogCaptureFixture
) -> None:
    stream = STREAMS["card_transactions"]
    declare(replace(stream, columns=(*stream.columns, text("merchant.city", "Not there."))))
    with old.engine.begin() as db:
        db.execute(
            sa.text("UPDATE brex.card_transactions SET _raw = _raw || '{\"merchant\": null}'")
        )
    old.engine.dispose()
    assert old.sync("card_transactions").finished
    assert "beginning" not in caplog.text


def test_a_warehouse_that_kept_no_requests_reads_every_stream_once(old: Rig) -> None:
    with old.engine.begin() as db:
        db.execute(sa.text("DROP TABLE brex_sync.stream_requests"))
        db.execute(sa.text("COMMENT ON SCHEMA brex IS 'of an older version'"))
    old.sync("card_transactions")
    assert True in reads(old, PATH)
    old.sync("card_transactions")
    assert reads(old, PATH) == [False]
