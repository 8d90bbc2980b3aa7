"""Every stream of the catalogue: its table is the truth, in pages, after changes, and twice."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from brex_sync.streams import STREAMS
from brex_sync_tests.engine.truth import ALL, CHILDREN, assert_equal

EDITS = {
    "users": {"first_name": "Changed"},
    "cards": {"card_name": "Changed"},
    "budgets": {"name": "Changed"},
    "expenses": {"memo": "Changed", "receipts": [{"id": "receipt_new"}]},
    "spend_limits": {"name": "Changed", "transaction_limit": {"amount": 7, "currency": "KWD"}},
    "vendors": {"company_name": "Changed"},
    "fields": {"name": "Changed"},
    "field_values": {"value": "Changed"},
    "trips": {"name": "Changed"},
    "bookings": {"status": "CHANGED"},
    "transfers": {"status": "CHANGED"},
    "accounting_records": {"memo": "Changed", "line_items": []},
    "referrals": {"customer_email": "changed@startup.example"},
    "company": {"legal_name": "Changed"},
}


def test_the_checker_knows_every_table_of_the_catalogue() -> None:
    assert set(ALL) == set(STREAMS)
    children = {child for of_one in CHILDREN.values() for child in of_one}
    assert children == {child.name for s in STREAMS.values() for child in s.children}


def test_nothing_that_brex_sends_is_left_without_a_column(company: Any) -> None:
    report = company.sync()
    assert report.finished
    unknown = {s.stream: s.unknown for s in report.streams.values() if s.unknown}
    assert unknown == {}
    assert all(s.fetched for s in report.streams.values()), "the sandbox has data for each"


def test_small_pages_lead_to_the_same_tables(company: Any) -> None:
    small = [name for name in ALL if name not in ("card_transactions", "expenses")]
    assert company.sync(*small, pages=7).finished
    assert_equal(company, *small)


def test_edits_and_deletions_reach_every_table(company: Any) -> None:
    company.sync()
    deleted = {table: _edit_one_and_delete_another(company, table) for table in EDITS}
    report = company.sync(full=True)
    assert report.finished
    company.later = timedelta(days=1, hours=1)
    later = company.sync(full=True)
    assert later.finished
    for table, gone in deleted.items():
        stream = report.streams[table]
        at_once = gone if STREAMS[table].item_path else 0
        assert (table, stream.deleted) == (table, at_once)
        assert (table, later.streams[table].deleted) == (table, gone - at_once)
        assert stream.updated == 1 or table == "expenses", "which show users and budgets by name"
    assert_equal(company)


def _edit_one_and_delete_another(rig: Any, table: str) -> int:
    """Changes the newest row and deletes the next, if there is one; returns how many it deleted."""
    collection = rig.world.collection(table)
    lists = (collection.rows(parent).ids for parent in (collection.parents() or [None]))
    edited, *others = next(ids for ids in lists if ids)
    extra = {"updated_at": _now(rig)} if "updated_at" in collection.get(edited) else {}
    gone = others[:1]
    collection.edit(edited, **EDITS[table], **extra)
    for key in gone:
        collection.delete(key)
    return len(gone)


@pytest.mark.parametrize(("parent", "table"), [("trips", "bookings"), ("fields", "field_values")])
def test_rows_of_a_parent_that_is_gone_go_with_it(company: Any, parent: str, table: str) -> None:
    company.sync(table)
    children = company.world.collection(table)
    gone = next(key for key in children.parents() if 0 < len(children.rows(key).ids) <= 10)
    company.world.collection(parent).delete(gone)
    for key in list(children.rows(gone).ids):
        children.delete(key)
    del children._lists[gone]
    assert company.sync(table, full=True).finished
    assert_equal(company, parent, table)
    paths = [r.path for r in company.requests]
    company.sync(table)
    again = [r.path for r in company.requests][len(paths) :]
    assert not any(gone in path for path in again), "what is gone is asked for no more"


def test_a_windows_first_moment_is_read_though_the_filter_leaves_it_out(rig: Any) -> None:
    trips = rig.world.collection("trips")
    trips.add(_trip("a", "2026-03-01T10:00:00Z"))
    rig.sync("trips")
    trips.add(_trip("b", "2026-03-01T10:00:00Z"))
    rig.requests.clear()
    report = rig.sync("trips", overlap=timedelta(0)).streams["trips"]
    (asked,) = rig.asked("/v1/trips")
    assert "last_updated_after=2026-03-01T09%3A59%3A59Z" in asked.query
    assert (report.fetched, report.inserted) == (2, 1)
    assert rig.one("SELECT listed = held FROM brex_sync.checkpoints WHERE stream = 'trips'")


def test_a_watermark_holds_moments_exactly(rig: Any) -> None:
    rig.world.collection("trips").add(_trip("a", "2026-03-01T10:00:00.123456+02:00"))
    rig.sync("trips")
    watermark = rig.one("SELECT watermark FROM brex_sync.checkpoints WHERE stream = 'trips'")
    assert watermark == datetime.fromisoformat("2026-03-01T08:00:00.123456Z")


def test_one_object_replaces_another(rig: Any) -> None:
    company = rig.world.collection("company")
    company.add({"id": "one", "legal_name": "One", "accountType": "BREX_CLASSIC"})
    rig.sync("company")
    company.delete("one")
    company.add({"id": "two", "legal_name": "Two", "account_type": "BREX_CLASSIC"})
    rig.sync_twice("company")
    assert rig.live("company") == {"two"}
    assert rig.rows("SELECT DISTINCT account_type FROM brex.company") == [("BREX_CLASSIC",)]
    assert rig.gone("company") == {"one"}


def _now(rig: Any) -> str:
    return f"{rig.now():%Y-%m-%dT%H:%M:%SZ}"


def _trip(key: str, updated: str) -> Any:
    return {"id": key, "status": "UPCOMING", "updated_at": updated, "version": 1}
