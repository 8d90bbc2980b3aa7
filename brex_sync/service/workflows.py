"""Workflows for programs on this machine: requested, waited for, polled."""

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from brex_sync.connections.declared import Connection
from brex_sync.errors import (
    BadInputs,
    BrexError,
    OtherInputs,
    PostgresError,
    RunBusy,
    SettingsError,
    Unconfirmed,
    UnknownRun,
)
from brex_sync.runtime.workflows import WorkflowRuntime
from brex_sync.service.accounts import Accounts
from brex_sync.warehouse.workflows.step_log import StepRecord, StepState
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.lines import faults_of
from brex_sync.workflows.run_request import RunRequest, request_run
from brex_sync.workflows.runner import RunOutcome, WorkflowRunner

log = logging.getLogger(__name__)

WAIT = 30.0
"""Seconds to wait for a run before responding with 202; `Prefer: wait=…` changes it, up to MOST."""
MOST = 300.0
LARGEST = 4 * 1024 * 1024
"""The most bytes of a request's body."""
AT_ONCE = 8
"""The number of runs at the same time; others are queued."""
_WAIT = re.compile(r"(?:^|[,; ])wait=(\d{1,5})\b")


class RunBody(BaseModel):
    """The body of a request to run a workflow."""

    model_config = ConfigDict(extra="forbid", strict=True)

    inputs: dict[str, Any]
    confirm: bool = False
    dry_run: bool = False


class ApiError(Exception):
    """A response with an error status, a message, and further fields."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"message": message, **more}


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that this service is running, or has queued."""

    request: RunRequest
    connection: str
    task: "asyncio.Task[RunOutcome]"


@dataclass
class WorkflowEndpoint:
    """The handlers of `/workflows`. Requests with one run id share one active run."""

    accounts: Accounts
    runtime: WorkflowRuntime
    workflows: Mapping[str, Workflow]
    active: dict[str, ActiveRun] = field(default_factory=dict)
    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def list_workflows(self, request: Request) -> JSONResponse:
        """Responds with the workflows, and the JSON Schema of their inputs."""
        shown = [
            {"name": w.name, "description": w.description, "inputs": w.inputs.model_json_schema()}
            for w in self.workflows.values()
        ]
        return JSONResponse({"workflows": shown})

    async def run(self, request: Request) -> JSONResponse:
        """Runs a workflow; responds with its outcome, or with the address of the run to poll."""
        connection, workflow = self._named(request)
        body = await _read(request)
        wanted = request_run(
            workflow,
            body.inputs,
            by=_by(request),
            files=False,
            run_id=_run_id(request, connection.name),
            confirmed=body.confirm,
        )
        if body.dry_run:
            planned = await self.runtime.plan(connection, wanted)
            return JSONResponse({"would_be_sent": [asdict(one) for one in planned]})
        await asyncio.to_thread(self.runtime.confirm, wanted)
        task = await self._task(connection, wanted)
        await asyncio.wait({task}, timeout=_wait(request))
        return _finished(task.result()) if task.done() else _running(wanted.run_id)

    async def show(self, request: Request) -> JSONResponse:
        """Responds with the state of a run."""
        run_id = request.path_params["run"]
        try:
            if not run_id.isprintable():
                raise UnknownRun(run_id)
            report = await asyncio.to_thread(self.runtime.report, run_id)
        except UnknownRun:
            if run_id in self.active:
                return _running(run_id)
            raise
        run = report.run
        queued = run.state is RunState.INTERRUPTED and run_id in self.active
        return JSONResponse(
            {
                "run": run_id,
                "workflow": run.workflow,
                "connection": run.connection,
                "state": RunState.RUNNING if queued else run.state,
                "error": run.message,
                "waiting": run.waiting,
                "steps": _writes(report.steps),
            }
        )

    def _named(self, request: Request) -> tuple[Connection, Workflow]:
        connection, name = request.path_params["connection"], request.path_params["name"]
        if connection not in self.accounts.connections:
            raise ApiError(404, f"no connection is called {connection}")
        if name not in self.workflows:
            raise ApiError(404, f"no workflow is called {name}: GET /workflows lists them")
        return self.accounts.connections[connection], self.workflows[name]

    async def _task(self, connection: Connection, wanted: RunRequest) -> "asyncio.Task[RunOutcome]":
        """Returns the task of a run: that of the active run, or a new one.

        The runner is opened here, and not in the task, so that a missing credential is reported to
        callers that do not wait.
        """
        active = self.active.get(wanted.run_id)
        if active is None:
            async with self.runtime.runner(connection) as runner:
                active = self.active.get(wanted.run_id) or self._start(runner, wanted)
        same = (wanted.workflow.name, wanted.inputs, connection.name)
        if (active.request.workflow.name, active.request.inputs, active.connection) != same:
            raise OtherInputs(
                f"run {wanted.run_id} was started with other inputs: start another run"
            )
        return active.task

    def _start(self, runner: WorkflowRunner, wanted: RunRequest) -> ActiveRun:
        async def run() -> RunOutcome:
            async with self.permits:
                return await runner.run(wanted)

        task = self.accounts.start(run())
        self.active[wanted.run_id] = ActiveRun(wanted, runner.connection, task)
        task.add_done_callback(lambda _: self._end(wanted.run_id))
        return self.active[wanted.run_id]

    def _end(self, run_id: str) -> None:
        task = self.active.pop(run_id).task
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("workflow run %s: %s", run_id, type(error).__name__)


