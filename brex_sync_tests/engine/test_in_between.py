"""What something between us and Brex says is never taken for Brex's word.

A proxy, a firewall or a load balancer responds in Brex's place, once or for a whole run, to any
request of any stream. No row may be marked as deleted by it, no run may be green that left out a
stream that can be read, and no connection may wait for a person whose credential is good.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.connections.credentials import Credentials, Session
from brex_sync.connections.declared import Connection
from brex_sync.connections.vault import Vault, new_key
from brex_sync.sandbox import create_app
from brex_sync.settings import Configuration
from brex_sync.streams import STREAMS
from brex_sync.streams.selection import with_parents
from brex_sync.sync.report import Report
from brex_sync.sync.run import Sync
from brex_sync.warehouse import credentials as credential_table
from brex_sync.warehouse.credentials import CredentialState
from brex_sync_tests.conftest import BREX_URL, FOR_HUNG, Rig, streams_in_pages
from brex_sync_tests.engine.items import day, paid, person, spent
from brex_sync_tests.engine.truth import COLLECTIONS, IDS, PARENTS, assert_equal
from brex_sync_tests.worlds import PAGE, small_company

HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1>{1}</body></html>"
BODIES = [
    "",
    " ",
    "null",
    "[]",
    "{}",
    "Forbidden",
    "invalid token",
    HTML.format("403 Forbidden", "Access token required. Your role lacks permission."),
    HTML.format("502 Bad Gateway", "nginx"),
    HTML.format("404 Not Found", "The requested URL was not found"),
    '{"message": "Forbidden"}',
    '{"message": "Invalid or Revoked Token"}',
    '{"error": "invalid_token", "error_description": "The token expired"}',
    '{"code": 403, "message": "rate limit exceeded"}',
    '{"type": 404, "message": "NOT_FOUND"}',
    '{"type": "NOT_FOUND"}',
    '{"items": null}',
    '{"items": [], "next_cursor": 5}',
    '[{"type": "NOT_FOUND", "message": "not found"}]',
]
STATUSES = [
    204, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 413, 418, 421,
    425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 520, 529,
]  # fmt: skip
HEADERS = [
    {},
    {"Retry-After": "0"},
    {"Retry-After": "-1"},
    {"Retry-After": "soon"},
    {"Content-Type": "text/html"},
    {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    {"Location": "/v2/users"},
    {"Location": "https://elsewhere.example/login"},
]
FALSE_LISTS = ['{"items": []}', '{"items": [], "next_cursor": null}', "[]"]


@dataclass
class Interference:
    """Responds in Brex's place to paths like `path`, after `after` of them, `times` times; None
    means for the whole run."""

    path: str
    after: int
    times: int | None
    status: int
    body: str
    headers: dict[str, str]

    def strikes(self, path: str) -> bool:
        if not fnmatchcase(path, self.path) or self.times == 0:
            return False
        self.after -= 1
        if self.after >= 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class InBetween:
    """An app behind something that interferes; `false_lists` counts the lies it told with 200."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.now: list[Interference] = []
        self.false_lists = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for one in self.now:
            if one.strikes(scope["path"]):
                self.false_lists += one.status == 200
                response = Response(one.body, one.status, one.headers)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def paths(names: Iterable[str]) -> list[str]:
    """Where streams, and those they are listed by, ask for lists and rows, as globs."""
    found = {"/v2/company"}
    for stream in with_parents(STREAMS[name] for name in names):
        for path in filter(None, (stream.path, stream.item_path)):
            found.add(re.sub(r"{\w+}", "*", path))
    return sorted(found)


def refusals(names: Iterable[str]) -> st.SearchStrategy[Interference]:
    return st.builds(
        Interference,
        path=st.sampled_from(["*", *paths(names)]),
        after=st.sampled_from([0, 0, 0, 1, 2, 5]),
        times=st.sampled_from([1, 2, None, None]),
        status=st.sampled_from(STATUSES),
        body=st.sampled_from(BODIES),
        headers=st.sampled_from(HEADERS),
    )


def false_lists(names: Iterable[str]) -> st.SearchStrategy[Interference]:
    return st.builds(
        Interference,
        path=st.sampled_from(paths(names)),
        after=st.sampled_from([0, 0, 1]),
        times=st.sampled_from([1, None]),
        status=st.just(200),
        body=st.sampled_from(FALSE_LISTS),
        headers=st.just({}),
    )


def runs(names: Iterable[str]) -> st.SearchStrategy[Any]:
    """What happens at Brex and what comes in between, run by run; no false list in the first,
    which knows of no row that it could lack."""
    refused = refusals(names)
    between = st.lists(st.one_of(refused, refused, false_lists(names)), max_size=3)
    first = st.tuples(st.just("nothing"), st.lists(refused, max_size=2))
    later = st.tuples(st.sampled_from(["add", "edit", "delete", "nothing"]), between)
    return st.tuples(st.just(names), first, st.lists(later, max_size=3))


life = st.sets(st.sampled_from(sorted(STREAMS)), min_size=1, max_size=3).map(sorted).flatmap(runs)


