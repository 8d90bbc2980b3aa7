"""Marts made in Postgres: the relation, its comments and key, and what it reads."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from brex_sync.errors import MartError, PostgresError
from brex_sync.marts import catalogue
from brex_sync.marts.declare import Mart, bound
from brex_sync.marts.session import refused, run, schema_of
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.prepare.mending import literal
from brex_sync.warehouse.schema import history
from brex_sync.warehouse.schema.columns import listed
from brex_sync.warehouse.schema.marts import SUFFIX

_RELATION = sa.text("""
    SELECT concat_ws(' ', c.oid, c.relkind, md5(string_agg(r.ev_action::text, ' ')), (
        SELECT md5(string_agg(attname::text, ' ' ORDER BY attnum))
        FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0
    ))
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
    WHERE n.nspname = :schema AND c.relname = :name
    GROUP BY c.oid, c.relkind
""")
_BELOW = """
    SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.refobjid <> r.ev_class
    WHERE r.ev_class = {}
"""
_NAMED = """
    SELECT DISTINCT n.nspname::text, c.relname::text FROM found
    JOIN pg_catalog.pg_class c ON c.oid = found.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
"""
_DIRECT = sa.text(f"WITH found AS ({_BELOW.format('to_regclass(:relation)')}) {_NAMED}")
_TABLES = sa.text(f"""
    WITH RECURSIVE found (oid) AS (
        SELECT to_regclass(:relation)::oid
        UNION
        SELECT below.oid FROM found, LATERAL ({_BELOW.format("found.oid")}) below
    )
    {_NAMED} WHERE c.relkind NOT IN ('v', 'm') ORDER BY 1, 2
""")
_TRACKED = sa.text("""
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = to_regclass(:relation) AND attname = '_changed_at' AND NOT attisdropped
    )
""")
_COLUMNS = sa.text("""
    SELECT attname FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(:relation) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
""")


@dataclass(frozen=True, slots=True)
class Made:
    """How a mart was left: a digest of the relation, and the tables it reads whose rows have the
    time of their change."""

    relation: str
    reads: tuple[str, ...]


def digests(marts: Mapping[str, Mart]) -> dict[str, str]:
    """A digest of every mart's declaration, and of those it reads: what it has to be made of."""
    found: dict[str, str] = {}
    for name, mart in marts.items():
        below = [found.get(source, "") for source in mart.sources]
        text = repr(
            (mart.select, mart.stored, mart.key, mart.indexes, mart.comment, mart.columns, below)
        )
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def relation_of(db: sa.Connection, connection: str, name: str) -> str | None:
    """A digest of the relation of this name as it is; None if there is none."""
    found: str | None = db.scalar(_RELATION, {"schema": schema_of(connection), "name": name})
    return found


def make(db: sa.Connection, connection: str, mart: Mart) -> Made:
    """Makes a mart, and fills it where it is stored.

    Raises:
        MartError: Postgres refuses it, or its header does not fit its SELECT.
    """
    try:
        with db.begin_nested():
            return _make(db, connection, mart)
    except PostgresError as error:
        raise MartError(mart.path, f"Postgres: {refused(error)}") from error


def _make(db: sa.Connection, connection: str, mart: Mart) -> Made:
    name = f'"{schema_of(connection)}"."{mart.name}"'
    kind = "MATERIALIZED VIEW" if mart.stored else "VIEW"
    run(db, f"CREATE {kind} {name} AS (\n{bound(mart.select, connection)}\n)")
    _check_columns(mart, db.scalars(_COLUMNS, {"relation": name}).all())
    _check_sources(db, connection, mart, name)
    made = Made(relation_of(db, connection, mart.name) or "", _reads(db, connection, mart, name))
    if mart.stored:
        run(db, f"CREATE UNIQUE INDEX ON {name} ({listed(mart.key)})")
        for columns in mart.indexes:
            run(db, f"CREATE INDEX ON {name} ({listed(columns)})")
        run(db, f"ANALYZE {name}")
    db.exec_driver_sql(f"COMMENT ON {kind} {name} IS {literal(db, mart.comment)}")
    for column, description in mart.columns.items():
        text = literal(db, description)
        db.exec_driver_sql(f'COMMENT ON COLUMN {name}."{column}" IS {text}')
    return made


def _check_columns(mart: Mart, actual: Sequence[str]) -> None:
    declared = list(mart.columns)
    if declared == list(actual):
        return
    lacking = [c for c in declared if c not in actual]
    more = [c for c in actual if c not in declared]
    told = [
        f"the SELECT has no {', '.join(lacking)}, which `columns` describes" if lacking else "",
        f"`columns` does not describe {', '.join(more)}" if more else "",
    ]
    raise MartError(
        mart.path,
        "; ".join(filter(None, told)) or "`columns` has another order than the SELECT",
    )


def _check_sources(db: sa.Connection, connection: str, mart: Mart, name: str) -> None:
    """Lineage, order and refreshing go by `sources`."""
    found = {
        _source(schema, relation, connection)
        for schema, relation in db.execute(_DIRECT, {"relation": name})
        if schema != INTERNAL
    }
    if more := sorted(found - set(mart.sources)):
        raise MartError(mart.path, f"the SELECT reads {', '.join(more)}: name it in `sources`")


def _source(schema: str, name: str, connection: str) -> str:
    """What `sources` calls a relation; a table with the past of another is that one."""
    past = f"{connection}{history.SUFFIX}"
    if schema == past and name not in catalogue.tables():
        return name.removesuffix("_daily")
    ours = (connection, past, f"{connection}{SUFFIX}")
    return name if schema in ours else f"{schema}.{name}"


def _reads(db: sa.Connection, connection: str, mart: Mart, name: str) -> tuple[str, ...]:
    """The tables below a mart that tell when they changed; versions come with their rows'."""
    tracked: set[str] = set()
    for schema, table in db.execute(_TABLES, {"relation": name}):
        past = schema == f"{connection}{history.SUFFIX}" and table in catalogue.tables()
        relation = f'"{connection if past else schema}"."{table}"'
        if db.scalar(_TRACKED, {"relation": relation}):
            tracked.add(relation)
        elif mart.stored:
            told = (
                f"it is stored, and nothing tells when {schema}.{table} changed: let it be a view"
            )
            raise MartError(mart.path, told)
    return tuple(sorted(tracked))
