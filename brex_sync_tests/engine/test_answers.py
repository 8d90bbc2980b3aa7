"""Answers that are not what they seem end no list, empty none, and stop no other stream."""

from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.sync.normalise.items import normalise
from brex_sync_tests.engine.items import day, person, spend
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
GATEWAY = "<html>404 page not found</html>"


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_cursor_refused_in_whatever_words_begins_the_window_anew(rig: Any, status: int) -> None:
    spend(rig, 40)
    body = '{"type":"BAD_REQUEST","message":"Invalid page token"}'
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=1, after=2, status=status, body=body))
    report = rig.sync("card_transactions", pages=10)
    assert report.finished
    assert report.streams["card_transactions"].unavailable is None
    assert_equal(rig, "card_transactions")


def test_a_cursor_that_is_always_refused_is_a_failure(rig: Any) -> None:
    spend(rig, 40)
    absent = JSONResponse({"type": "NOT_FOUND", "message": "no such page"}, 404)

    def wrap(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            answers = absent if b"cursor" in scope["query_string"] else app
            await answers(scope, receive, send)

        return inner

    rig.wrap = wrap
    report = rig.sync("card_transactions", pages=10).streams["card_transactions"]
    assert "answered 404: no such page" in str(report.error)
    assert report.unavailable is None


@pytest.mark.parametrize("answer", ["500", "HTML", "LOOP"])
def test_a_saved_cursor_that_stays_bad_is_given_up_once_the_list_itself_comes(
    rig: Any, answer: str
) -> None:
    spend(rig, 60)
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=None, after=2, status=500))
    assert not rig.sync("card_transactions", pages=10).finished
    cursor = rig.one("SELECT window_cursor FROM brex_sync.checkpoints")
    bad = {
        "500": Response(status_code=500),
        "HTML": Response("<html>gone</html>", 410),
        "LOOP": JSONResponse({"items": [], "next_cursor": cursor}),
    }[answer]
    assert not rig.sync("card_transactions", pages=10).finished, "the outage goes on"
    assert rig.one("SELECT window_cursor FROM brex_sync.checkpoints") == cursor
    rig.faults.clear()
    good = []

    def wrap(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            if b"cursor" not in scope["query_string"]:
                good.append(True)
            await (app if good else bad)(scope, receive, send)

        return inner

    rig.wrap = wrap
    assert rig.sync("card_transactions", pages=10).finished
    assert_equal(rig, "card_transactions")


def test_a_gateway_that_finds_no_row_is_no_proof_that_it_is_gone(rig: Any) -> None:
    for n in range(3):
        rig.world.collection("users").add(person(f"u{n}"))
    rig.sync("users")
    rig.world.collection("users").delete("u1")
    rig.faults.add(Fault(FaultKind.STATUS, "/v2/users/u1", times=None, status=404, body=GATEWAY))
    assert "not Brex's form" in str(rig.sync("users").streams["users"].error)
    assert rig.gone("users") == set()
    rig.faults.clear()
    rig.sync("users")
    assert rig.gone("users") == {"u1"}


def test_a_gateway_that_finds_no_list_empties_none(company: Any) -> None:
    company.sync("user_limits")
    before = company.one("SELECT count(*) FROM brex.user_limits WHERE _deleted_at IS NULL")
    limits = "/v2/users/*/limit"
    company.faults.add(Fault(FaultKind.STATUS, limits, times=None, status=404, body=GATEWAY))
    report = company.sync("user_limits", full=True).streams["user_limits"]
    assert report.error
    assert company.one("SELECT count(*) FROM brex.user_limits WHERE _deleted_at IS NULL") == before


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_by_something_on_the_way_fails_the_run_and_the_next_one_asks_again(
    company: Any, status: int
) -> None:
    body = "<html>Invalid token. Rate limit exceeded, missing scope</html>"
    company.faults.add(Fault(FaultKind.STATUS, "/v2/users", times=None, status=status, body=body))
    report = company.sync("users").streams["users"]
    assert "not Brex's form" in str(report.error)
    assert report.unavailable is None
    company.faults.clear()
    report = company.sync("users")
    assert (report.finished, report.streams["users"].unavailable) == (True, None)
    assert_equal(company, "users")


def test_a_refusal_by_something_on_the_way_is_asked_about_again_at_once(company: Any) -> None:
    company.faults.add(Fault(FaultKind.STATUS, "/v2/users", times=2, status=403))
    assert company.sync("users").finished
    assert_equal(company, "users")


def test_a_number_that_cannot_be_held_concerns_its_field_alone(rig: Any) -> None:
    spend(rig, 3)
    odd = b'{"id":"odd","card_metadata":{"k":1e9999999999999999999}}'
    rig.world.collection("card_transactions").add_raw("odd", day(rig.world, 0), odd)
    report = rig.sync("card_transactions")
    assert report.finished
    assert rig.live() == {"t0000", "t0001", "t0002", "odd"}
    [(field, reason, raw)] = rig.rows("SELECT field, reason, raw FROM brex_sync.quarantine")
    assert (field, raw) == ("card_metadata", '{"k":1e9999999999999999999}')
    assert "beyond what can be held" in reason


def test_a_fault_nobody_foresaw_fails_its_stream_and_no_other(
    rig: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spend(rig, 3)
    rig.world.collection("users").add(person("u"))

    def broken(stream: Any, *rest: Any) -> Any:
        if stream.name == "users":
            raise ZeroDivisionError
        return normalise(stream, *rest)

    monkeypatch.setattr("brex_sync.sync.read.walking.normalise", broken)
    report = rig.sync("users", "card_transactions")
    assert [failed.stream for failed in report.failed] == ["users"]
    assert report.failed[0].error == "an unforeseen fault, ZeroDivisionError; the log tells where"
    assert "Traceback" in caplog.text
    assert_equal(rig, "card_transactions")


def test_document_numbers_of_travellers_are_cut() -> None:
    booking = (
        b'{"id":"b","type":"AIR","booking_data":{"known_traveler_number":'
        b'{"issuing_country":"US","document_number":"KTN123456789"}}}'
    )
    rows = normalise(STREAMS["bookings"], [booking], "trip").rows
    for column in ("booking_data", "_raw"):
        assert "123456789" not in rows[column][0]
        assert '"document_number":"6789"' in rows[column][0]
