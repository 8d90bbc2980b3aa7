"""Brex from Python: a value per request, an iterator per list, and no number rounded."""

import asyncio
import subprocess
import sys
import threading
import typing
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from starlette.responses import Response

import brex_sync
from brex_sync import (
    AsyncBrex,
    Brex,
    BrexError,
    LoopingCursor,
    NeverAsked,
    NotFound,
    UnusableAnswer,
)
from brex_sync.connections.declared import find
from brex_sync.errors import SettingsError
from brex_sync.http_server import running
from brex_sync.orchestration.resource import BrexResource
from brex_sync.runtime.syncing import open_sync
from brex_sync.sandbox import shown_items
from brex_sync.settings import load_settings
from brex_sync.streams import STREAMS
from brex_sync_tests.conftest import Rig
from brex_sync_tests.proxy.conftest import Hostile

TRANSACTIONS = "/v2/transactions/card/primary"


@pytest.fixture
def settled(
    clean_environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """An environment that names the warehouse; the address of Brex is to be set."""
    monkeypatch.setenv("BREX_CONFIGURATION", "sandbox")
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", database_url)
    load_settings.cache_clear()
    return monkeypatch


@pytest.fixture
def sandbox(settled: pytest.MonkeyPatch, company: Rig) -> Iterator[Rig]:
    """The company on a port, which the environment names."""
    with running(company.app) as url:
        settled.setenv("BREX_API_URL", url)
        load_settings.cache_clear()
        yield company


@pytest.fixture
def hostile(settled: pytest.MonkeyPatch) -> Iterator[Hostile]:
    brex = Hostile()
    with running(brex) as url:
        settled.setenv("BREX_API_URL", url)
        load_settings.cache_clear()
        yield brex


def answering(body: bytes) -> Any:
    return lambda brex, request: Response(body, media_type="application/json")


def test_one_line_is_enough(sandbox: Rig) -> None:
    me = Brex.connect("brex").get("/v2/users/me")
    assert me["id"] in {user["id"] for user in shown_items(sandbox.world, "users")}
    assert Brex.connect().get("/v2/users", {"limit": 1})["items"]


def test_a_list_is_read_to_its_end_page_by_page(sandbox: Rig) -> None:
    with Brex.connect("brex") as brex:
        walk = brex.items(TRANSACTIONS, {"limit": 50})
        first = next(walk)
        assert len(sandbox.asked(TRANSACTIONS)) <= 2, "one page is read ahead"
        rest = [item["id"] for item in walk]
        assert sorted([first["id"], *rest]) == sorted(
            item["id"] for item in shown_items(sandbox.world, "card_transactions")
        )
        assert len(sandbox.asked(TRANSACTIONS)) == 6
        accounts = list(brex.items("/v2/accounts/card"))
        assert len(accounts) == len(shown_items(sandbox.world, "card_accounts"))


def test_a_list_given_up_early_leaves_nothing_behind(sandbox: Rig) -> None:
    before = threading.active_count()
    walk = Brex.connect().items(TRANSACTIONS, {"limit": 10})
    next(walk)
    walk.close()
    assert threading.active_count() <= before
    assert len(sandbox.asked(TRANSACTIONS)) <= 2


def test_asynchronous_programs_ask_side_by_side(sandbox: Rig) -> None:
    async def main() -> tuple[list[Any], int]:
        async with AsyncBrex.connect("brex") as brex:
            answers = await asyncio.gather(*(brex.get("/v2/users/me") for _ in range(5)))
            return answers, len([item async for item in brex.items(TRANSACTIONS, {"limit": 100})])

    answers, many = asyncio.run(main())
    assert len({answer["id"] for answer in answers}) == 1
    assert many == 300
    alone = asyncio.run(AsyncBrex.connect().get("/v2/users/me"))
    assert alone == answers[0]


def test_it_works_where_a_loop_runs_already_and_from_many_threads(sandbox: Rig) -> None:
    async def notebook() -> Any:
        return Brex.connect().get("/v2/users/me")

    me = asyncio.run(notebook())
    found: list[Any] = []
    with Brex.connect() as brex:
        threads = [
            threading.Thread(target=lambda: found.append(brex.get("/v2/users/me")))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [me] * 4


def test_numbers_come_exactly(hostile: Hostile) -> None:
    hostile.how = answering(b'{"n":123456789012345678901234567890,"d":1.10,"f":0.1,"t":true}')
    answer = Brex.connect().get("/v2/users/x")
    numbers = {"n": 123456789012345678901234567890, "d": Decimal("1.10"), "f": Decimal("0.1")}
    assert answer == {**numbers, "t": True}
    assert str(answer["d"]) == "1.10"
    hostile.how = answering(b'{"items":[{"d":2.50}],"next_cursor":null}')
    assert [str(item["d"]) for item in Brex.connect().items("/v2/users")] == ["2.50"]


def test_numbers_go_exactly_and_writes_have_a_key(hostile: Hostile) -> None:
    hostile.how = answering(b"")
    with Brex.connect() as brex:
        body = {"d": Decimal("1.10"), "n": 12345678901234567890}
        assert brex.post("/v1/transfers", body, idempotency_key="k-1") is None
        brex.put("/v2/users/x", body, {"expand": ["a", "b"], "dry": True})
        brex.delete("/v1/vendors/x")
    (posted, put, deleted) = hostile.asked
    assert posted[3] == put[3] == b'{"d":1.10,"n":12345678901234567890}'
    assert posted[2]["idempotency-key"] == "k-1"
    assert len(put[2]["idempotency-key"]) == 36
    assert put[1] == "/v2/users/x?expand=a&expand=b&dry=true"
    assert (deleted[0], "idempotency-key" in deleted[2]) == ("DELETE", False)


def test_what_goes_wrong_is_one_tree_of_exceptions(sandbox: Rig, hostile: Hostile) -> None:
    with Brex.connect() as brex:
        with pytest.raises(NeverAsked, match="card numbers"):
            brex.get("/v2/cards/x/pan")
        with pytest.raises(NeverAsked, match="not a plain one"):
            brex.get("/v2/users?limit=1")
        with pytest.raises(NeverAsked):
            list(brex.items("https://evil.example/v2/users"))
        hostile.how = lambda *_: Response(b'{"type":"NOT_FOUND","message":"no such user"}', 404)
        with pytest.raises(NotFound, match="GET /v2/users/x answered 404: no such user"):
            brex.get("/v2/users/x")
        hostile.how = answering(b'{"items":[],"next_cursor":"again"}')
        with pytest.raises(LoopingCursor):
            list(brex.items("/v2/users"))
        hostile.how = answering(b"{" * 100)
        with pytest.raises(UnusableAnswer):
            brex.post("/v2/users", {})
    with pytest.raises(SettingsError, match="'brex_xx'"):
        Brex.connect("brex_xx").get("/v2/users/me")


def test_all_exceptions_belong_to_the_tree() -> None:
    for name in brex_sync.__all__:
        thing = getattr(brex_sync, name)
        assert name in ("Brex", "AsyncBrex") or issubclass(thing, BrexError)
    with pytest.raises(AttributeError, match="nothing"):
        brex_sync.nothing  # noqa: B018
    assert typing.get_type_hints(Brex.get)["path"] is str


def test_importing_brex_sync_loads_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import brex_sync; "
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) - {"_typing"} == {"brex_sync"}


def test_an_asset_of_one_s_own_asks_through_the_resource(sandbox: Rig) -> None:
    @dg.asset
    def departments(brex: BrexResource) -> int:
        assert brex.account is brex.account, "open for the whole run"
        return sum(1 for _ in brex.account.items("/v2/departments"))

    @dg.asset
    async def me(brex: BrexResource) -> str:
        async with brex.asynchronous as account:
            return str((await account.get("/v2/users/me"))["id"])

    resources = {"brex": BrexResource(connection="brex")}
    result = dg.materialize([departments, me], resources=resources)
    assert result.output_for_node("departments") == len(shown_items(sandbox.world, "departments"))
    assert result.output_for_node("me").startswith("cuuser_")
    assert BrexResource().account.get("/v2/users/me")["id"] == result.output_for_node("me")


def test_what_is_asked_from_python_comes_after_the_syncs(sandbox: Rig) -> None:
    async def sync() -> None:
        settings = load_settings()
        async with open_sync(settings, find(settings, None)) as run:
            await run.run([STREAMS["departments"]])

    def lent() -> set[bool]:
        return {sync for (sync,) in sandbox.rows("SELECT sync FROM brex_sync.request_loans")}

    asyncio.run(sync())
    assert lent() == {True}
    Brex.connect().get("/v2/users/me")
    assert lent() == {True, False}
