"""Workflows as jobs, each with a typed form in the launchpad. Re-executing a run resumes it."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import dagster as dg
import pydantic

from brex_sync.connections.declared import Connection
from brex_sync.errors import BrexSyncError, PostgresError, Unconfirmed
from brex_sync.runtime.workflows import WorkflowRuntime, open_workflows
from brex_sync.settings import Settings
from brex_sync.workflows.declare import Workflow
from brex_sync.workflows.forms import InputField, InputKind, entries
from brex_sync.workflows.run_request import RunRequest, request_run
from brex_sync.workflows.runner import RunOutcome

WAITING = "waiting_workflows"
"""The sensor that resumes runs that wait."""
LOOK_EVERY = 30
"""Seconds between two ticks of the sensor."""
MOST = 50.0
"""The most seconds of a tick; Dagster's limit is 60."""
OWN = ("connection", "confirm", "dry_run")
"""The fields of a form that are not inputs of the workflow."""
TYPES: dict[InputKind, Any] = {
    InputKind.TEXT: str,
    InputKind.TEXTS: list[str],
    InputKind.CHOICES: list[str],
    InputKind.FLAG: bool,
    InputKind.NESTED: Any,
}


def workflow_jobs(
    settings: Settings, connections: Sequence[Connection], workflows: Mapping[str, Workflow]
) -> list[dg.JobDefinition]:
    """Returns a job for each workflow, for all connections."""
    return [_job(settings, connections, workflow) for workflow in workflows.values()]


def job_name(workflow: Workflow) -> str:
    """Returns the name of a workflow's job."""
    return workflow.name.replace("-", "_")


def step_name(workflow: Workflow) -> str:
    """Returns the name of the one op of a workflow's job."""
    return f"perform_{job_name(workflow)}"


def _job(
    settings: Settings, connections: Sequence[Connection], workflow: Workflow
) -> dg.JobDefinition:
    known = {connection.name: connection for connection in connections}
    form = form_of(workflow, list(known))

    @dg.op(name=step_name(workflow), description=workflow.description)
    def run(context: dg.OpExecutionContext, config: form) -> None:  # type: ignore[valid-type]
        given: dict[str, Any] = dict(config)
        chosen = {name: _plain(v) for name, v in given.items() if v is not None}
        connection, confirmed, dry = (chosen.pop(name) for name in OWN)
        try:
            request = request_run(
                workflow,
                chosen,
                by=f"Dagster run {context.run_id}",
                files=True,
                run_id=_root(context),
                confirmed=confirmed,
            )
            with open_workflows(settings) as runtime:
                (_plan if dry else _run)(context, runtime, known[connection], request)
        except Unconfirmed as error:
            message = f"Nothing was written. {error.what} Set confirm to true if that is wanted."
            raise dg.Failure(message, allow_retries=False) from None
        except BrexSyncError as error:
            raise dg.Failure(_sentence(error), allow_retries=False) from None

    @dg.job(
        name=job_name(workflow),
        description=workflow.description,
        tags={"brex_sync/workflow": workflow.name},
    )
    def job() -> None:
        run()

    return job


def waiting_sensor(
    settings: Settings, connections: Sequence[Connection], workflows: Mapping[str, Workflow]
) -> dg.SensorDefinition:
    """Returns a sensor that resumes waiting runs in its ticks; a tick fails if a run fails."""

    @dg.sensor(
        name=WAITING,
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Polls what workflow runs wait for, such as that somebody accepts an "
        "invitation, and resumes the runs whose wait is over. Starts no Dagster runs.",
    )
    def sensor() -> dg.SkipReason:
        resumed, failed = _resume(settings, connections, workflows)
        if failed:
            raise dg.Failure("\n".join(failed))
        return dg.SkipReason("; ".join(resumed) or "no waiting workflow run is due")

    return sensor


