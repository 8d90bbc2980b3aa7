"""Dagster's own storage, as `dagster.yaml` names it: Postgres, looked at first."""

from typing import Any

import click
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

from brex_sync.errors import UnfitDatabase
from brex_sync.warehouse.storage import check_storage


class Storage(DagsterPostgresStorage):
    """Dagster's Postgres storage; a database that will not do ends a command in one line."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Any:
        """Raises click.ClickException, which Dagster's commands print without a traceback."""
        try:
            check_storage(pg_url_from_config(config_value))
        except UnfitDatabase as error:
            raise click.ClickException(str(error)) from None
        return super().from_config_value(inst_data, config_value)
