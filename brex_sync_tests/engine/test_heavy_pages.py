"""Pages that are too heavy to be answered are asked for in a smaller size, which is remembered."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.responses import JSONResponse, Response

from brex_sync.brex import client
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync_tests.conftest import FOR_HUNG
from brex_sync_tests.engine.items import spend
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"
FORM = {"type": "BAD_REQUEST", "message": "limit must be between 1 and 60"}
ANSWERS: dict[str, Callable[[], Response]] = {
    "504": lambda: Response("<html>gateway timeout</html>", 504),
    "503": lambda: Response(status_code=503),
    "firewall": lambda: Response("<html>blocked</html>", 403),
    "cut": lambda: Response(b'{"items":[{"id":"t0'),
    "large": lambda: Response(b" " * (client.LARGEST + 1)),
    "told": lambda: JSONResponse(FORM, 400),
}


def heavy(rig: Any, above: int, answer: Callable[[], Response], after: int = 0) -> None:
    """Pages of more rows than `above` are not served, after so many that are."""
    served = [0]

    def wrap(app: Any) -> Any:
        async def inner(scope: Any, receive: Any, send: Any) -> None:
            asked = int(parse_qs(scope["query_string"].decode()).get("limit", ["0"])[0])
            served[0] += 1
            spoilt = asked > above and served[0] > after
            await (answer() if spoilt else app)(scope, receive, send)

        return inner

    rig.wrap = wrap


def sizes(rig: Any) -> list[int]:
    """The page sizes asked for since the last look."""
    asked = [int(parse_qs(r.query).get("limit", ["0"])[0]) for r in rig.requests]
    rig.requests.clear()
    return asked


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("after", [0, 1])
def test_a_page_that_is_too_heavy_is_asked_for_in_smaller_ones(
    rig: Any, monkeypatch: pytest.MonkeyPatch, kind: str, after: int
) -> None:
    monkeypatch.setattr(client, "LARGEST", 200_000)
    spend(rig, 300)
    heavy(rig, 60, ANSWERS[kind], after)
    assert rig.sync("card_transactions", pages=200).finished
    assert_equal(rig, "card_transactions")
    rows = rig.one("SELECT rows FROM brex_sync.page_sizes WHERE stream = 'card_transactions'")
    assert rows == (60 if kind == "told" else 50)


def test_the_size_is_remembered_and_the_larger_one_tried_again_after_a_week(rig: Any) -> None:
    spend(rig, 120)
    heavy(rig, 60, ANSWERS["504"])
    rig.sync("card_transactions", pages=200)
    report = rig.sync("card_transactions", pages=200, full=True).streams["card_transactions"]
    assert (report.error, report.requests) == (None, 3)
    rig.wrap = lambda app: app
    rig.later = timedelta(days=6)
    assert (
        rig.sync("card_transactions", pages=200, full=True).streams["card_transactions"].requests
        == 3
    )
    rig.later = timedelta(days=8)
    assert (
        rig.sync("card_transactions", pages=200, full=True).streams["card_transactions"].requests
        == 1
    )


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 403])
def test_an_outage_makes_no_page_smaller_and_loses_no_place(rig: Any, status: int) -> None:
    spend(rig, 500)
    body = "<html>down</html>"
    fault = Fault(FaultKind.STATUS, CARDS, times=None, after=2, status=status, body=body)
    rig.faults.add(fault)
    report = rig.sync("card_transactions", pages=100).streams["card_transactions"]
    assert f"answered {status}" in str(report.error)
    assert len(rig.live()) == 200
    assert rig.rows("SELECT * FROM brex_sync.page_sizes") == []
    rig.faults.clear()
    report = rig.sync("card_transactions", pages=100, overlap=timedelta()).streams[
        "card_transactions"
    ]
    assert report.error is None
    assert_equal(rig, "card_transactions")


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_outage_that_ends_meanwhile_makes_no_page_smaller(rig: Any, failures: int) -> None:
    spend(rig, 300)
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=failures, after=1, status=504))
    report = rig.sync("card_transactions", pages=100)
    assert report.finished is (failures < 3)
    assert rig.rows("SELECT * FROM brex_sync.page_sizes") == []


def test_pages_that_are_small_already_get_no_smaller(rig: Any) -> None:
    spend(rig, 60)
    heavy(rig, 10, ANSWERS["504"])
    report = rig.sync("card_transactions", pages=25).streams["card_transactions"]
    assert "answered 504" in str(report.error)
    assert rig.rows("SELECT * FROM brex_sync.page_sizes") == []
    assert report.requests == 3


def test_a_list_that_always_fails_ends_with_its_fault(rig: Any) -> None:
    spend(rig, 60)
    heavy(rig, 0, ANSWERS["504"])
    report = rig.sync("card_transactions", pages=200).streams["card_transactions"]
    assert "answered 504" in str(report.error)
    assert report.requests == 3


def test_a_page_that_comes_too_late_is_too_heavy(rig: Any) -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    spend(rig, 60)
    heavy(rig, 60, lambda: late)  # type: ignore[arg-type, return-value]
    report = rig.sync("card_transactions", pages=100, patience=FOR_HUNG)
    assert report.finished
    assert_equal(rig, "card_transactions")
