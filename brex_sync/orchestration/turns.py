"""Whether a connection is free: what of it is queued or under way, in Dagster or anywhere else."""

from collections.abc import Mapping

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.scheduler.instigation import InstigatorStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES, DagsterRun
from dagster._core.storage.tags import SCHEDULE_NAME_TAG, SENSOR_NAME_TAG

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.settings import Settings
from brex_sync.sync import turns
from brex_sync.warehouse.status import runs

IMPLICIT = "__ASSET_JOB"
"""Dagster's job for assets that are chosen in the UI."""
NO_TABLES = ("connection", "webhook_events", "month_report")
"""Assets of a connection that no sync makes."""

Context = dg.ScheduleEvaluationContext | dg.SensorEvaluationContext


def job_name(connection: Connection) -> str:
    """The job that syncs a connection."""
    return f"{connection.name}_sync"


def first_sync_name(connection: Connection) -> str:
    """The sensor that starts a connection's first sync."""
    return f"{connection.name}_first_sync"


def instance_of(context: Context) -> dg.DagsterInstance | None:
    """Dagster's instance; None in a context that was built without one."""
    try:
        return context.instance
    except DagsterInvariantViolationError:
        return None


def why_busy(context: Context, settings: Settings, connection: Connection) -> str | None:
    """Which run has the connection, or waits for it, as a sentence; None if it is free.

    Raises:
        SettingsError, PostgresError: the warehouse cannot be asked; nothing is
            queued or under way in Dagster.
    """
    if run := _unfinished(instance_of(context), connection):
        state = "is under way" if run.status is dg.DagsterRunStatus.STARTED else "is queued"
        if run.status is dg.DagsterRunStatus.CANCELING:
            state = "is being stopped"
        return f"{connection.name}: run {run.run_id} {state} ({started_by(run.tags)})"
    with open_warehouse(settings, connection.name, prepared=True) as warehouse:
        holder = turns.holder(warehouse)
    return turns.told_of(connection.name, holder) if holder else None


def started_by(tags: Mapping[str, str]) -> str:
    """What began a run of Dagster's, by its tags."""
    if name := tags.get(SCHEDULE_NAME_TAG):
        return f"Dagster's schedule {name}"
    if name := tags.get(SENSOR_NAME_TAG):
        return f"Dagster's sensor {name}"
    return "a person in Dagster"


def by_itself(tags: Mapping[str, str]) -> bool:
    """Whether a schedule or sensor began a run, and no person."""
    return bool(tags.keys() & {SCHEDULE_NAME_TAG, SENSOR_NAME_TAG})


def first_sync_is_coming(context: Context, settings: Settings, connection: Connection) -> bool:
    """Whether the sensor of the first sync will start it: nothing did so far, and it is on."""
    instance = instance_of(context)
    if instance is None or instance.get_runs(_of_job(connection), limit=1):
        return False
    name = first_sync_name(connection)
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
        if state.instigator_name == name and state.status is InstigatorStatus.STOPPED:
            return False
    with open_warehouse(settings, connection.name, prepared=True) as warehouse:
        return not runs.was_begun(warehouse)


def _unfinished(instance: dg.DagsterInstance | None, connection: Connection) -> DagsterRun | None:
    """The oldest run that syncs tables of the connection and has not ended."""
    if instance is None:
        return None
    filters = dg.RunsFilter(statuses=NOT_FINISHED_STATUSES)
    found = [run for run in instance.get_runs(filters) if _syncs(run, connection)]
    return found[-1] if found else None


def _syncs(run: DagsterRun, connection: Connection) -> bool:
    if not run.job_name.startswith(IMPLICIT):
        return run.job_name == job_name(connection)
    paths = [key.path for key in run.asset_selection or ()]
    return any(p[0] == connection.name and p[-1] not in NO_TABLES for p in paths)


def _of_job(connection: Connection) -> dg.RunsFilter:
    return dg.RunsFilter(job_name=job_name(connection))
