"""Which failures of Postgres pass by themselves, and how long to try."""

import psycopg
import tenacity

from brex_sync.errors import PostgresError

_PASSING = ("40001", "40P01", "57P01", "57P02", "57P03")
"""Serialization failure, deadlock, and a server that is going down or coming up."""


def attempts() -> tenacity.Retrying:
    """Attempts at one transaction, to iterate over, until it succeeds or is not worth repeating."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(8),
        wait=tenacity.wait_random_exponential(0.1, 5),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    """Whether a transaction that failed so is worth repeating."""
    if not isinstance(error, PostgresError):
        return False
    state = error.sqlstate
    if error.connection_lost or state in _PASSING:
        return True
    return isinstance(error.orig, psycopg.OperationalError) and (
        state is None or state.startswith("08")
    )
