"""Whatever Brex answers: a stream recovers or says why not, and no live row is lost or marked."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from brex_sync.brex.client import Patience
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import FOR_HUNG, REFUSED, SHORT
from brex_sync_tests.engine.items import person, spend
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
NAN = '{"items":[{"id":NaN}]}'
PASSING = [
    Fault(FaultKind.STATUS, CARDS, status=429, headers={"Retry-After": "0"}),
    Fault(FaultKind.STATUS, CARDS, status=429, body='{"type":"X","message":"slow down"}', after=1),
    Fault(FaultKind.STATUS, CARDS, status=500, body="oops"),
    Fault(FaultKind.STATUS, CARDS, status=503, after=1, headers={"Retry-After": "0"}),
    Fault(FaultKind.HTML, CARDS, after=1),
    Fault(FaultKind.TRUNCATED, CARDS, after=2),
    Fault(FaultKind.EMPTY, CARDS),
    Fault(FaultKind.EMPTY, CARDS, after=2),
    Fault(FaultKind.NO_ITEMS, CARDS, after=1),
    Fault(FaultKind.NULL_ITEMS, CARDS, after=1),
    Fault(FaultKind.BODY, CARDS, body=NAN),
    Fault(FaultKind.EXPIRED_CURSOR, CARDS, after=1),
    Fault(FaultKind.HANG, CARDS, after=1),
    Fault(FaultKind.SMALL_PAGES, CARDS, limit=3, times=None),
]
LASTING = [
    (Fault(FaultKind.STATUS, CARDS, status=500), "answered 500"),
    (Fault(FaultKind.STATUS, CARDS, status=302, headers={"Location": "http://x"}), "answered 302"),
    (Fault(FaultKind.HTML, CARDS), "not the JSON list expected"),
    (Fault(FaultKind.TRUNCATED, CARDS), "not the JSON list expected"),
    (Fault(FaultKind.EMPTY, CARDS), "not the JSON list expected"),
    (Fault(FaultKind.NO_ITEMS, CARDS), "not the JSON list expected"),
    (Fault(FaultKind.NULL_ITEMS, CARDS), "not the JSON list expected"),
    (Fault(FaultKind.BODY, CARDS, body=NAN), "not the JSON list expected"),
    (Fault(FaultKind.LOOP, CARDS), "pages do not end"),
    (Fault(FaultKind.EXPIRED_CURSOR, CARDS), "Invalid cursor"),
    (Fault(FaultKind.HANG, CARDS), "no complete answer within"),
]


def again(fault: Fault, **changes: Any) -> Fault:
    """A fault of one's own, since they are used up."""
    return replace(fault, headers=dict(fault.headers), **changes)


def patient(fault: Fault) -> Patience:
    return FOR_HUNG if fault.kind is FaultKind.HANG else SHORT


def named(value: Any) -> str | None:
    return f"{value.kind}-{value.status}-{value.after}" if isinstance(value, Fault) else ""


@pytest.mark.parametrize("fault", PASSING, ids=named)
def test_a_passing_fault_is_survived(rig: Any, fault: Fault) -> None:
    spend(rig, 30)
    rig.faults.add(again(fault))
    report = rig.sync("card_transactions", pages=10, patience=patient(fault))
    assert report.finished, report.failed
    assert_equal(rig, "card_transactions")
    assert rig.gone() == set()


@pytest.mark.parametrize(("fault", "told"), LASTING, ids=named)
@pytest.mark.parametrize("after", [0, 2])
def test_a_lasting_fault_fails_its_stream_alone_and_the_next_run_heals(
    rig: Any, fault: Fault, told: str, after: int
) -> None:
    spend(rig, 30)
    rig.world.collection("users").add(person("u1"))
    rig.sync("card_transactions", "users", pages=10)
    spend(rig, 5, prefix="new")
    rig.world.collection("users").add(person("u2"))
    rig.faults.add(again(fault, times=None, after=after))
    report = rig.sync("card_transactions", "users", pages=5, full=True, patience=patient(fault))
    assert told in str(report.streams["card_transactions"].error)
    assert report.streams["users"].error is None
    assert rig.live("users") == {"u1", "u2"}
    assert rig.gone() == set()
    assert len(rig.live()) >= 30
    rig.faults.clear()
    assert rig.sync("card_transactions", pages=10).finished
    assert_equal(rig, "card_transactions")


def test_a_refused_cursor_begins_the_same_window_again_and_not_the_whole_list(rig: Any) -> None:
    spend(rig, 40)
    rig.sync("card_transactions")
    rig.requests.clear()
    rig.faults.add(Fault(FaultKind.EXPIRED_CURSOR, CARDS, after=1))
    assert rig.sync("card_transactions", pages=5).finished
    assert len(rig.asked(CARDS)) > 3
    assert all("posted_at_start" in r.query for r in rig.asked(CARDS))


def test_what_was_read_before_a_server_hung_is_kept_and_gone_on_from(rig: Any) -> None:
    keys = spend(rig, 30, back=100)
    rig.faults.add(Fault(FaultKind.HANG, CARDS, times=None, after=3))
    started = asyncio.run(rig.run("card_transactions", pages=5, patience=FOR_HUNG))
    assert not started.finished
    assert rig.live() == set(keys[:15])
    rig.faults.clear()
    rig.requests.clear()
    report = rig.sync("card_transactions", pages=5).streams["card_transactions"]
    assert report.error is None
    assert len([r for r in rig.asked(CARDS) if "posted_at_start" not in r.query]) == 3
    assert_equal(rig, "card_transactions")


def test_a_missing_scope_makes_one_stream_unavailable_and_says_so(company: Any) -> None:
    company.faults.add(Fault(FaultKind.STATUS, "/v2/cards", times=None, status=403, body=REFUSED))
    report = company.sync()
    assert report.failed == []
    assert [s.stream for s in report.streams.values() if s.unavailable] == ["cards"]
    assert "no scope" in str(report.streams["cards"].unavailable)
    assert report.streams["cards"].requests == 1


def test_a_fault_in_the_accounts_fails_the_transactions_that_need_them(company: Any) -> None:
    company.faults.add(Fault(FaultKind.STATUS, "/v2/accounts/cash", times=None, status=500))
    report = company.sync()
    assert {s.stream for s in report.failed} == {
        "cash_accounts", "cash_statements", "cash_transactions"
    }  # fmt: skip
    assert "cash_accounts" in str(report.streams["cash_transactions"].error)


def test_one_account_that_fails_fails_its_stream_and_the_others_accounts_land(
    company: Any,
) -> None:
    broken, *others = company.world.collection("cash_transactions").parents()
    company.faults.add(
        Fault(FaultKind.STATUS, f"/v2/transactions/cash/{broken}", times=None, status=500)
    )
    report = company.sync()
    assert [s.stream for s in report.failed] == ["cash_transactions"]
    held = company.rows("SELECT DISTINCT cash_account_id FROM brex.cash_transactions")
    assert {r[0] for r in held} == set(others)
    company.faults.clear()
    assert company.sync().finished
    assert_equal(company, "cash_transactions")


def test_a_refused_token_is_told_without_showing_it(rig: Any) -> None:
    rig.token = "bxt_wrong_sentinel"
    report = rig.sync()
    assert len(report.failed) == len(report.streams)
    told = " ".join(s.error or "" for s in report.failed)
    assert "Invalid or Revoked Token" in told
    assert "sentinel" not in told