def _resume(
    settings: Settings, connections: Sequence[Connection], workflows: Mapping[str, Workflow]
) -> tuple[list[str], list[str]]:
    """Resumes the runs that are due; returns a line for each that did not fail, and that did."""
    resumed: list[str] = []
    failed: list[str] = []

    async def resume(runtime: WorkflowRuntime, connection: Connection) -> None:
        async with asyncio.timeout(MOST / len(connections)):
            for run_id, outcome in await runtime.resume_waiting(connection, workflows):
                how = outcome if isinstance(outcome, str) else outcome.error
                if how is not None:
                    failed.append(f"workflow run {run_id} failed: {how}")
                elif isinstance(outcome, RunOutcome):
                    resumed.append(f"{run_id}: {outcome.waiting or 'finished'}")

    try:
        with open_workflows(settings) as runtime:
            for connection in connections:
                try:
                    asyncio.run(resume(runtime, connection))
                except BrexSyncError as error:
                    resumed.append(f"{connection.name}: {error}")
                except TimeoutError:
                    resumed.append(f"{connection.name}: Brex was not reached in time")
    except BrexSyncError as error:
        resumed.append(str(error))
    return resumed, failed


def form_of(workflow: Workflow, connections: list[str]) -> type[dg.Config]:
    """Returns the launchpad's form: the inputs, the connection, `confirm` and `dry_run`."""
    fields: dict[str, Any] = {
        entry.name: _field(entry) for entry in entries(workflow.inputs) if not entry.private
    }
    which = _choice(connections)
    fields["connection"] = (
        which,
        pydantic.Field(which(connections[0]), description="Which Brex account."),
    )
    fields["confirm"] = (
        bool,
        pydantic.Field(False, description="Confirm what spends or can't be undone."),
    )
    fields["dry_run"] = (
        bool,
        pydantic.Field(False, description="Log the calls; write nothing."),
    )
    name = job_name(workflow).title().replace("_", "")
    made: type[dg.Config] = pydantic.create_model(name, __base__=dg.Config, **fields)
    return made


def _field(entry: InputField) -> tuple[Any, Any]:
    kind = _choice(entry.choices) if entry.kind is InputKind.CHOICE else TYPES[entry.kind]
    if entry.required:
        return kind, pydantic.Field(description=entry.description)
    if entry.default is None:
        return kind | None, pydantic.Field(None, description=entry.description)
    default = kind(entry.default) if entry.kind is InputKind.CHOICE else entry.default
    return kind, pydantic.Field(default, description=entry.description)


def _choice(texts: Sequence[str]) -> Any:
    """Returns an enumeration. Dagster identifies it by its name, which therefore has all texts."""
    return Enum("_or_".join(texts), {text: text for text in texts})


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _root(context: dg.OpExecutionContext) -> str:
    """Returns the id of the first Dagster run: a run that re-executes it resumes it."""
    return context.run.get_root_run_id() or context.run_id


def _plan(
    context: dg.OpExecutionContext,
    runtime: WorkflowRuntime,
    connection: Connection,
    request: RunRequest,
) -> None:
    planned = asyncio.run(runtime.plan(connection, request))
    for one in planned:
        context.log.info(f"would be sent: {one.step}: {one.method} {one.path} {one.body or ''}")
    context.add_output_metadata({"would_be_sent": len(planned)})


def _run(
    context: dg.OpExecutionContext,
    runtime: WorkflowRuntime,
    connection: Connection,
    request: RunRequest,
) -> None:
    confirmed = runtime.confirm(request)
    _report(context, asyncio.run(runtime.run(connection, confirmed)))


def _sentence(error: Exception) -> str:
    """Returns why a run has no outcome."""
    if isinstance(error, PostgresError):
        return f"{error}. Re-execute this run to resume it."
    return f"Nothing was written. {error}"


def _report(context: dg.OpExecutionContext, outcome: RunOutcome) -> None:
    """Logs the completed steps and adds them to the metadata. Raises Failure if the run failed."""
    done = {step.step: (step.kept or {}).get("id", step.path) for step in outcome.steps}
    for name, made in done.items():
        context.log.info(f"done: {name} ({made})")
    for stale in outcome.stale:
        context.log.warning(stale)
    metadata: dict[str, Any] = {"writes": len(done), "done": done}
    if outcome.waiting:
        context.log.info(f"{outcome.waiting}; the sensor {WAITING} resumes it")
        metadata["waiting_for"] = outcome.waiting
    if outcome.error is None:
        context.add_output_metadata(metadata)
        return
    message = f"{outcome.error}\n{len(done)} steps are complete: {', '.join(done) or 'none'}. "
    message += "Re-execute this run to resume it: completed steps are not repeated."
    raise dg.Failure(message, metadata=metadata, allow_retries=False)
