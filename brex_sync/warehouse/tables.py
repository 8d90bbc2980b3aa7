"""Declarations turned into tables, views and comments."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateColumn, CreateTable, SetColumnComment

from brex_sync.streams import EVENT_TABLES
from brex_sync.streams.columns import Field, Kind
from brex_sync.streams.declare import EventTable, Stream, Table, View
from brex_sync.warehouse import history, late_changes, moments, snapshots, unfilled
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import internal_metadata
from brex_sync.warehouse.roles import let_people_read

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.TEXT: sa.Text(),
    Kind.INTEGER: sa.BigInteger(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.DATE: sa.Date(),
    Kind.TIMESTAMP: sa.DateTime(timezone=True),
    Kind.DECIMAL: sa.Numeric(),
    Kind.JSON: JSONB(none_as_null=True),
}

_PREPARING = "preparing"


class TableMismatch(Exception):
    """A table in the warehouse is not what the declaration says, in a way that no run may mend."""


def table_of(declared: Table, schema: str) -> sa.Table:
    """The table of a stream or child, with the columns every table has."""
    columns = [
        sa.Column(f.name, _TYPES[f.kind], primary_key=f.name in declared.key, comment=f.description)
        for f in declared.fields()
    ]
    housekeeping = (
        sa.Column(
            "_raw",
            JSONB(),
            nullable=False,
            comment="The item as Brex sent it, but for what must not be stored.",
        ),
        sa.Column(
            "_first_seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
            comment="When the row was first stored here.",
        ),
        sa.Column(
            "_changed_at",
            sa.DateTime(timezone=True),
            nullable=False,
            index=True,
            server_default=sa.func.now(),
            comment="When the row last changed here, its deletion included.",
        ),
        sa.Column(
            "_deleted_at",
            sa.DateTime(timezone=True),
            comment="When Brex was found not to list the row any more; null while it does.",
        ),
    )
    table = sa.Table(
        declared.name,
        sa.MetaData(),
        *columns,
        *housekeeping,
        schema=schema,
        comment=declared.description + source(declared),
    )
    if isinstance(declared, Stream) and declared.window is not None:
        slice_columns = [declared.per.into] if declared.per else []
        sa.Index(
            f"ix_{declared.name}_{declared.window.column}",
            *(table.c[name] for name in (*slice_columns, declared.window.column)),
        )
    return table


def source(declared: Table) -> str:
    """Where the rows come from, for the table's comment."""
    if isinstance(declared, EventTable):
        return f" Source: events of type {declared.event}."
    return f" Source: GET {declared.path}." if isinstance(declared, Stream) else ""


def prepare(
    engine: sa.Engine, schema: str, streams: Iterable[Stream], views: Iterable[View]
) -> None:
    """Makes the connection's schema fit the declarations: creates what is missing, adds columns.

    The tables that events fill are among them. Nothing is dropped or retyped, and where all is as
    declared no lock is taken.

    Raises:
        TableMismatch: a column exists with another type than declared.
    """
    streams, views = [*streams, *EVENT_TABLES.values()], list(views)
    wanted = fingerprint(streams, views)
    with _alone(engine) as db:
        _prepare_internal(db)
        if _fingerprint_of(db, schema) == wanted:
            return
        db.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        for stream in streams:
            for declared in stream.tables():
                _adopt(db, schema, stream, declared)
        _keep_past(db, streams, schema)
        for view in views:
            _replace(db, view, statement(view, streams), schema)
        for name in (schema, f"{schema}{history.SUFFIX}"):
            let_people_read(db, name)
            _sign(db, name, wanted)


def prepare_internal(engine: sa.Engine) -> None:
    """Makes the internal schema fit this version; adds what is missing."""
    with _alone(engine) as db:
        _prepare_internal(db)


