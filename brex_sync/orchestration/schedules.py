"""The job that syncs a connection, and the clock that starts it."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from brex_sync.connections import Connection
from brex_sync.orchestration import faults
from brex_sync.orchestration.connection import why_not
from brex_sync.settings import Settings

RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}
"""A retry of a run that crashed takes up the tables that were not yet done."""


def job_name(connection: Connection) -> str:
    """The job that syncs a connection."""
    return f"{connection.name}_sync"


def sync_job(connection: Connection, tables: dg.AssetsDefinition) -> UnresolvedAssetJobDefinition:
    """The job that syncs all of a connection, with its checks."""
    return dg.define_asset_job(
        job_name(connection),
        selection=dg.AssetSelection.assets(tables),
        description=f"Brings every table of {connection.name} up to date.",
        run_tags=RETRY,
    )


def schedule(settings: Settings, connection: Connection) -> dg.ScheduleDefinition:
    """Runs the job on the schedule the settings give (UTC), while the connection can be used."""

    @dg.schedule(
        name=f"{connection.name}_schedule",
        job_name=job_name(connection),
        cron_schedule=settings.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Syncs {connection.name} regularly.",
    )
    def tick() -> dg.RunRequest | dg.SkipReason:
        try:
            reason = why_not(settings, connection)
        except faults.EXPECTED:
            reason = None  # the run itself will say it, where people look
        return dg.SkipReason(reason) if reason else dg.RunRequest()

    return tick
