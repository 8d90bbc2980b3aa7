"""The job that syncs a connection, and the clock that starts it."""

from datetime import date, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.errors import BrexSyncError
from brex_sync.orchestration.connection import why_not
from brex_sync.orchestration.turns import (
    first_sync_is_coming,
    first_sync_name,
    job_name,
    why_busy,
)
from brex_sync.settings import Settings
from brex_sync.warehouse.state import postponed

WEEKLY, MONTHLY = "41 4 * * 0", "41 5 1 * *"
DEPTH = timedelta(days=90)
"""How far back the weekly reconciliation reads."""
RECONCILIATION = "brex_sync/reconciliation"
"""Tag of runs by which the clock reconciles: weekly or monthly."""
RETRY = {"dagster/retry_strategy": "FROM_ASSET_FAILURE"}
"""A retry of a run that crashed takes up the tables that were not yet done."""


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


def reconciliations(settings: Settings, connection: Connection) -> list[dg.ScheduleDefinition]:
    """Compares the last months every week and everything every month, and mends what differs."""
    return [
        _reconciliation(settings, connection, "weekly", WEEKLY, DEPTH),
        _reconciliation(settings, connection, "monthly", MONTHLY, None),
    ]


def _reconciliation(
    settings: Settings, connection: Connection, name: str, cron: str, depth: timedelta | None
) -> dg.ScheduleDefinition:
    reach = "everything" if depth is None else f"the last {depth.days} days"

    @dg.schedule(
        name=f"{connection.name}_reconcile_{name}",
        job_name=job_name(connection),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Reads {reach} of {connection.name} again, mends and shows what differed. "
        "Where another run has the connection, the next tick of the sync's schedule does so.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        since = None if depth is None else context.scheduled_execution_time.date() - depth
        try:
            if busy := why_busy(context, settings, connection):
                with open_warehouse(settings, connection.name, prepared=True) as warehouse:
                    postponed.put(warehouse, name, since)
                return dg.SkipReason(f"{busy}; the next sync after it reconciles")
        except BrexSyncError:
            pass  # the run itself will say it, where people look
        return _reconciling(connection, name, since)

    return tick


def _reconciling(connection: Connection, name: str, since: date | None) -> dg.RunRequest:
    chosen: dict[str, object] = {"reconcile": True}
    if since is not None:
        chosen["since"] = since.isoformat()
    config = {"ops": {step_name(connection): {"config": chosen}}}
    return dg.RunRequest(run_config=config, tags={RECONCILIATION: name})


def schedule(settings: Settings, connection: Connection) -> dg.ScheduleDefinition:
    """Runs the job on the schedule the settings give (UTC), while the connection can be used.

    A tick that finds a run queued or under way is skipped: what it would read, the next one does.
    """

    @dg.schedule(
        name=f"{connection.name}_schedule",
        job_name=job_name(connection),
        cron_schedule=settings.schedule,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Syncs {connection.name} regularly. Skips while a run of it is queued or "
        "under way.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            if reason := _why_skip(context, settings, connection):
                return dg.SkipReason(reason)
            with open_warehouse(settings, connection.name, prepared=True) as warehouse:
                due = postponed.due(warehouse)
        except BrexSyncError:
            due = None  # the run itself will say it, where people look
        return _reconciling(connection, *due) if due else dg.RunRequest()

    return tick


def _why_skip(
    context: dg.ScheduleEvaluationContext, settings: Settings, connection: Connection
) -> str | None:
    if reason := why_busy(context, settings, connection) or why_not(settings, connection):
        return reason
    if first_sync_is_coming(context, settings, connection):
        return f"the sensor {first_sync_name(connection)} starts the first sync within a minute"
    return None
