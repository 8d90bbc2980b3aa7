"""A card for somebody invited is issued once they are ACTIVE; until then the run waits, stored."""

import asyncio
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse.workflows import waits, workflow_runs
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync.workflows.dry_run import dry_run
from brex_sync.workflows.runner import RunOutcome, WorkflowRunner
from brex_sync.workflows.waiting import resume_due
from brex_sync_tests.conftest import SHORT
from brex_sync_tests.workflows.conftest import HERE, Desk

RUN = "9a1f0f53-70d4-4a94-9a5c-2d3a4bb4a035"
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@northwind.example"}
CARD = ("POST", "/v2/cards")


def invite(desk: Desk) -> RunOutcome:
    return desk.perform("invite-user", RUN, **ADA, card_name="First card")


def ada(desk: Desk) -> str:
    return str(desk.first("users", email=ADA["email"])["id"])


def becomes(desk: Desk, status: str) -> None:
    desk.rig.world.collection("users").edit(ada(desk), status=status)


def look(desk: Desk, workflows: Any = None) -> list[tuple[str, RunOutcome | str]]:
    """What the sensor and the service do from time to time."""

    async def go() -> list[tuple[str, RunOutcome | str]]:
        transport = httpx.ASGITransport(desk.rig.wrap(desk.rig.app))
        async with BrexClient(
            BrexApi(HERE, lambda: desk.rig.token), RateLimiter(), SHORT, transport
        ) as client:
            runner = WorkflowRunner("brex", client, desk.rig.engine, desk.vault, transport)
            return await resume_due(runner, desk.workflows if workflows is None else workflows)

    return asyncio.run(go())


def later(desk: Desk, waited: str = "0") -> None:
    """Lets the time of the next look come, and the wait have begun so long ago."""
    with desk.rig.engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.workflow_runs SET next_look_at = now()")
        db.exec_driver_sql(
            "UPDATE brex_sync.workflow_steps SET begun_at = begun_at - interval "
            f"'{waited}' WHERE state = 'waiting'"
        )


def state(desk: Desk) -> RunState:
    run = workflow_runs.find(desk.rig.engine, RUN)
    assert run is not None
    return run.state


def test_the_run_waits_until_they_are_active_and_then_issues_one_card(desk: Desk) -> None:
    outcome = invite(desk)
    assert outcome.error is None
    assert outcome.waiting is not None
    assert outcome.waiting.startswith(
        "accept invitation: waits until status is ACTIVE; status is INVITED (since "
    )
    assert (state(desk), CARD in desk.did()) == (RunState.WAITING, False)
    asked = len(desk.rig.requests)
    assert look(desk) == []
    assert len(desk.rig.requests) == asked
    later(desk)
    [(run_id, still)] = look(desk)
    assert (run_id, CARD in desk.did()) == (RUN, False)
    assert isinstance(still, RunOutcome)
    assert still.waiting is not None
    assert len(desk.rig.requests) == asked + 1
    becomes(desk, "ACTIVE")
    later(desk)
    [(_, done)] = look(desk)
    assert isinstance(done, RunOutcome)
    assert (done.error, done.waiting, state(desk)) == (None, None, RunState.FINISHED)
    assert desk.did() == [("POST", "/v2/users"), CARD]
    assert look(desk) == []
    assert invite(desk).waiting is None
    assert len(desk.did()) == 2
    owner = desk.rig.rows("SELECT owner_user_id FROM brex.cards")
    assert owner == [(ada(desk),)]


def test_a_look_that_fails_is_no_reason_to_stop_waiting(desk: Desk) -> None:
    invite(desk)
    for fault in ({"status": 503}, {"status": 403}, {"status": 404, "body": "<html>"}):
        path = f"/v2/users/{ada(desk)}"
        desk.rig.faults.add(Fault(FaultKind.STATUS, path, "GET", times=None, **fault))
        later(desk)
        [(_, outcome)] = look(desk)
        assert isinstance(outcome, RunOutcome)
        assert f"answered {fault['status']}" in str(outcome.waiting)
        desk.rig.faults.clear()
    assert state(desk) is RunState.WAITING