class Account:
    """A company read by an API key that is good throughout."""

    def __init__(self, engine: sa.Engine, names: Iterable[str]) -> None:
        self.streams = with_parents(s for s in streams_in_pages(PAGE) if s.name in names)
        self.world = small_company()
        self.rig = Rig(engine, self.world)
        self.between = InBetween(create_app(self.world, rate_limit=None))
        self.connection = Connection("brex", Configuration.API_KEY, BREX_URL, "bxt_sandbox")
        self.numbers = iter(range(1000))

    @property
    def names(self) -> list[str]:
        return [stream.name for stream in self.streams]

    def happen(self, what: str) -> None:
        number = next(self.numbers)
        spending = self.world.collection("card_transactions")
        if what == "add":
            spending.add(spent(f"new{number}", day(self.world, 0)))
            self.world.collection("users").add(person(f"new{number}"))
            accounts = self.world.collection("cash_accounts").rows().ids
            cash = self.world.collection("cash_transactions")
            cash.add(paid(f"new{number}", day(self.world, 0)), accounts[0])
        if what == "edit":
            spending.edit(spending.rows().ids[0], description=f"edit {number}")
        if what == "delete":
            for name in ("vendors", "linked_accounts", "cost_centers"):
                if ids := self.world.collection(name).rows().ids:
                    self.world.collection(name).delete(ids[0])

    def sync(self, interference: list[Interference] | None = None, **later: float) -> Report:
        self.rig.later += timedelta(**later)
        self.between.now = interference or []
        self.between.false_lists = 0
        return asyncio.run(self._sync())

    async def _sync(self) -> Report:
        transport = httpx.ASGITransport(self.between)
        credentials = Credentials(
            self.connection, self.rig.engine, Vault(new_key), self.rig.now,
            api_transport=transport,
        )  # fmt: skip
        session = Session(credentials)
        endpoint = BrexApi(BREX_URL, session.token, session.renew)
        async with BrexClient(endpoint, RateLimiter(), FOR_HUNG, transport) as client:
            sync = Sync(client, self.rig.warehouse, clock=self.rig.now)
            return await sync.run(self.streams)

    def assert_nothing_false(self, report: Report) -> None:
        for name in self.names:
            assert not self._falsely_gone(name), f"live rows of {name} were marked as deleted"
        row = credential_table.read(self.rig.engine, "brex")
        assert row is None or row.state is not CredentialState.RECONNECT_REQUIRED, row
        if report.finished:
            left_out = [s.stream for s in report.streams.values() if s.unavailable]
            assert not left_out, "a green run left them out"
            if not self.between.false_lists:
                waiting = self._waiting()
                assert_equal(self.rig, *(name for name in self.names if name not in waiting))

    def _waiting(self) -> set[str]:
        """The streams with rows that a run missed and a later one decides about."""
        found = self.rig.rows("SELECT DISTINCT stream FROM brex_sync.missing_rows")
        return {stream for (stream,) in found}

    def _falsely_gone(self, name: str) -> set[tuple[str, ...]]:
        if name in ("user_limits", "current_user", "company"):
            key = {"user_limits": "user_id"}.get(name, "id")
            rows = self.rig.rows(f'SELECT "{key}" FROM brex.{name} WHERE _deleted_at IS NOT NULL')
            return set(rows)
        collection = self.world.collection(COLLECTIONS.get(name, name))
        columns = [PARENTS[name]] if name in PARENTS else []
        listed = ", ".join(f'"{c}"' for c in [*columns, IDS.get(name, "id")])
        gone = self.rig.rows(f"SELECT {listed} FROM brex.{name} WHERE _deleted_at IS NOT NULL")
        parents = collection.parents() if columns else [None]
        alive = {
            (parent, key) if parent else (key,)
            for parent in parents
            for key in collection.rows(parent).ids
        }
        return {tuple(row) for row in gone} & alive


def live_through(engine: sa.Engine, names: list[str], plans: list[Any]) -> None:
    """Runs through what happens and interferes, then two healthy runs, a day apart: the second
    confirms what the first one missed."""
    account = Account(engine, names)
    for happens, interference in plans:
        account.happen(happens)
        account.assert_nothing_false(account.sync(interference, hours=1))
    for _ in range(2):
        healthy = account.sync(days=1.1)
        assert healthy.finished, [s.error for s in healthy.failed]
        account.assert_nothing_false(healthy)
    assert_equal(account.rig, *account.names)


@settings(max_examples=12, derandomize=True)
@given(life)
def test_what_comes_in_between_is_never_taken_for_brex_s_word(
    emptied: Callable[[], sa.Engine], life: Any
) -> None:
    names, first, later = life
    live_through(emptied(), names, [first, *later])


@pytest.mark.history
@pytest.mark.timeout(3600)
@settings(max_examples=400)
@given(life)
def test_many_times_what_comes_in_between_is_never_taken_for_brex_s_word(
    emptied: Callable[[], sa.Engine], life: Any
) -> None:
    names, first, later = life
    live_through(emptied(), names, [first, *later])
