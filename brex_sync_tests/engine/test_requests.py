"""What a client promises Brex: within the limit, patient when told to be, and modest."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient, Meter, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.sync.run import Sync
from brex_sync_tests.conftest import BREX_URL, SHORT, streams_in_pages
from brex_sync_tests.engine.items import cash_account, day, paid, person, spend
from brex_sync_tests.engine.truth import assert_equal

CARDS = "/v2/transactions/card/primary"


@dataclass
class Gate:
    """Stands before a server and notes when each request comes in and is answered."""

    app: Any
    slow: float = 0.0
    came: list[float] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.came.append(time.monotonic())
        self.paths.append(scope["raw_path"].decode())
        self.headers.append(dict(scope["headers"]))
        if self.slow:
            await asyncio.sleep(self.slow * (len(self.came) % 3))
        await self.app(scope, receive, send)

    def most_within(self, seconds: float) -> int:
        """The most requests that any window of so many seconds saw come in."""
        return max(sum(at <= t < at + seconds for t in self.came) for at in self.came)


async def sync(rig: Any, gate: Gate, limiter: RateLimiter, patience: Patience, pages: int) -> Any:
    endpoint = BrexApi(BREX_URL, lambda: rig.token)
    transport = httpx.ASGITransport(gate)
    async with BrexClient(endpoint, limiter, patience, transport=transport) as client:
        return await Sync(client, rig.warehouse).run(streams_in_pages(pages))


@pytest.mark.parametrize("slow", [0.0, 0.02])
def test_the_server_never_counts_more_than_the_limit_in_any_period(rig: Any, slow: float) -> None:
    spend(rig, 60)
    for i in range(20):
        rig.world.collection("users").add(person(f"u{i}"))
    for account in "abcdef":
        rig.world.collection("cash_accounts").add(cash_account(account))
        rig.world.collection("cash_transactions").add(paid("p", day(rig.world, 1)), account)
    gate = Gate(rig.app, slow)
    report = asyncio.run(sync(rig, gate, RateLimiter(12, 0.4), SHORT, pages=2))
    assert report.finished
    assert len(gate.came) > 45
    assert gate.most_within(0.4) <= 12
    assert gate.most_within(0.4) > 8, "and makes use of it"
    assert sum(s.requests for s in report.streams.values()) == len(gate.came)
    assert_equal(rig)


def test_all_streams_wait_as_long_as_brex_asks(rig: Any) -> None:
    spend(rig, 12)
    for i in range(150):
        rig.world.collection("users").add(person(f"u{i}"))
    headers = {"Retry-After": "1"}
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, status=429, after=2, headers=headers))
    gate = Gate(rig.app, 0.005)
    assert asyncio.run(sync(rig, gate, RateLimiter(), SHORT, pages=2)).finished
    refused = next(r.at for r in rig.requests if r.status == 429)
    meanwhile = [at for at in gate.came if refused < at < refused + 0.99]
    assert len(meanwhile) < 10, "only what was under way already"
    assert sum(at > refused + 0.99 for at in gate.came) > 50
    assert_equal(rig, "card_transactions", "users")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_what_brex_refuses_is_asked_once(rig: Any, status: int) -> None:
    body = '{"type":"X","message":"no"}'
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=None, status=status, body=body))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert f"answered {status}: no" in str(report.error or report.unavailable)
    assert report.requests == len(rig.requests) == 1


def test_what_may_pass_is_asked_again_as_often_as_patience_says(rig: Any) -> None:
    rig.faults.add(Fault(FaultKind.STATUS, CARDS, times=None, status=503))
    report = rig.sync("card_transactions").streams["card_transactions"]
    assert report.requests == len(rig.requests) == SHORT.attempts


def test_a_redirect_is_not_followed_and_never_carries_the_credential(rig: Any) -> None:
    elsewhere = {"Location": "http://elsewhere.test/v2/users"}
    rig.faults.add(Fault(FaultKind.STATUS, "/v2/users", times=None, status=307, headers=elsewhere))
    gate = Gate(rig.app)
    report = asyncio.run(sync(rig, gate, RateLimiter(), SHORT, pages=5))
    assert "answered 307" in str(report.streams["users"].error)
    assert {headers[b"host"] for headers in gate.headers} == {b"brex.test"}


def test_no_request_goes_near_a_card_number(company: Any) -> None:
    gate = Gate(company.app)
    assert asyncio.run(sync(company, gate, RateLimiter(), SHORT, pages=100)).finished
    assert len(gate.paths) > 10
    assert not [path for path in gate.paths if "/pan" in path]


def test_identifiers_are_percent_encoded_in_paths(rig: Any) -> None:
    odd = "a/b ?#%25"
    rig.world.collection("cash_accounts").add(cash_account(odd))
    rig.world.collection("cash_transactions").open_list(odd)
    gate = Gate(rig.app)
    asyncio.run(sync(rig, gate, RateLimiter(), SHORT, pages=5))
    assert "/v2/transactions/cash/a%2Fb%20%3F%23%2525" in gate.paths


@pytest.mark.parametrize("when", ["0.3", "date"])
def test_a_server_that_is_busy_says_for_how_long(when: str) -> None:
    came: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        came.append(time.monotonic())
        moment = datetime.now(UTC) + timedelta(seconds=2)
        told = format_datetime(moment, usegmt=True) if when == "date" else when
        if len(came) == 1:
            return httpx.Response(503, headers={"Retry-After": told})
        return httpx.Response(200, content=b"ok")

    async def main() -> bytes:
        transport = httpx.MockTransport(answer)
        async with BrexClient(
            BrexApi(BREX_URL, lambda: "t"), RateLimiter(), SHORT, transport=transport
        ) as client:
            return await client.get("/x", {}, bytes, Meter())

    assert asyncio.run(main()) == b"ok"
    assert came[1] - came[0] >= (0.9 if when == "date" else 0.3)
