"""Workflows for programs on this machine: asked for, waited for, and polled."""

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from brex_sync.connections.connect import ready_vault
from brex_sync.errors import (
    BadInputs,
    BrexError,
    OtherInputs,
    PostgresError,
    RunBusy,
    SettingsError,
    Unconfirmed,
)
from brex_sync.service.accounts import Accounts
from brex_sync.warehouse import workflow_runs
from brex_sync.warehouse.workflow_runs import RunState, StepNote, StepState
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.dry import rehearse
from brex_sync.workflows.lines import faults_of, read_inputs
from brex_sync.workflows.run import RunOutcome, RunRequest, WorkflowRunner, unconfirmed

log = logging.getLogger(__name__)

WAIT = 30.0
"""Seconds until an answer says that the run goes on; `Prefer: wait=…` sets others, up to MOST."""
MOST = 300.0
LARGEST = 4 * 1024 * 1024
"""Bytes of a request."""
AT_ONCE = 8
"""Runs performed side by side; others wait their turn."""
_WAIT = re.compile(r"(?:^|[,; ])wait=(\d{1,5})\b")


class Asking(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: dict[str, Any]
    confirm: bool = False
    dry_run: bool = False


class ApiError(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"message": message, **more}


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that this service performs."""

    asked: RunRequest
    connection: str
    task: "asyncio.Task[RunOutcome]"


@dataclass
class WorkflowEndpoint:
    """Where workflows are asked for."""

    accounts: Accounts
    workflows: Mapping[str, Workflow]
    under_way: dict[str, UnderWay] = field(default_factory=dict)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def known(self, request: Request) -> JSONResponse:
        """The workflows, and the JSON Schema of what each is given."""
        shown = [
            {"name": w.name, "description": w.description, "inputs": w.inputs.model_json_schema()}
            for w in self.workflows.values()
        ]
        return JSONResponse({"workflows": shown})

    async def perform(self, request: Request) -> JSONResponse:
        """Performs a workflow; answers with the result, or with a run to poll."""
        connection, workflow = self._named(request)
        asking = await _read(request)
        inputs = read_inputs(workflow.inputs, asking.inputs, files=False)
        if asking.dry_run:
            client = await self.accounts.client(connection)
            planned = await rehearse(client, workflow, inputs)
            calls = [{"step": p.step, "method": p.method, "path": p.path, "body": p.body}
                     for p in planned]  # fmt: skip
            return JSONResponse({"would_be_sent": calls})
        run_id = _run_id(request, connection)
        asked = RunRequest(workflow, inputs, run_id, _by(request), asking.confirm)
        what = await asyncio.to_thread(unconfirmed, self.accounts.engine, asked)
        if what is not None:
            raise Unconfirmed(what)
        task = await self._task(asked, connection)
        await asyncio.wait({task}, timeout=_patience(request))
        return _result(task.result()) if task.done() else _later(asked.run_id)

    async def show(self, request: Request) -> JSONResponse:
        """How a run stands."""
        run_id, engine = request.path_params["run"], self.accounts.engine
        known = run_id.isprintable()
        run = await asyncio.to_thread(workflow_runs.find, engine, run_id) if known else None
        if run is None:
            if run_id in self.under_way:
                return _later(run_id)
            raise ApiError(404, f"no workflow's run is called {run_id}")
        steps = await asyncio.to_thread(workflow_runs.steps_of, engine, run_id)
        waits = run.state is RunState.INTERRUPTED and run_id in self.under_way
        return JSONResponse(
            {
                "run": run_id,
                "workflow": run.workflow,
                "connection": run.connection,
                "state": RunState.RUNNING if waits else run.state,
                "error": run.message,
                "waiting": run.waiting,
                "steps": _shown(steps),
            }
        )

    def _named(self, request: Request) -> tuple[str, Workflow]:
        connection, name = request.path_params["connection"], request.path_params["name"]
        if connection not in self.accounts.connections:
            raise ApiError(404, f"no connection is called {connection}")
        if name not in self.workflows:
            raise ApiError(404, f"no workflow is called {name}: GET /workflows lists them")
        return connection, self.workflows[name]

    async def _task(self, asked: RunRequest, connection: str) -> "asyncio.Task[RunOutcome]":
        """The task that performs a run: the one under way, or a new one."""
        going = self.under_way.get(asked.run_id)
        if going is None:
            client = await self.accounts.client(connection)
            vault = await asyncio.to_thread(
                ready_vault, self.accounts.settings, self.accounts.engine
            )
            performer = WorkflowRunner(connection, client, self.accounts.engine, vault)
            going = self.under_way.get(asked.run_id) or self._start(performer, asked)
        same = (asked.workflow.name, asked.inputs, connection)
        if (going.asked.workflow.name, going.asked.inputs, going.connection) != same:
            raise OtherInputs(f"run {asked.run_id} was begun with other inputs: begin another run")
        return going.task

    def _start(self, performer: WorkflowRunner, asked: RunRequest) -> UnderWay:
        async def go() -> RunOutcome:
            async with self.turns:
                return await performer.perform(asked)

        task = self.accounts.start(go())
        self.under_way[asked.run_id] = UnderWay(asked, performer.connection, task)
        task.add_done_callback(lambda _: self._end(asked.run_id))
        return self.under_way[asked.run_id]

    def _end(self, run_id: str) -> None:
        task = self.under_way.pop(run_id).task
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("workflow run %s: %s", run_id, type(error).__name__)


def routes(accounts: Accounts, known: Mapping[str, Workflow]) -> list[BaseRoute]:
    """The routes of this module."""
    desk = WorkflowEndpoint(accounts, known)
    return [
        Route("/workflows", _answering(desk.known)),
        Route("/workflows/runs/{run}", _answering(desk.show)),
        Route("/workflows/{connection}/{name}", _answering(desk.perform), methods=["POST"]),
    ]


def _answering(handler: Any) -> Any:
    """What can be foreseen to go wrong, as an answer."""

    async def answer(request: Request) -> JSONResponse:
        try:
            response: JSONResponse = await handler(request)
            return response
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        except BadInputs as error:
            told = "nothing was written: the inputs cannot be used"
            return JSONResponse({"message": told, "faults": error.faults}, 422)
        except Unconfirmed as error:
            told = f'{error.what} Send "confirm": true if that is wanted'
            return JSONResponse({"message": told}, 422)
        except (RunBusy, OtherInputs) as error:
            return JSONResponse({"message": str(error)}, 409)
        except BrexError as error:
            return JSONResponse({"message": str(error)}, 502)
        except SettingsError as error:
            return JSONResponse({"message": str(error)}, 503)
        except PostgresError:
            told = "the warehouse does not answer: ask again with the same Idempotency-Key"
            return JSONResponse({"message": told}, 503)

    return answer


async def _read(request: Request) -> Asking:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise ApiError(413, f"a request may have {LARGEST >> 20} MB")
    except ClientDisconnect:
        raise ApiError(400, "the body did not come to its end") from None
    try:
        return Asking.model_validate(json.loads(bytes(body)))
    except ValidationError as error:
        raise BadInputs(faults_of(error)) from None
    except (ValueError, RecursionError):
        raise ApiError(400, 'expected JSON such as {"inputs": {…}, "confirm": true}') from None


def _run_id(request: Request, connection: str) -> str:
    """The run that is meant: the Idempotency-Key itself if it is a run's id, else one made of it;
    without any, a new one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return str(uuid4())
    try:
        return str(UUID(key))
    except ValueError:
        return str(uuid5(NAMESPACE_OID, f"{connection} {key}"))


def _by(request: Request) -> str:
    caller = request.headers.get("user-agent", "a program")
    return f"service: {''.join(filter(str.isprintable, caller))[:100]}"


def _patience(request: Request) -> float:
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(found[1]), MOST) if found else WAIT