def runtime_of(accounts: Accounts) -> WorkflowRuntime:
    """Returns the runtime of the service, whose clients stay open."""
    return WorkflowRuntime(accounts.settings, accounts.engine, accounts.open)


def routes(accounts: Accounts, workflows: Mapping[str, Workflow]) -> list[BaseRoute]:
    """Returns the routes of this module."""
    endpoint = WorkflowEndpoint(accounts, runtime_of(accounts), workflows)
    return [
        Route("/workflows", _responding(endpoint.list_workflows)),
        Route("/workflows/runs/{run}", _responding(endpoint.show)),
        Route("/workflows/{connection}/{name}", _responding(endpoint.run), methods=["POST"]),
    ]


def _responding(handler: Any) -> Any:
    """Makes foreseen errors a response."""

    async def respond(request: Request) -> JSONResponse:
        try:
            response: JSONResponse = await handler(request)
            return response
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        except UnknownRun as error:
            return JSONResponse({"message": str(error)}, 404)
        except BadInputs as error:
            message = "nothing was written: the inputs cannot be used"
            return JSONResponse({"message": message, "faults": error.faults}, 422)
        except Unconfirmed as error:
            message = f'{error.what} Send "confirm": true if that is wanted'
            return JSONResponse({"message": message}, 422)
        except (RunBusy, OtherInputs) as error:
            return JSONResponse({"message": str(error)}, 409)
        except BrexError as error:
            return JSONResponse({"message": str(error)}, 502)
        except SettingsError as error:
            return JSONResponse({"message": str(error)}, 503)
        except PostgresError:
            message = "the warehouse does not respond: ask again with the same Idempotency-Key"
            return JSONResponse({"message": message}, 503)

    return respond


async def _read(request: Request) -> RunBody:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise ApiError(413, f"a request may have {LARGEST >> 20} MB")
    except ClientDisconnect:
        raise ApiError(400, "the body did not come to its end") from None
    try:
        return RunBody.model_validate(json.loads(bytes(body)))
    except ValidationError as error:
        raise BadInputs(faults_of(error)) from None
    except (ValueError, RecursionError):
        raise ApiError(400, 'expected JSON such as {"inputs": {…}, "confirm": true}') from None


def _run_id(request: Request, connection: str) -> str:
    """Returns the run's id: the Idempotency-Key if that is a UUID, else a UUID derived from it;
    without a key, a random UUID."""
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


def _wait(request: Request) -> float:
    """Returns the seconds to wait for the run before responding."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(found[1]), MOST) if found else WAIT


def _place(run_id: str) -> str:
    """Returns the path at which a run is polled."""
    return f"/workflows/runs/{run_id}"


def _running(run_id: str) -> JSONResponse:
    where = _place(run_id)
    body = {"run": run_id, "state": RunState.RUNNING, "poll": where}
    return JSONResponse(body, 202, headers={"Location": where})


def _finished(outcome: RunOutcome) -> JSONResponse:
    done = RunState.WAITING if outcome.waiting else RunState.FINISHED
    body = {
        "run": outcome.run_id,
        "workflow": outcome.workflow,
        "state": RunState.FAILED if outcome.error else done,
        "error": outcome.error,
        "waiting": outcome.waiting,
        "steps": _writes(outcome.steps),
        "stale": outcome.stale,
    }
    if outcome.faults:
        body["faults"] = outcome.faults
    if outcome.waiting:
        return JSONResponse(body, 202, headers={"Location": _place(outcome.run_id)})
    return JSONResponse(body, 200 if not outcome.error else 422 if outcome.refused else 502)


def _writes(steps: Iterable[StepRecord]) -> list[dict[str, Any]]:
    return [
        {"step": one.step, "method": one.method, "path": one.path,
         "done": one.state is StepState.DONE, "state": one.state, "answer": one.kept}
        for one in steps
        if one.method != "GET"
    ]  # fmt: skip
