"""The internal schema brought from one revision to the next, by Alembic.

`versions/` has one module a revision. Comments, functions, triggers and grants are no part of them:
they are written from the declarations whenever those have changed.

A revision can run on a schema that has had it already, because people drop and empty tables, the
one with the revision included.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from brex_sync.errors import PostgresError, TableMismatch
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.schema.fitting import refusal
from brex_sync.warehouse.schema.versions import newer

SCRIPTS = Path(__file__).parent


def upgrade(db: sa.Connection, scripts: Path = SCRIPTS) -> None:
    """Runs, in the transaction of `db`, the revisions that the internal schema has not had yet.

    The transaction is the only one that changes the schema: the caller holds the lock.

    Raises:
        TableMismatch: Postgres refuses a revision for what is in its way. WarehouseIsNewer, one of
            them: the schema has a revision that this code does not know.
    """
    # Dear to import, and needed only here. Its environment (`env.py`) is one a process, and
    # Dagster's storage, which migrates by Alembic too, may be using it.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    context = MigrationContext.configure(db, opts={"version_table_schema": INTERNAL})
    directory = ScriptDirectory(str(scripts))
    known = {script.revision: script for script in directory.walk_revisions()}
    current = context.get_current_revision()
    if current is not None and current not in known:
        raise newer(current)
    for script in reversed([*directory.iterate_revisions("head", current or "base")]):
        with _told(script.revision):
            script.module.upgrade(Operations(context))
        context.stamp(directory, script.revision)


@contextmanager
def _told(revision: str) -> Iterator[None]:
    """What Postgres refuses is one sentence."""
    try:
        yield
    except PostgresError as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise TableMismatch(
            f"the schema {INTERNAL} cannot be upgraded to revision {revision}: {reason}. "
            "Remove what is in the way, and run brex-sync again; nothing was changed."
        ) from error
