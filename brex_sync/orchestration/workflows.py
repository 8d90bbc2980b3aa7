"""Workflows as jobs, each with a typed form in the launchpad. Re-executed, a run goes on."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import dagster as dg
import pydantic
import sqlalchemy as sa

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_database
from brex_sync.errors import BrexSyncError, PostgresError, Unconfirmed
from brex_sync.runtime.clients import open_client
from brex_sync.runtime.workflows import open_performer, resume_waiting
from brex_sync.settings import Settings
from brex_sync.workflows.declare import Inputs, Workflow
from brex_sync.workflows.dry import Planned, rehearse
from brex_sync.workflows.forms import InputField, InputKind, entries
from brex_sync.workflows.lines import read_inputs
from brex_sync.workflows.run import RunOutcome, RunRequest

WAITING = "waiting_workflows"
"""The sensor that goes on with runs that wait."""
LOOK_EVERY = 30
"""Seconds between two ticks of it."""
MOST = 50.0
"""Seconds in which a tick is over: Dagster's are 60."""
OWN = ("connection", "confirm", "dry_run")
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
    """A job for each workflow, for all connections."""
    return [_job(settings, connections, workflow) for workflow in workflows.values()]


def job_name(workflow: Workflow) -> str:
    """The job of a workflow."""
    return workflow.name.replace("-", "_")


def step_name(workflow: Workflow) -> str:
    """The one step of that job."""
    return f"perform_{job_name(workflow)}"


def _job(
    settings: Settings, connections: Sequence[Connection], workflow: Workflow
) -> dg.JobDefinition:
    known = {connection.name: connection for connection in connections}
    form = form_of(workflow, list(known))

    @dg.op(name=step_name(workflow), description=workflow.description)
    def perform(context: dg.OpExecutionContext, config: form) -> None:  # type: ignore[valid-type]
        given: dict[str, Any] = dict(config)
        chosen = {name: _plain(v) for name, v in given.items() if v is not None}
        connection, confirmed, dry = (chosen.pop(name) for name in OWN)
        try:
            inputs = read_inputs(workflow.inputs, chosen, files=True)
            if dry:
                _log_plan(context, _rehearse(settings, known[connection], workflow, inputs))
                return
            by = f"Dagster run {context.run_id}"
            asked = RunRequest(workflow, inputs, _root(context), by, confirmed)
            outcome = _perform(settings, known[connection], asked)
        except Unconfirmed as error:
            told = f"Nothing was written. {error.what} Set confirm to true if that is wanted."
            raise dg.Failure(told, allow_retries=False) from None
        except BrexSyncError as error:
            raise dg.Failure(_sentence(error), allow_retries=False) from None
        _tell(context, outcome)

    @dg.job(
        name=job_name(workflow),
        description=workflow.description,
        tags={"brex_sync/workflow": workflow.name},
    )
    def job() -> None:
        perform()

    return job


def waiting_sensor(
    settings: Settings, connections: Sequence[Connection], workflows: Mapping[str, Workflow]
) -> dg.SensorDefinition:
    """Goes on with runs that wait, within its ticks; a tick fails where one of them did."""

    @dg.sensor(
        name=WAITING,
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at what workflows wait for, such as that somebody accepts an "
        "invitation, and goes on with those that wait no longer. Starts no runs.",
    )
    def sensor() -> dg.SkipReason:
        told, failed = _resume(settings, connections, workflows)
        if failed:
            raise dg.Failure("\n".join(failed))
        return dg.SkipReason("; ".join(told) or "no workflow waits to be looked at now")

    return sensor


def _resume(
    settings: Settings, connections: Sequence[Connection], workflows: Mapping[str, Workflow]
) -> tuple[list[str], list[str]]:
    """What became of the runs that were due: of those that stand well, and of those that failed."""
    told: list[str] = []
    failed: list[str] = []

    async def look(connection: Connection, engine: sa.Engine) -> None:
        async with asyncio.timeout(MOST / len(connections)):
            for run_id, outcome in await resume_waiting(settings, connection, engine, workflows):
                how = outcome if isinstance(outcome, str) else outcome.error
                if how is not None:
                    failed.append(f"workflow run {run_id} failed: {how}")
                elif isinstance(outcome, RunOutcome):
                    told.append(f"{run_id}: {outcome.waiting or 'finished'}")

    try:
        with open_database(settings, prepared=True) as engine:
            for connection in connections:
                try:
                    asyncio.run(look(connection, engine))
                except BrexSyncError as error:
                    told.append(f"{connection.name}: {error}")
                except TimeoutError:
                    told.append(f"{connection.name}: Brex was not reached in time")
    except BrexSyncError as error:
        told.append(str(error))
    return told, failed


def form_of(workflow: Workflow, connections: list[str]) -> type[dg.Config]:
    """The launchpad's form: the inputs, for which connection, and what a person agrees to."""
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
        pydantic.Field(False, description="Yes to what spends or can't be undone."),
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
    """Dagster knows an enumeration by its name, so that says what is in it."""
    return Enum("_or_".join(texts), {text: text for text in texts})


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _root(context: dg.OpExecutionContext) -> str:
    """The run that was first asked for: what re-executes it goes on with it."""
    return context.run.get_root_run_id() or context.run_id


def _perform(settings: Settings, connection: Connection, asked: RunRequest) -> RunOutcome:
    async def go(engine: sa.Engine) -> RunOutcome:
        async with open_performer(settings, connection, engine) as performer:
            return await performer.perform(asked)

    with open_database(settings) as engine:
        return asyncio.run(go(engine))


def _rehearse(
    settings: Settings, connection: Connection, workflow: Workflow, inputs: Inputs
) -> list[Planned]:
    async def go(engine: sa.Engine) -> list[Planned]:
        async with open_client(settings, connection, engine) as client:
            return await rehearse(client, workflow, inputs)

    with open_database(settings) as engine:
        return asyncio.run(go(engine))


def _sentence(error: Exception) -> str:
    """Why a run did not come to an outcome."""
    if isinstance(error, PostgresError):
        return f"{error}. Re-executed from here, the run goes on."
    return f"Nothing was written. {error}"


def _log_plan(context: dg.OpExecutionContext, planned: list[Planned]) -> None:
    for one in planned:
        context.log.info(f"would be sent: {one.step}: {one.method} {one.path} {one.body or ''}")
    context.add_output_metadata({"would_be_sent": len(planned)})


def _tell(context: dg.OpExecutionContext, outcome: RunOutcome) -> None:
    """What stands, in the run's log and on its page; and a failure, if it is one."""
    stands = {step.step: (step.kept or {}).get("id", step.path) for step in outcome.steps}
    for name, made in stands.items():
        context.log.info(f"done: {name} ({made})")
    for told in outcome.stale:
        context.log.warning(told)
    metadata: dict[str, Any] = {"writes": len(stands), "done": stands}
    if outcome.waiting:
        context.log.info(f"{outcome.waiting}; the sensor {WAITING} goes on with it")
        metadata["waiting_for"] = outcome.waiting
    if outcome.error is None:
        context.add_output_metadata(metadata)
        return
    told = f"{outcome.error}\n{len(stands)} steps stand: {', '.join(stands) or 'none'}. "
    told += "Re-executed from here, the run goes on with what is left."
    raise dg.Failure(told, metadata=metadata, allow_retries=False)
