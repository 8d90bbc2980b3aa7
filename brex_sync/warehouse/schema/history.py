"""Every version of a row, kept by triggers: in the transaction, and whatever wrote the row.

A version holds from `_valid_from` until before `_valid_to`. Versions of a row never overlap, and
leave gaps only where Brex did not list the row.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from brex_sync.streams.declare import Stream
from brex_sync.warehouse.schema.columns import differing, listed, same

SUFFIX = "_history"
"""What the schema with the past is called, after its connection."""

_WHEN = sa.DateTime(timezone=True)
_NOT_OF_A_VERSION = ("_first_seen_at", "_changed_at", "_deleted_at")


def versions_of(stream: Stream, table: sa.Table) -> sa.Table:
    """The table that holds the versions of the rows of a stream, or of one of its child tables."""
    every = f"Every version of every row of {table.schema}.{table.name}."
    changed = (
        f"The versions of the rows of {table.schema}.{table.name} that have changed; one without "
        "any is as it was first stored."
    )
    columns = [
        sa.Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable, comment=c.comment)
        for c in table.columns
        if c.name not in _NOT_OF_A_VERSION
    ]
    return sa.Table(
        table.name,
        sa.MetaData(),
        *columns,
        sa.Column(
            "_valid_from",
            _WHEN,
            primary_key=True,
            comment="When the row was first seen so here.",
        ),
        sa.Column(
            "_valid_to",
            _WHEN,
            comment="When it was seen otherwise, or not any more; null while it is so.",
        ),
        sa.Column(
            "_changed_columns",
            ARRAY(sa.Text),
            comment="Columns that differ from the version before, null in the first; _raw: only "
            "fields that have no column; _deleted_at: the row had been gone.",
        ),
        schema=f"{table.schema}{SUFFIX}",
        comment=every if stream.history else changed,
    )


def statements(stream: Stream, table: sa.Table) -> list[str]:
    """What makes Postgres keep the versions of the rows of a stream's table, or of a child's, from
    now on, if the stream's are kept.

    With history every row has versions, those that were there before since they were first seen
    here. Where rows are only booked, those that change have; of a row without any, the only
    version is the row itself.
    """
    if not keeps(stream):
        return []
    sql = _Sql(table)
    triggers = [sql.trigger("keep_changed", "UPDATE", "OLD TABLE AS replaced NEW TABLE AS written")]
    if not stream.history:
        return [*functions(stream, table), *triggers]
    triggers.append(sql.trigger("keep_new", "INSERT", "NEW TABLE AS written"))
    return [*functions(stream, table), *triggers, _begin(sql)]


def keeps(stream: Stream) -> bool:
    """Whether versions of a stream's rows are kept: of all, or of those that change."""
    return stream.history or stream.ledger is not None


def triggers(stream: Stream) -> frozenset[str]:
    """The names of the triggers that keep a stream's versions."""
    if not keeps(stream):
        return frozenset()
    return frozenset({"keep_changed", "keep_new"} if stream.history else {"keep_changed"})


def functions(stream: Stream, table: sa.Table) -> list[str]:
    """What makes the functions that the triggers call."""
    if not keeps(stream):
        return []
    sql = _Sql(table)
    kept = _keep_replaced(sql) + _keep_reread(sql) + _keep_changed(sql)
    changed = [sql.function("keep_changed", kept)]
    return [*changed, sql.function("keep_new", _keep_new(sql))] if stream.history else changed


def restore(table: sa.Table) -> str:
    """What brings back the last version of each row of a table that has lost its rows.

    No trigger may see it. Rows that were gone come back as that; what has changed at Brex since
    comes with the next read.
    """
    sql = _Sql(table)
    return f"""
        INSERT INTO {sql.table} ({listed(sql.columns)}, _first_seen_at, _changed_at, _deleted_at)
        SELECT {listed(sql.columns)}, _first, now(), _valid_to FROM (
            SELECT DISTINCT ON ({listed(sql.key)}) *,
                min(_valid_from) OVER (PARTITION BY {listed(sql.key)}) AS _first
            FROM {sql.versions} ORDER BY {listed(sql.key)}, _valid_from DESC
        ) last
        ON CONFLICT DO NOTHING
    """


def catch_up(table: sa.Table) -> str:
    """What makes the versions tell of changes that no trigger saw: rows whose last version is not
    as they are get one that is, as of when they last changed."""
    sql = _Sql(table)
    returned = "CASE WHEN o._valid_to IS NOT NULL THEN '_deleted_at' END"
    return f"""
        WITH turned AS (
            SELECT {listed(sql.columns, "t")}, t._deleted_at,
                {differing(sql.typed, "o", "t", returned)} AS _changed_columns,
                greatest(
                    t._changed_at, o._valid_from + interval '1 microsecond', o._valid_to
                ) AS _moment
            FROM (
                SELECT DISTINCT ON ({listed(sql.key)}) * FROM {sql.versions}
                ORDER BY {listed(sql.key)}, _valid_from DESC
            ) o JOIN {sql.table} t ON {sql.same("o", "t")}
            WHERE o._raw IS DISTINCT FROM t._raw
               OR (o._valid_to IS NULL) <> (t._deleted_at IS NULL)
        ), ended AS (
            UPDATE {sql.versions} v SET _valid_to = t._moment
            FROM turned t WHERE {sql.same("v", "t")} AND v._valid_to IS NULL
        )
        INSERT INTO {sql.versions} ({listed(sql.columns)}, _valid_from, _changed_columns)
        SELECT {listed(sql.columns)}, _moment, _changed_columns
        FROM turned WHERE _deleted_at IS NULL
    """


