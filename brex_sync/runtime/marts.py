"""The marts of a connection, kept up after its tables."""

import logging

from brex_sync.errors import PostgresError
from brex_sync.marts.catalogue import MartCatalogue, load
from brex_sync.marts.standing import MartStanding
from brex_sync.marts.upkeep import keep_up
from brex_sync.settings import Settings
from brex_sync.warehouse import Warehouse

log = logging.getLogger(__name__)


def marts_of(settings: Settings) -> MartCatalogue:
    """The shipped marts, and those of the folder that is set."""
    return load(settings.marts)


def keep_marts(warehouse: Warehouse, catalogue: MartCatalogue) -> dict[str, MartStanding]:
    """How the marts of a connection stand, after they were brought up to date.

    A fault of the marts is none of the sync's: what Postgres refuses as a whole is the fault of
    each.
    """
    try:
        standings = keep_up(warehouse, catalogue)
    except PostgresError as error:
        standings = {name: MartStanding(name, fault=str(error)) for name in catalogue.names}
    for name, stand in standings.items():
        if stand.fault:
            log.error("%s: the mart %s: %s", warehouse.schema, name, stand.fault)
    return standings
