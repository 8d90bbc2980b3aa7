"""What Postgres' catalogue says of schemas: a digest that tells whether anything in them changed,
and the particulars of their tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column there is: its type as Postgres writes it, whether it is NOT NULL, whether Postgres
    fills it where nothing is given, and its comment."""

    type: str
    required: bool
    filled: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view there is.

    `kind` is its `relkind`; `key` the columns of the primary key; `indexes` the columns of each
    whole and valid index, with its name; `triggers` those that fire.
    """

    oid: int
    kind: str
    columns: Mapping[str, FoundColumn] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    indexes: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    triggers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The relations of some schemas by schema and name, and which table each index is of."""

    relations: Mapping[tuple[str, str], Relation]
    index_names: frozenset[tuple[str, str]]

    def of(self, table: sa.Table) -> Relation | None:
        """What there is by the name of a table."""
        return self.relations.get((table.schema or "", table.name))


KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "c": "a type"}
"""What a relation may be other than a table, by its `relkind`."""


def name_of(kind: str) -> str:
    """What a relation of a kind is called."""
    return KINDS.get(kind, "another kind of relation")


_DIGEST = sa.text("""
    WITH n AS (
        SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ANY(:schemas)
    ), c AS (
        SELECT oid, relname, relkind, relnamespace FROM pg_catalog.pg_class
        WHERE relnamespace IN (SELECT oid FROM n) AND relkind NOT IN ('i', 'I', 'S')
    )
    SELECT coalesce(sum(pg_catalog.hashtextextended(line, 0)), 0)::text FROM (
        SELECT concat_ws(' ', 'relation', oid, relname, relkind, relnamespace) FROM c
        UNION ALL
        SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, atttypmod, attnotnull,
            atthasdef, attidentity, attgenerated)
        FROM pg_catalog.pg_attribute JOIN c ON attrelid = c.oid
        WHERE attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conrelid, conname, contype, conkey, condeferrable)
        FROM pg_catalog.pg_constraint JOIN c ON conrelid = c.oid
        UNION ALL
        SELECT concat_ws(' ', 'index', indrelid, indkey, indisunique, indisvalid, indpred IS NULL)
        FROM pg_catalog.pg_index JOIN c ON indrelid = c.oid
        UNION ALL
        SELECT concat_ws(' ', 'trigger', tgrelid, tgname, tgenabled, tgfoid, tgtype)
        FROM pg_catalog.pg_trigger JOIN c ON tgrelid = c.oid WHERE NOT tgisinternal
        UNION ALL
        SELECT concat_ws(' ', 'rule', ev_class, md5(ev_action::text))
        FROM pg_catalog.pg_rewrite JOIN c ON ev_class = c.oid
        UNION ALL
        SELECT concat_ws(' ', 'function', proname, md5(prosrc), prosecdef, pronamespace)
        FROM pg_catalog.pg_proc WHERE pronamespace IN (SELECT oid FROM n)
    ) lines(line)
""")


def digest(db: sa.Connection, *schemas: str) -> str:
    """Tells one state of the schemas from another: relations, columns, keys, indexes, triggers,
    views and functions, made again ones included. A few milliseconds; no table is looked into."""
    return str(db.scalar(_DIGEST, {"schemas": list(schemas)}))


_COLUMNS = sa.text("""
    SELECT n.nspname, c.relname, c.oid::bigint, c.relkind::text, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef OR a.attidentity <> '',
        col_description(a.attrelid, a.attnum)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a
        ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = ANY(:schemas) AND c.relkind NOT IN ('i', 'I', 'S', 't')
""")
_INDEXES = sa.text("""
    SELECT n.nspname, t.relname, c.relname, i.indisprimary,
        i.indisvalid AND i.indimmediate AND i.indpred IS NULL,
        ARRAY(
            SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, at)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
            ORDER BY k.at
        )
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    WHERE n.nspname = ANY(:schemas)
""")
_TRIGGERS = sa.text("""
    SELECT n.nspname, c.relname, t.tgname
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(:schemas) AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
""")


def read(db: sa.Connection, *schemas: str) -> Catalogue:
    """What there is in schemas."""
    asked = {"schemas": list(schemas)}
    relations: dict[tuple[str, str], Relation] = {}
    columns: dict[tuple[str, str], dict[str, FoundColumn]] = {}
    for schema, name, oid, kind, column, type_, *rest in db.execute(_COLUMNS, asked):
        place = (schema, name)
        if place not in relations:
            columns[place] = {}
            relations[place] = Relation(oid, kind, columns[place])
        if column is not None:
            columns[place][column] = FoundColumn(type_, *rest)
    names = set()
    for schema, name, index, primary, whole, key in db.execute(_INDEXES, asked):
        names.add((schema, index))
        place = (schema, name)
        if place in relations and whole:
            here = relations[place]
            indexes = {**here.indexes, tuple(key): index}
            own = tuple(key) if primary else here.key
            relations[place] = replace(here, indexes=indexes, key=own)
    for schema, name, trigger in db.execute(_TRIGGERS, asked):
        here = relations[schema, name]
        relations[schema, name] = replace(here, triggers=here.triggers | {trigger})
    return Catalogue(relations, frozenset(names))