def _place(run_id: str) -> str:
    """Where a run is polled."""
    return f"/workflows/runs/{run_id}"


def _later(run_id: str) -> JSONResponse:
    where = _place(run_id)
    body = {"run": run_id, "state": RunState.RUNNING, "poll": where}
    return JSONResponse(body, 202, headers={"Location": where})


def _result(outcome: RunOutcome) -> JSONResponse:
    done = RunState.WAITING if outcome.waiting else RunState.FINISHED
    body = {
        "run": outcome.run_id,
        "workflow": outcome.workflow,
        "state": RunState.FAILED if outcome.error else done,
        "error": outcome.error,
        "waiting": outcome.waiting,
        "steps": _shown(outcome.steps),
        "stale": outcome.stale,
    }
    if outcome.faults:
        body["faults"] = outcome.faults
    if outcome.waiting:
        return JSONResponse(body, 202, headers={"Location": _place(outcome.run_id)})
    return JSONResponse(body, 200 if not outcome.error else 422 if outcome.refused else 502)


def _shown(steps: Any) -> list[dict[str, Any]]:
    notes: list[StepNote] = [step for step in steps if step.method != "GET"]
    return [
        {"step": n.step, "method": n.method, "path": n.path, "done": n.state is StepState.DONE,
         "state": n.state, "answer": n.kept}
        for n in notes
    ]  # fmt: skip