def _prepare_internal(db: sa.Connection) -> None:
    """Makes the internal schema fit this version: adds what is missing, makes dates moments."""
    made = "\n".join(str(CreateTable(t)) for t in internal_metadata.sorted_tables)
    wanted = f"State of brex_sync ({_digest(made)})"
    if _fingerprint_of(db, INTERNAL) == wanted:
        return
    db.execute(sa.schema.CreateSchema(INTERNAL, if_not_exists=True))
    for table in internal_metadata.sorted_tables:
        _retype_dates(db, table)
        _fit(db, table)
        _loosen(db, table)
    let_people_read(db)
    _sign(db, INTERNAL, wanted)


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that no other which makes or alters tables runs beside.

    It locks a table that nobody but the owner can lock: people's roles cannot stand in its way.
    """
    with suppress(sa.exc.IntegrityError), engine.begin() as db:  # made at the same moment
        if not sa.inspect(db).has_table(_PREPARING, schema=INTERNAL):
            db.execute(sa.schema.CreateSchema(INTERNAL, if_not_exists=True))
            db.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {INTERNAL}.{_PREPARING} ()")
    with engine.begin() as db:
        db.exec_driver_sql(f"LOCK TABLE {INTERNAL}.{_PREPARING} IN EXCLUSIVE MODE")
        yield db


def _retype_dates(db: sa.Connection, table: sa.Table) -> None:
    """Days of earlier versions become their first moment in UTC."""
    inspector = sa.inspect(db)
    if not inspector.has_table(table.name, schema=table.schema):
        return
    for column in inspector.get_columns(table.name, table.schema):
        name = column["name"]
        if isinstance(column["type"], sa.Date) and isinstance(table.c[name].type, sa.DateTime):
            db.exec_driver_sql(
                f'ALTER TABLE "{table.schema}"."{table.name}" ALTER COLUMN "{name}" '
                f"TYPE timestamptz USING \"{name}\"::timestamp AT TIME ZONE 'UTC'"
            )


def _adopt(db: sa.Connection, schema: str, stream: Stream, declared: Table) -> None:
    """Makes one table fit, and notes what of it is to be filled from rows that were there."""
    table = table_of(declared, schema)
    added = _fit(db, table)
    moments.forget_unreadable(db, table)
    if added is None and declared is not stream and _has_rows(db, schema, stream):
        unfilled.note(db, schema, declared.name, [])
    elif added and _has_rows(db, schema, declared):
        unfilled.note(db, schema, declared.name, added)


def _has_rows(db: sa.Connection, schema: str, table: Table) -> bool:
    return bool(db.scalar(sa.text(f'SELECT EXISTS (SELECT FROM "{schema}"."{table.name}")')))


def _sign(db: sa.Connection, schema: str, text: str) -> None:
    db.exec_driver_sql(f'COMMENT ON SCHEMA "{schema}" IS {_literal(db, text)}')


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(streams: Iterable[Stream], views: Iterable[View]) -> str:
    """Names the declared state of a schema, so that an up-to-date one is left alone."""
    streams, views = list(streams), list(views)
    past = [history.statements(s, table_of(t, "")) for s in streams for t in s.tables()]
    declared = repr((streams, views, [statement(v, streams) for v in views], past))
    return f"Brex, synced by brex_sync ({_digest(declared)})"


def statement(view: View, streams: Iterable[Stream]) -> str:
    """The view's SELECT, in which {schema} stands for the connection's schema."""
    text = files("brex_sync.warehouse").joinpath(f"sql/{view.name}.sql").read_text()
    if not view.each:
        return text
    sources = [s for s in streams if s.name in view.sources]
    return "UNION ALL\n".join(late_changes.for_source(text, s) for s in sources)


def _fingerprint_of(db: sa.Connection, schema: str) -> str | None:
    found: str | None = db.scalar(
        sa.text(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :schema"
        ),
        {"schema": schema},
    )
    return found


def _keep_past(db: sa.Connection, streams: Iterable[Stream], schema: str) -> None:
    db.execute(sa.schema.CreateSchema(f"{schema}{history.SUFFIX}", if_not_exists=True))
    for stream in streams:
        if stream.snapshot:
            _fit(db, snapshots.daily_of(table_of(stream, schema), stream))
        for declared in stream.tables():
            _keep_versions(db, stream, declared, schema)


def _keep_versions(db: sa.Connection, stream: Stream, declared: Table, schema: str) -> None:
    """Keeps the versions of a table's rows, if the stream's are, and notes what of them is to be
    filled."""
    table = table_of(declared, schema)
    statements = history.statements(stream, table)
    if not statements:
        return
    past = f"{schema}{history.SUFFIX}"
    versions = history.versions_of(stream, table)
    added = _fit(db, versions)
    moments.forget_unreadable(db, versions)
    if added and _has_rows(db, past, declared):
        unfilled.note(db, past, declared.name, added)
    for sql in statements:
        db.exec_driver_sql(sql)


def _fit(db: sa.Connection, table: sa.Table) -> list[str] | None:
    """Creates the table, or adds the columns it lacks; returns those, None where it was created."""
    inspector = sa.inspect(db)
    if not inspector.has_table(table.name, schema=table.schema):
        table.create(db)
        return None
    added = []
    present = {c["name"]: c["type"] for c in inspector.get_columns(table.name, table.schema)}
    name = f'"{table.schema}"."{table.name}"'
    for column in table.columns:
        if column.name not in present:
            ddl = CreateColumn(column).compile(dialect=db.dialect)
            db.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {ddl}")
            added.append(column.name)
        elif not isinstance(present[column.name], type(column.type)):
            raise TableMismatch(
                f"{name}.{column.name} is {present[column.name]} in the warehouse and "
                f"{column.type.compile(db.dialect)} in this version. Rename or drop the column, "
                "or sync into another connection name; nothing was changed."
            )
        db.execute(SetColumnComment(column))
    db.execute(sa.schema.SetTableComment(table))
    return added


def _loosen(db: sa.Connection, table: sa.Table) -> None:
    """What this version leaves empty may be: columns of another one, and those it may not know."""
    for column in sa.inspect(db).get_columns(table.name, table.schema):
        known = table.columns.get(column["name"])
        if not column["nullable"] and (known is None or known.nullable):
            db.exec_driver_sql(
                f'ALTER TABLE {table.fullname} ALTER COLUMN "{column["name"]}" DROP NOT NULL'
            )


def _replace(db: sa.Connection, view: View, select: str, schema: str) -> None:
    name = f'"{schema}"."{view.name}"'
    db.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    db.exec_driver_sql(f"CREATE VIEW {name} AS {select.replace('{schema}', schema)}")
    db.exec_driver_sql(f"COMMENT ON VIEW {name} IS {_literal(db, view.description)}")
    for field in view.fields:
        _comment(db, f'{name}."{field.name}"', field)


def _comment(db: sa.Connection, column: str, field: Field) -> None:
    db.exec_driver_sql(f"COMMENT ON COLUMN {column} IS {_literal(db, field.description)}")


def _literal(db: sa.Connection, text: str) -> str:
    return str(sa.literal(text).compile(dialect=db.dialect, compile_kwargs={"literal_binds": True}))
