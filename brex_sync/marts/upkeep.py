"""A connection's marts made as declared, refreshed where their tables changed, and checked."""

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from brex_sync.errors import MartError
from brex_sync.marts import build, refresh, standing, ties
from brex_sync.marts.catalogue import MartCatalogue
from brex_sync.marts.declare import Mart
from brex_sync.marts.session import schema_of, snapshot
from brex_sync.marts.standing import MartStanding
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.export import horizon
from brex_sync.warehouse.prepare.mending import literal
from brex_sync.warehouse.schema import catalogue as postgres
from brex_sync.warehouse.schema import marts as schema
from brex_sync.warehouse.schema.roles import let_people_read

_SIGNED = sa.text("""
    SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace
    WHERE nspname = :schema
""")


def keep_up(warehouse: Warehouse, catalogue: MartCatalogue) -> dict[str, MartStanding]:
    """Makes the marts of a connection as they are declared, brings those up to date whose tables
    changed, and checks the ties of these. How all of them stand now, by name.

    What one mart cannot do is its fault, and of those that read it; the others stand. Where
    nothing changed, nothing is written. The caller has the connection to itself; call it after
    its tables were prepared.

    Raises:
        PostgresError: the warehouse cannot be used.
    """
    plan = _plan(warehouse, catalogue)
    if not plan.anything:
        return plan.standings
    until = horizon(warehouse.engine)
    with snapshot(warehouse) as db:
        return _Upkeep(db, warehouse.schema, catalogue, plan, until).done()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to do: `signed` is what the schema's comment says, if it is as it was left."""

    standings: dict[str, MartStanding]
    outdated: Collection[str]
    as_left: bool
    faults: Mapping[str, str]

    @property
    def anything(self) -> bool:
        known = {name: stand.fault for name, stand in self.standings.items() if stand.fault}
        return bool(self.outdated) or not self.as_left or known != self.faults


def _plan(warehouse: Warehouse, catalogue: MartCatalogue) -> _Plan:
    """Looks, in a few milliseconds, what is to be done."""
    connection = warehouse.schema
    with warehouse.connect() as db:
        standings = standing.read(db, connection)
        signature = _signature(db, connection, catalogue)
        as_left = db.scalar(_SIGNED, {"schema": schema_of(connection)}) == signature
        faults = {name: str(error) for name, error in catalogue.faults.items()}
        if not as_left:
            return _Plan(standings, list(catalogue.marts), as_left, faults)
        read = {table for stand in standings.values() for table in stand.reads}
        changes = refresh.last_changes(db, read)
        outdated = refresh.outdated(catalogue.marts, standings, changes)
        return _Plan(standings, outdated, as_left, faults)


def _signature(db: sa.Connection, connection: str, catalogue: MartCatalogue) -> str:
    """What the schema's comment says once the marts are made: what of, and how they were left."""
    declared = repr(build.digests(catalogue.marts))
    left = postgres.digest(db, schema_of(connection))
    return f"Brex, synced by brex_sync: marts ({_digest(declared)}) as of {_digest(left)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Upkeep:
    """One look after a connection's marts, in the transaction of `db`."""

    def __init__(
        self,
        db: sa.Connection,
        connection: str,
        catalogue: MartCatalogue,
        plan: _Plan,
        until: datetime,
    ) -> None:
        self._db, self._connection, self._catalogue = db, connection, catalogue
        self._plan, self._until = plan, until
        self._before = plan.standings
        self._now: dict[str, MartStanding] = {}

    def done(self) -> dict[str, MartStanding]:
        stale = self._stale()
        making = bool(stale) or not self._plan.as_left
        if making:
            self._make_schema()
        kept = self._drop(stale)
        for name, mart in self._catalogue.marts.items():
            self._now[name] = self._stand(mart, name in stale, kept.get(name))
        for name, fault in self._plan.faults.items():
            self._now[name] = replace(self._before.get(name, MartStanding(name)), fault=fault)
        if making:
            self._sign()
        changed = [s for name, s in self._now.items() if s != self._before.get(name)]
        standing.write(self._db, self._connection, changed)
        return self._now

    def _make_schema(self) -> None:
        """Makes the schema. Its comment is locked, against others that would make marts in it."""
        name = schema_of(self._connection)
        self._db.execute(sa.schema.CreateSchema(name, if_not_exists=True))
        self._db.exec_driver_sql(
            f"COMMENT ON SCHEMA \"{name}\" IS 'Brex, synced by brex_sync: marts'"
        )

    def _stale(self) -> list[str]:
        """The marts that are not as declared, or not as they were left, with those above them."""
        wanted = build.digests(self._catalogue.marts)
        stale: list[str] = []
        for name, mart in self._catalogue.marts.items():
            before = self._before.get(name, MartStanding(name))
            here = build.relation_of(self._db, self._connection, name)
            as_it_was = (before.declared, before.relation) == (wanted[name], here)
            if not as_it_was or set(mart.sources) & set(stale):
                stale.append(name)
        return stale

    def _drop(self, stale: Collection[str]) -> dict[str, str]:
        """Drops what is stale, and what is declared no more; why some could not be, by name."""
        gone = [name for name in self._before if name not in self._catalogue.names]
        kept = schema.drop(self._db, self._connection, [*stale, *gone])
        standing.forget(self._db, self._connection, [name for name in gone if name not in kept])
        return kept

    def _stand(self, mart: Mart, stale: bool, kept: str | None) -> MartStanding:
        """Makes or refreshes a mart if that is due, and checks it."""
        before = self._before.get(mart.name, MartStanding(mart.name))
        if not stale and mart.name not in self._plan.outdated and not self._below(mart):
            return replace(before, fault=None)
        try:
            return self._brought_up(mart, before, stale, kept)
        except MartError as error:
            lost = MartStanding(mart.name) if stale and kept is None else before
            return replace(lost, fault=str(error))

    def _below(self, mart: Mart) -> str | None:
        """A mart that this one reads, and that could not be made or brought up to date."""
        return next((s for s in mart.sources if s in self._now and self._now[s].fault), None)

    def _brought_up(
        self, mart: Mart, before: MartStanding, stale: bool, kept: str | None
    ) -> MartStanding:
        began = time.monotonic()
        if kept is not None:
            told = f"it cannot be made again: {kept}. Drop what reads it, and make that again after"
            raise MartError(mart.path, told)
        if below := self._below(mart):
            raise MartError(mart.path, f"it reads {below}, which is not up to date")
        if stale:
            made = build.make(self._db, self._connection, mart)
            declared = build.digests(self._catalogue.marts)[mart.name]
            before = MartStanding(mart.name, mart.stored, declared, made.relation, made.reads)
        elif mart.stored:
            refresh.refresh(self._db, self._connection, mart)
        tied = ties.check(self._db, self._connection, mart)
        return replace(
            before,
            known_until=self._until,
            refreshed_at=self._db.scalar(sa.func.now()),
            rows=ties.count(self._db, self._connection, mart),
            ties=tied,
            fault=None,
            seconds=time.monotonic() - began,
        )

    def _sign(self) -> None:
        name = schema_of(self._connection)
        let_people_read(self._db, name)
        signature = _signature(self._db, self._connection, self._catalogue)
        self._db.exec_driver_sql(f'COMMENT ON SCHEMA "{name}" IS {literal(self._db, signature)}')
