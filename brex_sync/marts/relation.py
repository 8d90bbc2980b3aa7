"""The marts of a connection as Postgres has them."""

import sqlalchemy as sa

from brex_sync.marts.session import schema_of
from brex_sync.warehouse import Warehouse

_TYPES = sa.text("""
    SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relkind IN ('v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
""")


def column_types(warehouse: Warehouse) -> dict[str, dict[str, str]]:
    """The type of each column of each mart, as Postgres writes it."""
    found: dict[str, dict[str, str]] = {}
    with warehouse.connect() as db:
        for mart, column, kind in db.execute(_TYPES, {"schema": schema_of(warehouse.schema)}):
            found.setdefault(mart, {})[column] = kind
    return found
