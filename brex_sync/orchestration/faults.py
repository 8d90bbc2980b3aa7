"""Errors as one sentence, for people who read a run page and not a traceback."""

import sqlalchemy as sa

from brex_sync.brex.errors import BrexError
from brex_sync.connections.vault import VaultError
from brex_sync.folders import FolderError
from brex_sync.settings import SettingsError
from brex_sync.warehouse import faults
from brex_sync.warehouse.leases import LeaseLost
from brex_sync.warehouse.tables import TableMismatch
from brex_sync.workflows.declare import WorkflowError

EXPECTED = (
    BrexError,
    FolderError,
    SettingsError,
    LeaseLost,
    TableMismatch,
    VaultError,
    WorkflowError,
    sa.exc.SQLAlchemyError,
)
"""What keeps a run from starting, and is for an operator to mend."""


def sentence(error: Exception) -> str:
    """The first line of what went wrong, without the statement that met it."""
    if isinstance(error, sa.exc.SQLAlchemyError):
        return f"Postgres: {faults.sentence(error)}"
    return str(error)
