"""Which runs live: each holds a lock in a session of its own, which ends with its process."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

_KEEPALIVE = ("idle = 30", "interval = 10", "count = 3")
"""Seconds after which, and how often, Postgres asks a silent host whether it is still there: one
that lost its power is known to be gone after a minute."""


@contextmanager
def present(engine: sa.Engine, run_id: str) -> Iterator[None]:
    """Shows everyone, while the block lasts and this process lives, that a run does.

    Several attempts at one run may be present at once.
    """
    with engine.connect() as db:
        db.detach()
        for setting in _KEEPALIVE:
            db.exec_driver_sql(f"SET tcp_keepalives_{setting}")
        db.execute(sa.select(sa.func.pg_advisory_lock_shared(_lock(run_id))))
        db.commit()
        yield


def is_dead(db: sa.Connection, run_id: str) -> bool:
    """Whether no process is at a run; none can begin until this transaction ends."""
    return bool(db.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_lock(run_id)))))


def _lock(run_id: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"brex_sync.run {run_id}", 0)
