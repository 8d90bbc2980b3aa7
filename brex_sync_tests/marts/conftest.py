"""Marts made over the tables of a rig."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from brex_sync.marts.catalogue import load
from brex_sync.marts.standing import MartStanding
from brex_sync.marts.upkeep import keep_up
from brex_sync.sandbox import create_world
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync_tests.conftest import Rig
from brex_sync_tests.marts.extras import add_extras


def keep(engine: sa.Engine, folder: Path | None = None) -> dict[str, MartStanding]:
    """Has the marts of the connection `brex` kept up, and none of them with a fault."""
    standings = keep_up(Warehouse(engine, "brex"), load(folder))
    assert {name: one.fault for name, one in standings.items() if one.fault} == {}
    return standings


def broken(standings: dict[str, MartStanding]) -> dict[str, Any]:
    """The ties that do not hold, by mart."""
    return {name: dict(one.broken) for name, one in standings.items() if one.broken}


@pytest.fixture(scope="session")
def synced(server: Any) -> Iterator[Rig]:
    """A company synced once, with its marts, for tests that only read."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute("CREATE DATABASE synced TEMPLATE prepared STRATEGY file_copy")
    engine = open_engine(str(server.url("synced")))
    world = create_world(card_transactions=600)
    add_extras(world)
    rig = Rig(engine, world)
    assert rig.sync().finished
    keep(engine)
    yield rig
    engine.dispose()


@pytest.fixture
def fresh(rig: Rig) -> Rig:
    """Empty tables, to put rows into, with their marts."""
    keep(rig.engine)
    return rig