class _Sql:
    """The names a table's statements are made of."""

    def __init__(self, table: sa.Table) -> None:
        self.schema, self.name = f"{table.schema}{SUFFIX}", table.name
        self.table = f'"{table.schema}"."{table.name}"'
        self.versions = f'"{self.schema}"."{table.name}"'
        self.key = [c.name for c in table.primary_key.columns]
        kept = [c.name for c in table.columns if c.name not in _NOT_OF_A_VERSION]
        self.columns = kept
        self.typed = [name for name in kept if name not in (*self.key, "_raw")]

    def same(self, one: str, other: str) -> str:
        return same(self.key, one, other)

    def function(self, task: str, body: str) -> str:
        return (
            f'CREATE OR REPLACE FUNCTION "{self.schema}"."{task}_{self.name}"() RETURNS trigger '
            f"LANGUAGE plpgsql AS $body$ BEGIN {body} RETURN NULL; END $body$"
        )

    def trigger(self, task: str, event: str, tables: str) -> str:
        return (
            f"CREATE OR REPLACE TRIGGER {task} AFTER {event} ON {self.table} "
            f"REFERENCING {tables} FOR EACH STATEMENT "
            f'EXECUTE FUNCTION "{self.schema}"."{task}_{self.name}"()'
        )


def _keep_new(sql: _Sql) -> str:
    """Begins the versions of rows; those that were left open when the row was removed end."""
    return (
        f"UPDATE {sql.versions} v "
        "SET _valid_to = greatest(w._first_seen_at, v._valid_from + interval '1 microsecond') "
        f"FROM written w WHERE {sql.same('v', 'w')} AND v._valid_to IS NULL;"
        f"INSERT INTO {sql.versions} ({listed(sql.columns)}, _valid_from) "
        f"SELECT {listed(sql.columns)}, _first_seen_at FROM written;"
    )


def _begin(sql: _Sql) -> str:
    return f"""
        INSERT INTO {sql.versions} ({listed(sql.columns)}, _valid_from, _valid_to)
        SELECT {listed(sql.columns)}, _first_seen_at,
            CASE WHEN _deleted_at IS NOT NULL
                 THEN greatest(_deleted_at, _first_seen_at + interval '1 microsecond') END
        FROM {sql.table} t
        WHERE NOT EXISTS (SELECT FROM {sql.versions} v WHERE {sql.same("v", "t")})
    """


def _keep_replaced(sql: _Sql) -> str:
    """The version a row had until now, for rows that have none."""
    return f"""
        INSERT INTO {sql.versions} ({listed(sql.columns)}, _valid_from)
        SELECT {listed(sql.columns, "o")}, o._changed_at
        FROM replaced o JOIN written n ON {sql.same("o", "n")}
        WHERE o._deleted_at IS NULL
          AND (o._raw IS DISTINCT FROM n._raw OR n._deleted_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM {sql.versions} v WHERE {sql.same("v", "n")});
    """


def _keep_reread(sql: _Sql) -> str:
    """A row that reads otherwise though Brex sent the same, since its declaration has grown, is no
    new version."""
    if not sql.typed:
        return ""
    return f"""
        UPDATE {sql.versions} v
        SET {", ".join(f'"{c}" = n."{c}"' for c in sql.typed)}
        FROM replaced o JOIN written n ON {sql.same("o", "n")}
        WHERE {sql.same("v", "n")} AND v._valid_to IS NULL AND o._raw = n._raw
          AND ({listed(sql.typed, "o")}) IS DISTINCT FROM ({listed(sql.typed, "n")});
    """


def _keep_changed(sql: _Sql) -> str:
    """Ends the versions of rows that changed or vanished, and begins those of rows that are there.

    Moments of one row always rise, even when clocks do not.
    """
    returned = "CASE WHEN o._deleted_at IS NOT NULL THEN '_deleted_at' END"
    return f"""
        WITH turned AS (
            SELECT {listed(sql.columns, "n")}, n._deleted_at,
                {differing(sql.typed, "o", "n", returned)} AS _changed_columns,
                greatest(n._changed_at, (
                    SELECT max(greatest(v._valid_from + interval '1 microsecond', v._valid_to))
                    FROM {sql.versions} v WHERE {sql.same("v", "n")}
                )) AS _moment
            FROM replaced o JOIN written n ON {sql.same("o", "n")}
            WHERE o._raw IS DISTINCT FROM n._raw
               OR (o._deleted_at IS NULL) <> (n._deleted_at IS NULL)
        ), ended AS (
            UPDATE {sql.versions} v SET _valid_to = t._moment
            FROM turned t WHERE {sql.same("v", "t")} AND v._valid_to IS NULL
        )
        INSERT INTO {sql.versions} ({listed(sql.columns)}, _valid_from, _changed_columns)
        SELECT {listed(sql.columns)}, _moment, _changed_columns
        FROM turned WHERE _deleted_at IS NULL;
    """
