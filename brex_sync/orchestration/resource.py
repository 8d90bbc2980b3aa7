"""Brex for people's own assets, as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from brex_sync.client.clients import AsyncBrex, Brex


class BrexResource(dg.ConfigurableResource["BrexResource"]):
    """One Brex account, by its connection's name; the first connection if none is given.

    `brex.account` is open for as long as the run that uses the resource; what it raises is told
    at `brex_sync.AsyncBrex`.
    """

    connection: str | None = None
    _account: Brex | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["BrexResource"]:
        """Called by Dagster around a run."""
        with Brex.connect(self.connection) as account:
            self._account = account
            try:
                yield self
            finally:
                self._account = None

    @property
    def account(self) -> Brex:
        """The account; outside of a run, one that is opened for each request."""
        return self._account or Brex.connect(self.connection)

    @property
    def asynchronous(self) -> AsyncBrex:
        """The same for asynchronous assets, to be opened with `async with`."""
        return AsyncBrex.connect(self.connection)