@pytest.mark.parametrize(
    ("waited", "status", "told"),
    [
        ("15 days", "INVITED", "waits until status is ACTIVE; status is INVITED: that is 14 days"),
        ("1 day", "DISABLED", "accept invitation: status is DISABLED, and not ACTIVE"),
    ],
)
def test_a_wait_ends_and_can_be_resumed(desk: Desk, waited: str, status: str, told: str) -> None:
    invite(desk)
    becomes(desk, status)
    later(desk, waited)
    [(_, failed)] = look(desk)
    assert isinstance(failed, RunOutcome)
    assert told in str(failed.error)
    assert (state(desk), CARD in desk.did()) == (RunState.FAILED, False)
    assert look(desk) == []
    becomes(desk, "INVITED")
    assert invite(desk).waiting is not None
    becomes(desk, "ACTIVE")
    assert invite(desk).error is None
    assert desk.did().count(CARD) == 1


def test_looks_grow_rarer_and_a_change_brings_the_next_one_forward(desk: Desk) -> None:
    def minutes() -> float:
        return float(
            desk.rig.one(
                "SELECT extract(epoch FROM next_look_at - now()) / 60 FROM brex_sync.workflow_runs"
            )
        )

    invite(desk)
    assert 0 < minutes() <= 1
    later(desk, "2 hours")
    look(desk)
    assert 8 < minutes() <= 12.1
    later(desk, "2 days")
    look(desk)
    assert 50 < minutes() <= 60
    waits.make_due(desk.rig.engine, "brex")
    assert [run_id for run_id, _ in look(desk)] == [RUN]


def test_a_look_that_is_cut_off_is_made_again(desk: Desk) -> None:
    invite(desk)
    becomes(desk, "ACTIVE")
    later(desk)
    desk.rig.faults.add(Fault(FaultKind.HANG, "/v2/cards", "POST"))

    async def cut() -> None:
        task = asyncio.create_task(desk.performed(desk.asked("invite-user", RUN, **ADA,
                                                             card_name="First card")))  # fmt: skip
        while CARD not in desk.did():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cut())
    assert state(desk) is RunState.INTERRUPTED
    later(desk)
    [(_, done)] = look(desk)
    assert isinstance(done, RunOutcome)
    assert (done.error, state(desk)) == (None, RunState.FINISHED)
    assert desk.did().count(CARD) == 1


def test_a_run_whose_card_a_version_without_waiting_asked_for_does_not_wait(desk: Desk) -> None:
    desk.rig.faults.add(Fault(FaultKind.DONE_STATUS, "/v2/cards", "POST", times=3, status=503))
    assert invite(desk).waiting
    becomes(desk, "ACTIVE")
    assert invite(desk).error is not None
    becomes(desk, "INVITED")
    with desk.rig.engine.begin() as db:
        db.exec_driver_sql("DELETE FROM brex_sync.workflow_steps WHERE step = 'accept invitation'")
    outcome = invite(desk)
    assert (outcome.error, outcome.waiting) == (None, None)
    assert desk.did().count(CARD) == 1


def test_a_workflow_that_is_gone_stops_waiting_and_says_so(desk: Desk) -> None:
    invite(desk)
    later(desk)
    [(_, told)] = look(desk, {})
    assert told == f"run {RUN} is of invite-user, which is no longer declared"
    assert state(desk) is RunState.FAILED
    assert look(desk, {}) == []


def test_a_rehearsal_does_not_wait(desk: Desk) -> None:
    async def go() -> list[str]:
        transport = httpx.ASGITransport(desk.rig.app)
        asked = desk.asked("invite-user", **ADA, card_name="First card")
        async with BrexClient(
            BrexApi(HERE, lambda: desk.rig.token), RateLimiter(), SHORT, transport
        ) as client:
            planned = await dry_run(client, asked.workflow, asked.inputs)
        return [one.step for one in planned]

    assert asyncio.run(go()) == [
        "invite",
        "accept invitation, waiting until status is ACTIVE",
        "issue card",
    ]
    assert not desk.rig.requests
