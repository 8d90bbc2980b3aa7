"""A connection's health as an asset, kept alive by a job that a sensor starts."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from brex_sync.connections.credentials import now_utc
from brex_sync.connections.declared import Connection
from brex_sync.connections.health import Health, Level, current, is_due
from brex_sync.databases import open_database, open_warehouse
from brex_sync.errors import BrexSyncError
from brex_sync.runtime.health import check_health, keep_connection_alive
from brex_sync.settings import Configuration, Settings
from brex_sync.texts import markdown
from brex_sync.warehouse import credentials as table

CHECK = "nobody_needs_to_act"
GROUP = "connection"
LOOK_EVERY = 60
"""Seconds between two looks: Brex is asked only when something is due."""


def has_credential(connection: Connection) -> bool:
    """Whether the connection has anything to keep alive; the sandbox hasn't."""
    return connection.configuration is not Configuration.SANDBOX


def key_of(connection: Connection) -> dg.AssetKey:
    """The asset that shows a connection's health."""
    return dg.AssetKey([connection.name, "connection"])


def health_asset(settings: Settings, connection: Connection) -> dg.AssetsDefinition:
    """Keeps the credential alive when it is due, and shows how it stands."""

    @dg.multi_asset(
        name=f"{connection.name}_connection",
        specs=[
            dg.AssetSpec(
                key=key_of(connection),
                description="The credential by which Brex is read: kept alive even when nothing "
                "is synced, and told of when a person must act.",
                group_name=GROUP,
                kinds={"brex"},
            )
        ],
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key_of(connection),
                description="Brex takes the credential, and it has more than a third of its life "
                "left.",
            )
        ],
    )
    def keep_alive(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[None]]:
        try:
            health = keep_connection_alive(settings, connection)
        except BrexSyncError as error:
            raise dg.Failure(str(error)) from None
        context.log.info(health.told)
        yield dg.MaterializeResult(
            asset_key=key_of(connection),
            metadata=_metadata(settings, connection, health),
            check_results=[_check(connection, health)],
        )

    return keep_alive


def job_name(connection: Connection) -> str:
    """The job that keeps a connection alive."""
    return f"{connection.name}_keepalive"


def keepalive_job(
    connection: Connection, health: dg.AssetsDefinition
) -> UnresolvedAssetJobDefinition:
    """The job that keeps a connection alive."""
    return dg.define_asset_job(
        job_name(connection),
        selection=dg.AssetSelection.assets(health),
        description=f"Keeps the credential of {connection.name} alive, and shows how it stands.",
    )


def keepalive_sensor(settings: Settings, connection: Connection) -> dg.SensorDefinition:
    """Starts the job when the credential was not used for long, or when its state changed.

    It decides by one row of the warehouse, and the job does the rest: Dagster cuts sensors off.
    """

    @dg.sensor(
        name=job_name(connection),
        job_name=job_name(connection),
        minimum_interval_seconds=LOOK_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Keeps {connection.name} connected, though nothing is synced. Stopped here, "
        "its credential dies once it is not used for long.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            health, due = _look(settings, connection)
        except BrexSyncError as error:
            return dg.SkipReason(str(error))
        seen = f"{health.level}: {health.told}"
        if due is None and seen == context.cursor:
            return dg.SkipReason(f"{connection.name}: {health.told}")
        return dg.SensorResult([dg.RunRequest(run_key=due)], cursor=seen)

    return sensor


def why_not(settings: Settings, connection: Connection) -> str | None:
    """Why a sync would be in vain, where that is known; None if it may be tried."""
    if not has_credential(connection):
        return None
    with open_warehouse(settings, connection.name) as warehouse:
        health = check_health(settings, connection, warehouse)
    return None if health.usable else f"{connection.name}: {health.told}"


def _look(settings: Settings, connection: Connection) -> tuple[Health, str | None]:
    """How the connection stands; and, if it is due, a name for that which changes by the hour: a
    run that died is asked for again, and one that waits in the queue is not."""
    now = now_utc()
    with open_warehouse(settings, connection.name) as warehouse:
        health = check_health(settings, connection, warehouse)
        row = current(connection, table.read(warehouse.engine, connection.name))
    untried = row is None and connection.token is not None
    if not untried and (row is None or not is_due(row, now)):
        return health, None
    return health, f"{row.used_at if row else None} {now:%Y-%m-%d %H}"


def _metadata(settings: Settings, connection: Connection, health: Health) -> dict[str, Any]:
    with open_database(settings) as engine:
        row = table.read(engine, connection.name)
    known: dict[str, Any] = {
        "configuration": str(connection.configuration),
        "state": health.state,
        "health": health.told,
        "days_left": health.days_left,
        "dies_unless_used": health.dies_on.isoformat() if health.dies_on else None,
        "company": row.company_name or row.company_id if row else None,
        "scopes": row.scopes if row else None,
        "last_used": _moment(row.used_at) if row else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _moment(moment: datetime | None) -> dg.TimestampMetadataValue | None:
    return dg.MetadataValue.timestamp(moment) if moment else None


def _check(connection: Connection, health: Health) -> dg.AssetCheckResult:
    warning = health.level is Level.WARNING
    return dg.AssetCheckResult(
        check_name=CHECK,
        asset_key=key_of(connection),
        passed=health.level is Level.WELL,
        severity=dg.AssetCheckSeverity.WARN if warning else dg.AssetCheckSeverity.ERROR,
        description=markdown(health.told),
        metadata={} if health.days_left is None else {"days_left": health.days_left},
    )
