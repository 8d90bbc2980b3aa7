"""Declarations turned into SQLAlchemy's tables, and into the statements of views."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import EventTable, Stream, Table, View
from brex_sync.warehouse.schema import late_changes

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.TEXT: sa.Text(),
    Kind.INTEGER: sa.BigInteger(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.DATE: sa.Date(),
    Kind.TIMESTAMP: sa.DateTime(timezone=True),
    Kind.DECIMAL: sa.Numeric(),
    Kind.JSON: JSONB(none_as_null=True),
}


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
        slice_columns = [declared.parent.into] if declared.parent else []
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


def statement(view: View, streams: Iterable[Stream]) -> str:
    """The view's SELECT, in which {schema} stands for the connection's schema."""
    text = files("brex_sync.warehouse").joinpath(f"sql/{view.name}.sql").read_text()
    if not view.each:
        return text
    sources = [s for s in streams if s.name in view.sources]
    return "UNION ALL\n".join(late_changes.for_source(text, s) for s in sources)
