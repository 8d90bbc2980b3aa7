"""Jobs, and what starts them: the clock, and a connection that was never synced."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from brex_sync.app import open_engine
from brex_sync.connections import Connection
from brex_sync.orchestration.assets import job_name
from brex_sync.settings import Settings
from brex_sync.streams import STREAMS
from brex_sync.warehouse import runs

RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}
PRUNE_BATCH = 500
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def sync_job(connection: Connection, tables: dg.AssetsDefinition) -> UnresolvedAssetJobDefinition:
    """The job that syncs all of a connection; a retry takes up only what failed."""
    return dg.define_asset_job(
        job_name(connection),
        selection=dg.AssetSelection.assets(tables),
        description=f"Brings every table of {connection.name} up to date.",
        run_tags=RETRY,
    )


def schedule(settings: Settings, connection: Connection) -> dg.ScheduleDefinition:
    """Runs the job on the schedule the settings give (UTC)."""
    return dg.ScheduleDefinition(
        name=f"{connection.name}_schedule",
        job_name=job_name(connection),
        cron_schedule=settings.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Syncs {connection.name} regularly.",
    )


def first_sync(settings: Settings, connection: Connection) -> dg.SensorDefinition:
    """Starts the first sync of a connection at once, and never again."""

    @dg.sensor(
        name=f"{connection.name}_first_sync",
        job_name=job_name(connection),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts the first sync of {connection.name} without waiting for its schedule.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        engine = open_engine(settings)
        try:
            known = [runs.status(engine, connection.name, s) for s in STREAMS.values()]
        except sa.exc.OperationalError as error:
            return dg.SkipReason(f"Postgres: {str(error.orig).partition(chr(10))[0]}")
        finally:
            engine.dispose()
        if any(status.synced_at or status.behind for status in known):
            return dg.SkipReason(f"{connection.name} has been synced before")
        return dg.RunRequest(run_key=f"first sync of {connection.name}")

    return sensor


def prune_job(settings: Settings) -> dg.JobDefinition:
    """Deletes runs that ended longer ago than the settings keep them, with their events."""

    @dg.op(name="prune_runs", description="Deletes old runs and their events from Dagster.")
    def prune(context: dg.OpExecutionContext) -> None:
        deleted = 0
        for run_id in _old_runs(context.instance, timedelta(days=settings.retention_days)):
            context.instance.delete_run(run_id)
            deleted += 1
        context.log.info(f"{deleted} runs deleted")

    @dg.job(
        name="prune_runs_job",
        description=f"Forgets runs older than {settings.retention_days} days.",
    )
    def job() -> None:
        prune()

    return job


def prune_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Prunes every night."""
    return dg.ScheduleDefinition(
        name="prune_runs_schedule",
        job=job,
        cron_schedule="23 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Forgets old runs every night.",
    )


def _old_runs(instance: dg.DagsterInstance, age: timedelta) -> Iterator[str]:
    old = dg.RunsFilter(statuses=ENDED, created_before=datetime.now(UTC) - age)
    while records := instance.get_run_records(old, limit=PRUNE_BATCH):
        yield from (record.dagster_run.run_id for record in records)
