"""The tables of the internal schema, which hold the state of brex_sync itself."""

from brex_sync.warehouse.internal.base import internal_metadata
from brex_sync.warehouse.internal.credentials import credentials, refreshes
from brex_sync.warehouse.internal.requests import proxied_requests
from brex_sync.warehouse.internal.syncing import (
    checkpoints,
    closes,
    differences,
    listed_keys,
    parked_windows,
    quarantine,
    reconciliations,
    request_limits,
    request_loans,
    run_streams,
    runs,
    unavailable,
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
    "listed_keys",
    "parked_windows",
    "proxied_requests",
    "quarantine",
    "reconciliations",
    "refreshes",
    "request_limits",
    "request_loans",
    "run_streams",
    "runs",
    "unavailable",
    "unfilled",
    "workflow_inputs",
    "workflow_runs",
    "workflow_steps",
    "writes",
]
