"""What Dagster loads: nothing but assembly. Touches neither the database nor the network."""

import dagster as dg

from brex_sync.connections.declared import load_connections
from brex_sync.orchestration.assets import connection_assets
from brex_sync.orchestration.connection import (
    has_credential,
    health_asset,
    keepalive_job,
    keepalive_sensor,
)
from brex_sync.orchestration.liveness import leased_executor, liveness_sensor
from brex_sync.orchestration.pruning import prune_job, prune_schedule
from brex_sync.orchestration.reports import (
    close_sensor,
    report_asset,
    report_job,
    report_schedule,
)
from brex_sync.orchestration.schedules import reconciliations, schedule, sync_job
from brex_sync.orchestration.sensors import first_sync
from brex_sync.orchestration.webhooks import webhook_assets, webhook_sensor
from brex_sync.orchestration.workflows import waiting_sensor, workflow_jobs
from brex_sync.settings import load_settings
from brex_sync.workflows import load


def build() -> dg.Definitions:
    """The assets, job, schedules and sensor of every connection, the workflows, and the pruning."""
    settings = load_settings()
    connections = load_connections(settings)
    tables = {c.name: connection_assets(settings, c) for c in connections}
    reports = {c.name: report_asset(settings, c) for c in connections}
    workflows = load(settings.workflow_modules)
    kept = [c for c in connections if has_credential(c)]
    health = {c.name: health_asset(settings, c) for c in kept}
    prune = prune_job(settings)
    return dg.Definitions(
        assets=[
            *tables.values(),
            *reports.values(),
            *health.values(),
            *(spec for c in connections for spec in webhook_assets(settings, c)),
        ],
        jobs=[
            *(sync_job(c, tables[c.name]) for c in connections),
            *(report_job(c, reports[c.name]) for c in connections),
            *(keepalive_job(c, health[c.name]) for c in kept),
            *workflow_jobs(settings, connections, workflows),
            prune,
        ],
        schedules=[
            *(schedule(settings, c) for c in connections),
            *(one for c in connections for one in reconciliations(settings, c)),
            *(report_schedule(c) for c in connections),
            prune_schedule(prune),
        ],
        sensors=[
            *(first_sync(settings, c) for c in connections),
            *(keepalive_sensor(settings, c) for c in kept),
            *(close_sensor(settings, c) for c in connections),
            *(webhook_sensor(settings, c) for c in connections),
            liveness_sensor(settings),
            waiting_sensor(settings, connections, workflows),
        ],
        executor=leased_executor(settings),
    )


defs = build()
