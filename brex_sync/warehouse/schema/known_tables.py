"""Which tables hold what a sync wrote: one made again by hand, or emptied, is told from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from brex_sync.warehouse.internal import known_tables, stray_deletions

TRIGGER = "note_deletion"
FUNCTION = """
CREATE OR REPLACE FUNCTION brex_sync.note_deletion() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO brex_sync.stray_deletions AS noted (oid, truncated)
    VALUES (TG_RELID::bigint, TG_OP = 'TRUNCATE')
    ON CONFLICT (oid) DO UPDATE SET truncated = noted.truncated OR excluded.truncated;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION brex_sync.note_deletion() FROM PUBLIC;
"""
"""Whoever may remove rows has it noted, without a right to the notes. It takes nothing from them
but their table's oid, and lets nobody else use it."""


@dataclass(frozen=True, slots=True)
class Known:
    """Tables of schemas by schema and name: their oids as last seen; and the oids of those of
    which rows were removed since, with whether by TRUNCATE."""

    oids: Mapping[tuple[str, str], int]
    strays: Mapping[int, bool]


def known(db: sa.Connection, *schemas: str) -> Known:
    """What is known of the tables of schemas."""
    c = known_tables.c
    mine = sa.select(c.schema, c.table, c.oid).where(c.schema.in_(schemas))
    oids = {(row.schema, row.table): row.oid for row in db.execute(mine)}
    strays = {row.oid: row.truncated for row in db.execute(sa.select(stray_deletions))}
    return Known(oids, strays)


def any_strays(db: sa.Connection, *schemas: str) -> bool:
    """Whether rows were removed from tables of schemas."""
    found = sa.text(
        "SELECT EXISTS (SELECT FROM brex_sync.stray_deletions s "
        "JOIN pg_catalog.pg_class c ON c.oid::bigint = s.oid "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY(:schemas))"
    )
    return bool(db.scalar(found, {"schemas": list(schemas)}))


def watch(db: sa.Connection, table: sa.Table) -> None:
    """Has it noted, from now on, when rows of a table are removed."""
    db.exec_driver_sql(
        f'CREATE OR REPLACE TRIGGER {TRIGGER} AFTER DELETE OR TRUNCATE ON "{table.schema}".'
        f'"{table.name}" FOR EACH STATEMENT EXECUTE FUNCTION brex_sync.note_deletion()'
    )


def remember(db: sa.Connection, *schemas: str) -> None:
    """Records that the tables of schemas are as they should be."""
    asked = {"schemas": list(schemas)}
    of_schemas = (
        "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p')"
    )
    db.execute(
        sa.text(
            'INSERT INTO brex_sync.known_tables AS k (schema, "table", oid) '
            f"SELECT n.nspname, c.relname, c.oid::bigint FROM {of_schemas} "
            'ON CONFLICT (schema, "table") DO UPDATE SET oid = excluded.oid '
            "WHERE k.oid <> excluded.oid"
        ),
        asked,
    )
    db.execute(
        sa.text(
            "DELETE FROM brex_sync.stray_deletions "
            f"WHERE oid IN (SELECT c.oid::bigint FROM {of_schemas})"
        ),
        asked,
    )
