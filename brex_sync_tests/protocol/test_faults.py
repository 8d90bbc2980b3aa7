"""A Brex that misbehaves: streams recover or say why not, and nothing is lost or invented."""

import pytest

from brex_sync.sandbox.faults import Fault, Kind
from brex_sync_tests.conftest import Rig

CARDS = "/v2/transactions/card/primary"
PASSING = [
    Fault(Kind.STATUS, CARDS, status=500, body="oops"),
    Fault(Kind.STATUS, CARDS, status=503, headers={"Retry-After": "0"}),
    Fault(Kind.STATUS, CARDS, status=429, body='{"type":"X","message":"slow down"}'),
    Fault(Kind.STATUS, CARDS, status=429, headers={"Retry-After": "0"}),
    Fault(Kind.HTML, CARDS),
    Fault(Kind.TRUNCATED, CARDS),
    Fault(Kind.EMPTY, CARDS),
    Fault(Kind.NO_ITEMS, CARDS),
    Fault(Kind.NULL_ITEMS, CARDS),
    Fault(Kind.HANG, CARDS),
    Fault(Kind.EXPIRED_CURSOR, CARDS),
    Fault(Kind.SMALL_PAGES, CARDS, times=None, limit=40),
]
LASTING = [
    (Fault(Kind.STATUS, CARDS, times=None, status=500), "answered 500"),
    (Fault(Kind.HTML, CARDS, times=None), "not the JSON list expected"),
    (Fault(Kind.NO_ITEMS, CARDS, times=None), "not the JSON list expected"),
    (Fault(Kind.NULL_ITEMS, CARDS, times=None), "not the JSON list expected"),
    (Fault(Kind.EMPTY, CARDS, times=None), "not the JSON list expected"),
    (Fault(Kind.LOOP, CARDS, times=None), "do not end"),
    (Fault(Kind.HANG, CARDS, times=None), "no complete answer within"),
    (Fault(Kind.STATUS, CARDS, times=None, status=302, headers={"Location": "http://x"}), "302"),
    (Fault(Kind.BODY, CARDS, times=None, body='{"items":[{"id":NaN}]}'), "not the JSON"),
]


def copy(fault: Fault) -> Fault:
    return Fault(
        fault.kind,
        fault.path,
        fault.times,
        fault.after,
        fault.status,
        fault.body,
        dict(fault.headers),
        fault.limit,
        fault.seconds,
    )


@pytest.mark.parametrize("fault", PASSING, ids=lambda f: f"{f.kind}-{f.status}-{f.headers}")
def test_a_fault_that_passes_costs_nothing(company: Rig, fault: Fault) -> None:
    fault = copy(fault)
    fault.after = 1 if fault.kind is not Kind.SMALL_PAGES else 0
    company.faults.add(fault)
    report = company.sync(pages=50)
    assert report.finished, [s.error for s in report.failed]
    assert company.live() == {
        t["id"] for t in company.world.collection("card_transactions").items()
    }


@pytest.mark.parametrize(("fault", "told"), LASTING, ids=lambda f: getattr(f, "kind", ""))
def test_a_fault_that_lasts_fails_its_stream_alone(company: Rig, fault: Fault, told: str) -> None:
    company.sync(pages=50)
    before = company.live()
    company.faults.add(copy(fault))
    report = company.sync(pages=50, full=True)
    assert [s.stream for s in report.failed] == ["card_transactions"]
    assert told in (report.streams["card_transactions"].error or "")
    assert company.live() == before
    assert company.live("users")


def test_a_fault_in_the_accounts_fails_the_transactions_that_need_them(company: Rig) -> None:
    company.faults.add(Fault(Kind.STATUS, "/v2/accounts/cash", times=None, status=500))
    report = company.sync()
    assert {s.stream for s in report.failed} == {"cash_accounts", "cash_transactions"}
    assert "cash_accounts" in (report.streams["cash_transactions"].error or "")


def test_a_refused_token_is_told_without_showing_it(company: Rig) -> None:
    company.token = "bxt_wrong_sentinel"
    report = company.sync()
    assert len(report.failed) == len(report.streams)
    told = " ".join(s.error or "" for s in report.failed)
    assert "Invalid or Revoked Token" in told
    assert "sentinel" not in told


def test_a_row_of_the_wrong_type_is_set_aside_and_the_others_land(company: Rig) -> None:
    cards = company.world.collection("cards")
    good = cards.get("ncard_00007")
    cards.edit("ncard_00007", card_name=12)
    report = company.sync()
    assert report.streams["cards"].quarantined == 1
    assert len(company.live("cards")) == len(cards) - 1
    [(key, reason)] = company.rows("SELECT key, reason FROM brex_sync.quarantine")
    assert (key, reason) == ("ncard_00007", "card_name: expected text, got int '12'")
    assert good is not None
    cards.edit("ncard_00007", card_name=good["card_name"])
    company.sync()
    assert company.rows("SELECT key FROM brex_sync.quarantine") == []
    assert "ncard_00007" in company.live("cards")
