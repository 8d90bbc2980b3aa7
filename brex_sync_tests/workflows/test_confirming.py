"""What spends money or ends something is agreed to, whichever way the engine is come to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.connections.declared import Connection
from brex_sync.errors import Unconfirmed
from brex_sync.runtime.workflows import WorkflowRuntime
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.settings import Configuration, Settings
from brex_sync.warehouse.workflows import workflow_runs
from brex_sync.workflows.declare import Steps, workflow, write
from brex_sync.workflows.run_request import RunRequest, pending_confirmation, recall
from brex_sync.workflows.runner import RunOutcome
from brex_sync_tests.conftest import REFUSED, SHORT
from brex_sync_tests.workflows.conftest import HERE, Desk
from brex_sync_tests.workflows.test_declaring import LOCK, OTHER, Nothing

RUN = "3c9cf2fb-1c34-4a55-b0bb-1d3a4bb4a033"
ENDS = "All cards of leaver are ended for good."


def unasked(desk: Desk, asked: RunRequest) -> RunOutcome:
    return asyncio.run(desk.performed(replace(asked, confirmed=False)))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("offboard-user", {"user_id": "leaver", "cards": "terminate"}),
        ("terminate-card", {"card_id": "c1"}),
        ("set-user-limit", {"user_id": "leaver", "monthly_limit": "none"}),
        ("issue-card", {"user_id": "leaver", "card_name": "Ads"}),
        ("update-spend-limit", {"spend_limit_id": "s", "take_away": ["transaction_limit"]}),
    ],
)
def test_the_engine_does_nothing_that_nobody_agreed_to(
    desk: Desk, leaver: str, name: str, given: Any
) -> None:
    asked = desk.asked(name, RUN, **given)
    with pytest.raises(Unconfirmed, match=r"needs a confirmation; nothing was done"):
        unasked(desk, asked)
    assert pending_confirmation(desk.rig.engine, replace(asked, confirmed=False)) is not None
    assert not desk.rig.requests
    assert workflow_runs.find(desk.rig.engine, RUN) is None


def test_a_door_is_asked_once_and_not_for_what_is_confirmed(desk: Desk, leaver: str) -> None:
    runtime, shown = WorkflowRuntime(Settings(_env_file=None), desk.rig.engine), list[str]()
    confirmed = desk.asked("offboard-user", RUN, user_id=leaver, cards="terminate")
    request = replace(confirmed, confirmed=False)
    assert runtime.confirm(request, shown.append) == confirmed
    assert shown == [ENDS]
    harmless = replace(desk.asked("lock-card", card_id="c1"), confirmed=False)
    for needless in (confirmed, harmless):
        assert runtime.confirm(needless, shown.append) == needless
    assert shown == [ENDS]
    with pytest.raises(Unconfirmed, match=ENDS):
        runtime.confirm(request)


def test_a_door_that_does_not_ask_runs_nothing(desk: Desk, leaver: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def client(connection: Connection) -> AsyncIterator[BrexClient]:
        transport = httpx.ASGITransport(desk.rig.app)
        api = BrexApi(connection.api_url, lambda: desk.rig.token)
        async with BrexClient(api, RateLimiter(), SHORT, transport) as opened:
            yield opened

    settings = Settings(_env_file=None, BREX_SYNC_HOME=tmp_path)
    runtime = WorkflowRuntime(settings, desk.rig.engine, client)
    brex = Connection("brex", Configuration.SANDBOX, HERE, token="bxt_sandbox")
    request = replace(desk.asked("terminate-card", RUN, card_id="c1"), confirmed=False)
    with pytest.raises(Unconfirmed):
        asyncio.run(runtime.run(brex, request))
    assert not desk.rig.requests
    assert [one.path for one in asyncio.run(runtime.plan(brex, request))] == [
        "/v2/cards/c1/terminate"
    ]
    assert not desk.rig.requests
    asked = runtime.confirm(request, lambda what: None)
    assert asyncio.run(runtime.run(brex, asked)).error is None
    assert runtime.report(RUN).run.confirmed == "Card c1 is ended for good."


def test_who_agreed_to_what_is_on_record_and_holds_for_the_run(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=400, body=REFUSED)
    )
    asked = desk.asked("offboard-user", RUN, user_id=leaver, cards="terminate")
    assert asyncio.run(desk.performed(asked)).error is not None
    run = workflow_runs.find(desk.rig.engine, RUN)
    assert run is not None
    assert (run.confirmed, run.confirmed_by) == (ENDS, "a test")
    _, again = recall(desk.rig.engine, desk.vault, desk.workflows, RUN, "somebody")
    assert not again.confirmed
    assert asyncio.run(desk.performed(again)).error is None
    assert unasked(desk, asked).error is None


def test_what_is_changed_is_agreed_to_again(desk: Desk, leaver: str) -> None:
    def ours(says: str | None) -> RunRequest:
        def lock_all(given: Nothing) -> Steps:
            yield write("lock", LOCK, id="c1", body=OTHER)

        return RunRequest(workflow(LOCK, confirm=lambda _: says)(lock_all), Nothing(), RUN, "us")

    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/cards/c1/lock", "POST", status=400, body=REFUSED, times=2)
    )
    agreed = replace(ours("One card is locked."), confirmed=True)
    assert asyncio.run(desk.performed(agreed)).error is not None
    assert unasked(desk, ours("One card is locked.")).error is not None
    with pytest.raises(Unconfirmed, match="All cards are locked"):
        unasked(desk, ours("All cards are locked."))
    assert not desk.did()
    assert asyncio.run(desk.performed(replace(ours("All cards are locked."), confirmed=True)))
    assert workflow_runs.find(desk.rig.engine, RUN).confirmed == "All cards are locked."
    assert len(desk.did()) == 1


def test_a_run_of_a_version_that_noted_no_agreement_asks_again(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/cards/c1/terminate", "POST", status=400, body=REFUSED)
    )
    asked = desk.asked("terminate-card", RUN, card_id="c1")
    assert asyncio.run(desk.performed(asked)).error is not None
    with desk.rig.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.workflow_runs SET confirmed = NULL")
    with pytest.raises(Unconfirmed):
        unasked(desk, asked)
    assert not desk.did()


def test_what_ends_nothing_needs_no_agreement(desk: Desk, leaver: str) -> None:
    assert unasked(desk, desk.asked("offboard-user", user_id=leaver)).error is None
