"""The tables of the internal schema, which hold the state of brex_sync itself."""

from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.credentials import credentials, refreshes
from brex_sync.warehouse.internal.events import (
    notifications,
    webhook_bodies,
    webhook_events,
    webhook_refusals,
    webhook_secrets,
)
from brex_sync.warehouse.internal.leases import leases
from brex_sync.warehouse.internal.marts import marts
from brex_sync.warehouse.internal.requests import proxied_requests
from brex_sync.warehouse.internal.syncing import (
    checkpoints,
    closes,
    differences,
    known_tables,
    listed_keys,
    missing_rows,
    page_sizes,
    parked_windows,
    postponed,
    quarantine,
    reconciliations,
    request_limits,
    request_loans,
    run_streams,
    runs,
    schema_versions,
    stray_deletions,
    stream_requests,
    unavailable,
    unavailable_lists,
    unfilled,
)
from brex_sync.warehouse.internal.workflows import (
    workflow_inputs,
    workflow_runs,
    workflow_steps,
    writes,
)

__all__ = [
    "checkpoints",
    "closes",
    "credentials",
    "differences",
    "internal_metadata",
    "known_tables",
    "leases",
    "listed_keys",
    "marts",
    "missing_rows",
    "notifications",
    "page_sizes",
    "parked_windows",
    "postponed",
    "proxied_requests",
    "quarantine",
    "reconciliations",
    "refreshes",
    "request_limits",
    "request_loans",
    "run_streams",
    "runs",
    "schema_versions",
    "stray_deletions",
    "stream_requests",
    "unavailable",
    "unavailable_lists",
    "unfilled",
    "webhook_bodies",
    "webhook_events",
    "webhook_refusals",
    "webhook_secrets",
    "workflow_inputs",
    "workflow_runs",
    "workflow_steps",
    "writes",
]
