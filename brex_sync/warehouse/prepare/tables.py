"""The warehouse's schemas made ready for a run: as declared, and as they were left."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache

import psycopg
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from brex_sync.errors import PostgresError
from brex_sync.errors import TableMismatch as TableMismatch
from brex_sync.streams import EVENT_TABLES
from brex_sync.streams.declare import Stream, View
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import internal_metadata, writes
from brex_sync.warehouse.internal.workflows import GUARD, GUARD_TRIGGERS
from brex_sync.warehouse.prepare.mending import Mending, literal
from brex_sync.warehouse.schema import catalogue, history, known_tables, migrations, versions
from brex_sync.warehouse.schema.catalogue import Catalogue
from brex_sync.warehouse.schema.declared import statement, table_of
from brex_sync.warehouse.schema.fitting import fit
from brex_sync.warehouse.schema.roles import OPEN_TABLES, let_people_read
from brex_sync.warehouse.state import checkpoints
from brex_sync.warehouse.warehouse import Warehouse

_PREPARING = "preparing"


def prepare(warehouse: Warehouse, streams: Iterable[Stream], views: Iterable[View]) -> None:
    """Makes the connection's schema fit the declarations, whatever an earlier version or a person
    made of it: creates what is missing, adds columns, mends what was changed.

    The tables that events fill are among them. Nothing is dropped, and where all is as it was left
    no lock on a table is taken. A table that was dropped, emptied or made again by somebody else is
    filled from the beginning: its stream's checkpoints are forgotten. So is, with its rows where
    they are, what is asked for otherwise than it was.

    Raises:
        TableMismatch: something can't be mended; nothing was changed. WarehouseIsNewer, one of
            them: a later version has made the warehouse its own.
    """
    streams, views = [*streams, *EVENT_TABLES.values()], list(views)
    wanted = fingerprint(streams, views)
    schema = warehouse.schema
    schemas = (schema, f"{schema}{history.SUFFIX}")
    with _alone(warehouse.engine) as db:
        _prepare_internal(db)
        signed = _fingerprint_of(db, schema)
        if signed == _signature(db, wanted, *schemas):
            if not known_tables.any_strays(db, *schemas):
                return
            if not checkpoints.any_read(db, schema):
                known_tables.remember(db, *schemas)
                return
        grown = not (signed or "").startswith(wanted)
        Mending(db, schema, streams, declared_anew=grown).mend(views)
        for name in schemas:
            let_people_read(db, name)
        known_tables.remember(db, *schemas)
        signature = _signature(db, wanted, *schemas)
        for name in schemas:
            _sign(db, name, signature)


def _signature(db: sa.Connection, wanted: str, *schemas: str) -> str:
    """What a schema's comment says once it is as `wanted`: that, and how it was left."""
    return f"{wanted} as of {_digest(catalogue.digest(db, *schemas))}"


def prepare_internal(engine: sa.Engine) -> None:
    """Upgrades the internal schema to this code's revision, and mends what people changed of it.

    Raises:
        TableMismatch: something can't be mended; nothing was changed.
    """
    with _alone(engine) as db:
        _prepare_internal(db)


def _prepare_internal(db: sa.Connection) -> None:
    versions.refuse_newer(db)
    wanted = _internal_state()
    signed = _fingerprint_of(db, INTERNAL)
    if signed == _signature(db, wanted, INTERNAL):
        return
    grown = not (signed or "").startswith(wanted)
    db.execute(sa.schema.CreateSchema(INTERNAL, if_not_exists=True))
    if versions.revision(db) != versions.REVISION:
        migrations.upgrade(db)
    found = catalogue.read(db, INTERNAL)
    for table in internal_metadata.sorted_tables:
        fit(db, table, found, describe=grown)
    _mend_internal_triggers(db, found, replace=grown)
    versions.record(db)
    let_people_read(db)
    _sign(db, INTERNAL, _signature(db, wanted, INTERNAL))


def _mend_internal_triggers(db: sa.Connection, found: Catalogue, *, replace: bool) -> None:
    db.exec_driver_sql(known_tables.FUNCTION)
    here = found.of(writes)
    if here is not None and (replace or not here.triggers >= GUARD_TRIGGERS):
        db.exec_driver_sql(GUARD)


@contextmanager
def _made_once() -> Iterator[None]:
    """Lets another process make the same at the same moment."""
    try:
        yield
    except PostgresError as error:
        if not isinstance(error.orig, psycopg.IntegrityError):
            raise


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other which makes or alters tables runs beside.

    It locks a table that nobody but the owner can lock: people's roles cannot stand in its way.
    """
    with _made_once(), engine.begin() as db:
        if not sa.inspect(db).has_table(_PREPARING, schema=INTERNAL):
            db.execute(sa.schema.CreateSchema(INTERNAL, if_not_exists=True))
            db.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {INTERNAL}.{_PREPARING} ()")
    with engine.begin() as db:
        db.exec_driver_sql(f"LOCK TABLE {INTERNAL}.{_PREPARING} IN EXCLUSIVE MODE")
        yield db


def _sign(db: sa.Connection, schema: str, text: str) -> None:
    db.exec_driver_sql(f'COMMENT ON SCHEMA "{schema}" IS {literal(db, text)}')


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(streams: Iterable[Stream], views: Iterable[View]) -> str:
    """Names the declared state of a schema, so that an up-to-date one is left alone."""
    return _fingerprint(_Declared((*streams,), (*views,)))


@dataclass(frozen=True, slots=True, eq=False)
class _Declared:
    """Declarations, the same as others only where they are the same objects: they can't change."""

    streams: tuple[Stream, ...]
    views: tuple[View, ...]

    def _parts(self) -> tuple[int, ...]:
        return (*map(id, self.streams), 0, *map(id, self.views))

    def __hash__(self) -> int:
        return hash(self._parts())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Declared) and self._parts() == other._parts()


@lru_cache(maxsize=8)
def _fingerprint(declared: _Declared) -> str:
    streams, views = declared.streams, declared.views
    past = [history.statements(s, table_of(t, "")) for s in streams for t in s.tables()]
    text = repr(([*streams], [*views], [statement(v, streams) for v in views], past))
    return f"Brex, synced by brex_sync ({_digest(text)})"


@cache
def _internal_state() -> str:
    tables = internal_metadata.sorted_tables
    comments = [part.comment for t in tables for part in (t, *t.columns)]
    made = "\n".join(str(CreateTable(t)) for t in tables)
    open_ones = [t.name for t in OPEN_TABLES]
    declared = repr((made, comments, GUARD, known_tables.FUNCTION, open_ones))
    return f"State of brex_sync (revision {versions.REVISION}, {_digest(declared)})"


def _fingerprint_of(db: sa.Connection, schema: str) -> str | None:
    found: str | None = db.scalar(
        sa.text(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"
        ),
        {"schema": schema},
    )
    return found
