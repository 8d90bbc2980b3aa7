"""Workflows performed at the sandbox, and what came of them there and in SQL."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient, Patience
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.connections.vault import Vault, new_key
from brex_sync.warehouse.state.leases import TERMS, Terms
from brex_sync.workflows import load
from brex_sync.workflows.run_request import RunRequest, request_run
from brex_sync.workflows.runner import RunOutcome, WorkflowRunner
from brex_sync_tests.conftest import SHORT, Rig

HERE = "http://127.0.0.1"
"""Where the sandbox seems to be: files are put to https, or to this machine."""
BY = "a test"


@dataclass
class Desk:
    """A company, and somebody who performs workflows in it."""

    rig: Rig
    vault: Vault
    workflows: Any
    patience: Patience = SHORT
    terms: Terms = TERMS

    def asked(self, name: str, run_id: str | None = None, /, **given: Any) -> RunRequest:
        """A run that is agreed to."""
        workflow = self.workflows[name]
        return request_run(workflow, given, by=BY, files=True, run_id=run_id, confirmed=True)

    def perform(self, name: str, run_id: str | None = None, /, **given: Any) -> RunOutcome:
        return asyncio.run(self.performed(self.asked(name, run_id, **given)))

    async def performed(self, asked: RunRequest) -> RunOutcome:
        transport = httpx.ASGITransport(self.rig.wrap(self.rig.app))
        async with BrexClient(
            BrexApi(HERE, lambda: self.rig.token), RateLimiter(), self.patience, transport
        ) as client:
            runner = WorkflowRunner(
                "brex", client, self.rig.engine, self.vault, transport, self.terms
            )
            return await runner.run(asked)

    @property
    def writes(self) -> list[Any]:
        """What was written at Brex, each thing once."""
        return [entry for entry in self.rig.world.writes if entry.done]

    def did(self) -> list[tuple[str, str]]:
        return [(entry.method, entry.path) for entry in self.writes]

    def item(self, collection: str, key: str) -> Any:
        return self.rig.world.collection(collection).get(key)

    def first(self, collection: str, **like: Any) -> Any:
        """The first item that has these fields."""
        items = self.rig.world.collection(collection).newest()
        return next(i for i in items if all(i.get(k) == v for k, v in like.items()))


@pytest.fixture
def desk(company: Rig) -> Desk:
    key = new_key()
    return Desk(company, Vault(lambda: key), load())


@pytest.fixture
def leaver(desk: Desk) -> str:
    """Somebody with two open cards, a locked one and one that has ended."""
    world = desk.rig.world
    world.collection("users").add(
        {"id": "leaver", "first_name": "L", "last_name": "L", "email": "l@x.example",
         "status": "ACTIVE", "manager_id": None}
    )  # fmt: skip
    states = {"c1": "ACTIVE", "c2": "ACTIVE", "c3": "LOCKED", "c4": "TERMINATED"}
    like = world.collection("cards").items()[0]
    for key, status in states.items():
        owner = {"type": "USER", "user_id": "leaver"}
        world.collection("cards").add(like | {"id": key, "status": status, "owner": owner})
    return "leaver"
