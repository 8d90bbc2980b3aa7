"""Every version of a row is kept, in the row's own transaction, and none where nothing changed."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.columns import text
from brex_sync.streams.declare import Stream
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync_tests.engine.items import card, person

VERSIONS = (
    "SELECT id, {}, _valid_from, _valid_to, _changed_columns FROM brex_history.{} "
    "ORDER BY id, _valid_from"
)


def versions(rig: Any, table: str = "cards", column: str = "card_name") -> list[tuple[Any, ...]]:
    return rig.rows(VERSIONS.format(column, table))


def limited(key: str, limit: int) -> Any:
    spend = {"spend_limit": {"amount": limit, "currency": "USD"}}
    return card(key, "u1") | {"limit_type": "CARD", "spend_controls": spend}


def assert_whole(rig: Any, table: str) -> None:
    """Versions lie gapless where the row was live, never overlap, and end in the row as it is."""
    for key, valid_from, valid_to, following, changed in rig.rows(
        f"SELECT id, _valid_from, _valid_to, lead(_valid_from) OVER w, "
        f"lead(_changed_columns) OVER w FROM brex_history.{table} "
        "WINDOW w AS (PARTITION BY id ORDER BY _valid_from)"
    ):
        assert valid_to is None or valid_from < valid_to, key
        if following is None:
            continue
        assert valid_to is not None, (key, "only the last version is open")
        assert valid_to <= following, (key, "versions overlap")
        assert valid_to == following or "_deleted_at" in changed, (key, "a gap while it was live")
    names = ", ".join(f'"{f.name}"' for f in STREAMS[table].fields())
    last = f"SELECT {names}, _raw FROM brex_history.{table} WHERE _valid_to IS NULL ORDER BY id"
    live = f"SELECT {names}, _raw FROM brex.{table} WHERE _deleted_at IS NULL ORDER BY id"
    assert rig.rows(last) == rig.rows(live)


def test_a_rows_first_version_begins_when_it_was_first_seen(company: Any) -> None:
    company.sync("cards", "users")
    for table in ("cards", "users"):
        assert company.rows(
            f"SELECT count(*), count(*) FILTER (WHERE v._valid_from = t._first_seen_at), "
            f"count(v._valid_to), count(v._changed_columns) "
            f"FROM brex.{table} t LEFT JOIN brex_history.{table} v USING (id)"
        ) == [(len(company.world.collection(table)),) * 2 + (0, 0)]
        assert_whole(company, table)


def test_what_the_limit_was_on_a_day_is_one_simple_query(rig: Any) -> None:
    cards = rig.world.collection("cards")
    cards.add(limited("c1", 10_000))
    rig.sync("cards")
    cards.edit("c1", **limited("c1", 25_000))
    rig.sync("cards")
    (first, then) = versions(rig)
    assert then[4] == [
        "spend_controls_spend_limit",
        "spend_controls_spend_limit_minor",
    ]
    assert first[3] == then[2]
    asked = (
        "SELECT spend_controls_spend_limit FROM brex_history.cards "
        "WHERE id = 'c1' AND tstzrange(_valid_from, _valid_to) @> CAST(:at AS timestamptz)"
    )
    assert rig.one(asked, at=first[2]) == 100
    assert rig.one(asked, at=then[2]) == 250
    assert rig.one(asked, at="infinity") == 250
    assert rig.rows(asked, at="-infinity") == []


def test_no_version_is_written_when_nothing_changed(company: Any) -> None:
    company.sync("cards")
    before = company.rows("SELECT ctid::text, xmin::text FROM brex_history.cards ORDER BY 1")
    company.sync("cards")
    after = company.rows("SELECT ctid::text, xmin::text FROM brex_history.cards ORDER BY 1")
    assert after == before


def test_a_deletion_ends_the_version_and_a_revival_begins_one(rig: Any) -> None:
    users = rig.world.collection("users")
    users.add(person("u1"))
    rig.sync("users")
    users.delete("u1")
    rig.sync("users")
    [(_, _, _, ended, _)] = versions(rig, "users", "status")
    assert ended == rig.one("SELECT _deleted_at FROM brex.users")
    users.add(person("u1"))
    rig.sync("users")
    _, (_, _, began, open_, changed) = versions(rig, "users", "status")
    assert began > ended
    assert open_ is None
    assert changed == ["_deleted_at"]
    assert_whole(rig, "users")


def test_a_change_of_a_field_without_a_column_is_a_version_too(rig: Any) -> None:
    users = rig.world.collection("users")
    users.add(person("u1"))
    rig.sync("users")
    users.edit("u1", novelty=1)
    rig.sync("users")
    assert [v[4] for v in versions(rig, "users", "status")] == [None, ["_raw"]]


def test_versions_are_in_the_rows_own_transaction(rig: Any) -> None:
    users = rig.world.collection("users")
    users.add(person("u1"))
    rig.sync("users")
    users.edit("u1", status="DISABLED")
    rig.sync("users")
    assert rig.one(
        "SELECT v.xmin = t.xmin FROM brex.users t JOIN brex_history.users v "
        "ON v.id = t.id AND v._valid_to IS NULL"
    )


def test_moments_rise_even_when_a_row_changes_twice_at_once_or_the_clock_goes_back(
    rig: Any,
) -> None:
    rig.world.collection("users").add(person("u1"))
    rig.sync("users")
    change = (
        "UPDATE brex.users SET status = :s, "
        "_raw = _raw || jsonb_build_object('status', CAST(:s AS text)), "
        "_changed_at = now() - CAST(:back AS interval)"
    )
    with rig.engine.begin() as db:
        for status, back in (("A", "0"), ("B", "0"), ("C", "1 day")):
            db.execute(sa.text(change), {"s": status, "back": back})
    assert [v[1] for v in versions(rig, "users", "status")] == ["ACTIVE", "A", "B", "C"]
    assert_whole(rig, "users")


def test_streams_without_history_have_none(company: Any) -> None:
    company.sync()
    kept = {r[0] for r in company.rows("SELECT tablename FROM pg_tables WHERE schemaname = :s",
                                       s="brex_history")}  # fmt: skip
    assert {n for n, s in STREAMS.items() if s.history} <= kept
    assert "card_accounts" not in kept


NOTES = Stream(
    name="notes",
    group="team",
    description="Notes.",
    path="/v2/notes",
    scope="notes.readonly",
    columns=(text("id", "Id."), text("title", "Title.")),
)
KEPT = replace(NOTES, history=True)


@pytest.fixture
def notes(apart: Any) -> Any:
    """A table that was there, with a row of an older day and a deleted one, before history was."""
    prepare(apart.warehouse, [NOTES], [])
    with apart.engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO brex.notes (id, _raw, _first_seen_at, _deleted_at) VALUES "
            """('a', '{"id":"a","colour":"red"}', '2026-01-01Z', NULL), """
            """('b', '{"id":"b"}', '2026-01-01Z', '2026-02-01Z')"""
        )
    return apart


def test_history_begins_for_rows_that_were_there_before_it_when_they_were_first_seen(
    notes: Any,
) -> None:
    prepare(notes.warehouse, [KEPT], [])
    prepare(notes.warehouse, [KEPT, *STREAMS.values()], VIEWS.values())
    assert notes.rows(
        "SELECT id, _valid_from::date::text, _valid_to::date::text "
        "FROM brex_history.notes ORDER BY id"
    ) == [("a", "2026-01-01", None), ("b", "2026-01-01", "2026-02-01")]


def test_a_column_added_to_the_declaration_is_added_to_the_past_and_is_no_change(
    notes: Any,
) -> None:
    prepare(notes.warehouse, [KEPT], [])
    grown = (*NOTES.columns, text("colour", "Colour."))
    prepare(notes.warehouse, [replace(KEPT, columns=grown)], [])
    with notes.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex.notes SET colour = _raw->>'colour', _changed_at = now()")
    assert notes.rows(
        "SELECT colour, _valid_to, _changed_columns FROM brex_history.notes WHERE id = 'a'"
    ) == [("red", None, None)]
