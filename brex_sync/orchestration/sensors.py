"""The sensor that starts a connection's first sync."""

import dagster as dg

from brex_sync.connections.declared import Connection
from brex_sync.databases import open_warehouse
from brex_sync.errors import BrexSyncError
from brex_sync.orchestration.connection import why_not
from brex_sync.orchestration.turns import first_sync_name, job_name, why_busy
from brex_sync.settings import Settings
from brex_sync.warehouse.status import runs


def first_sync(settings: Settings, connection: Connection) -> dg.SensorDefinition:
    """Starts the first sync of a connection at once, and never again."""

    @dg.sensor(
        name=first_sync_name(connection),
        job_name=job_name(connection),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts the first sync of {connection.name} without waiting for its schedule.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            reason = why_busy(context, settings, connection) or why_not(settings, connection)
            synced = _was_begun(settings, connection)
        except BrexSyncError as error:
            return dg.SkipReason(str(error))
        if synced:
            return dg.SkipReason(f"{connection.name} has been synced before")
        if reason:
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=f"first sync of {connection.name}")

    return sensor


def _was_begun(settings: Settings, connection: Connection) -> bool:
    with open_warehouse(settings, connection.name) as warehouse:
        return runs.was_begun(warehouse)
