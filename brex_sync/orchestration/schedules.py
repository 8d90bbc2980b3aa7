"""The job that syncs a connection, and the clock that starts it."""

from datetime import timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from brex_sync.connections.declared import Connection
from brex_sync.orchestration import faults
from brex_sync.orchestration.connection import why_not
from brex_sync.settings import Settings

WEEKLY, MONTHLY = "41 4 * * 0", "41 5 1 * *"
DEPTH = timedelta(days=90)
"""How far back the weekly reconciliation reads."""
RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}
"""A retry of a run that crashed takes up the tables that were not yet done."""


def job_name(connection: Connection) -> str:
    """The job that syncs a connection."""
    return f"{connection.name}_sync"


def step_name(connection: Connection) -> str:
    """The one step of that job."""
    return f"{connection.name}_tables"


def sync_job(connection: Connection, tables: dg.AssetsDefinition) -> UnresolvedAssetJobDefinition:
    """The job that syncs all of a connection, with its checks."""
    return dg.define_asset_job(
        job_name(connection),
        selection=dg.AssetSelection.assets(tables),
        description=f"Brings every table of {connection.name} up to date.",
        run_tags=RETRY,
    )


def reconciliations(connection: Connection) -> list[dg.ScheduleDefinition]:
    """Compares the last months every week and everything every month, and mends what differs."""
    return [
        _reconciliation(connection, "weekly", WEEKLY, DEPTH),
        _reconciliation(connection, "monthly", MONTHLY, None),
    ]


def _reconciliation(
    connection: Connection, name: str, cron: str, depth: timedelta | None
) -> dg.ScheduleDefinition:
    reach = "everything" if depth is None else f"the last {depth.days} days"

    @dg.schedule(
        name=f"{connection.name}_reconcile_{name}",
        job_name=job_name(connection),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Reads {reach} of {connection.name} again, mends and shows what differed.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        chosen: dict[str, object] = {"reconcile": True}
        if depth is not None:
            chosen["since"] = (context.scheduled_execution_time.date() - depth).isoformat()
        return dg.RunRequest(run_config={"ops": {step_name(connection): {"config": chosen}}})

    return tick


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
