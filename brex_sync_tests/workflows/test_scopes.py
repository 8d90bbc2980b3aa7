"""The scopes that workflows declare are those that Brex asks for, and are asked for."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from brex_sync.connections.connect import wanted_scopes
from brex_sync.sandbox import create_app
from brex_sync.sandbox.api.endpoints import ENDPOINTS
from brex_sync.sandbox.app import TOKEN, TokenPermissions
from brex_sync.sandbox.writes import WRITES
from brex_sync.workflows import load
from brex_sync.workflows.declare import Call, Steps, scopes_of, workflow, write
from brex_sync.workflows.run_request import RunRequest
from brex_sync_tests.workflows.conftest import Desk
from brex_sync_tests.workflows.test_declaring import LOCK, LOOK, OTHER, Nothing

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"
ROW = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| .* \| ((?:`[a-z._]+`(?:, )?)+) \|$", re.MULTILINE)
ASKED = {f"GET {e.path}": e.scope for e in ENDPOINTS} | {
    f"{w.method} {w.path}": w.scope for w in WRITES
}
"""What the sandbox asks for, which has it from Brex's API reference."""


@pytest.mark.parametrize("name", load())
def test_every_call_declares_the_scope_that_brex_asks_for(name: str) -> None:
    calls = load()[name].calls
    assert calls
    assert {c.request: ASKED[c.request] or c.scope for c in calls} == {
        c.request: c.scope for c in calls
    }


def test_connect_asks_for_what_the_workflows_need() -> None:
    @workflow(Call("POST /v2/titles", "titles", refetch="titles"))
    def name_title(given: Nothing) -> Steps:
        yield write("create", Call("POST /v2/titles", "titles", refetch="titles"))

    ours = scopes_of([*load().values(), name_title])
    assert {"titles", "titles.readonly", "cards", "users.readonly", "expenses.card"} <= ours
    assert set(wanted_scopes((), ours)) == ours | {"companies.readonly"}


def test_a_call_that_is_not_declared_is_not_made(desk: Desk, leaver: str) -> None:
    @workflow(LOOK)
    def lock_it(given: Nothing) -> Steps:
        yield write("lock", LOCK, id="c1", body=OTHER)

    outcome = asyncio.run(desk.performed(RunRequest(lock_it, Nothing(), "a-run", "a test")))
    assert outcome.error == (
        "lock: lock-it does not declare POST /v2/cards/{id}/lock (scope cards): name the call in "
        "its @workflow(…)"
    )
    assert not desk.rig.requests


def test_the_scope_of_card_numbers_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match=r"the scope cards.pan is never asked for"):
        Call("GET /v2/cards/{id}", "cards.pan")


SCOPES = ("cards", "cards.readonly", "users", "users.readonly")


@pytest.mark.parametrize("lacking", [None, *SCOPES])
def test_with_the_scopes_declared_all_is_done_and_without_one_it_is_not(
    desk: Desk, leaver: str, lacking: Any
) -> None:
    declared = desk.workflows["offboard-user"].scopes
    assert declared == set(SCOPES)
    access = TokenPermissions(declared - {lacking})
    desk.rig.app = create_app(desk.rig.world, tokens={TOKEN: access})
    outcome = desk.perform("offboard-user", user_id=leaver)
    said = f"{outcome.error} {' '.join(outcome.stale)}"
    assert (lacking is None) is (outcome.error is None and not outcome.stale)
    assert lacking is None or f"Missing required scope {lacking}" in said


def test_the_page_names_the_scopes_of_every_workflow() -> None:
    told = {
        name: set(re.findall(r"`([^`]+)`", scopes))
        for names, scopes in ROW.findall(PAGE.read_text())
        for name in re.findall(r"`([^`]+)`", names)
    }
    assert told == {name: set(one.scopes) for name, one in load().items()}
