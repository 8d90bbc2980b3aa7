"""A connection's schema made as declared, and what was lost of it filled again."""

import logging
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from brex_sync.errors import PostgresError, TableMismatch
from brex_sync.streams.columns import Column, Field, json
from brex_sync.streams.declare import Child, EventTable, Stream, Table, View
from brex_sync.warehouse import moments
from brex_sync.warehouse.load import snapshots
from brex_sync.warehouse.prepare import unfilled
from brex_sync.warehouse.schema import catalogue, history, known_tables, marts
from brex_sync.warehouse.schema.catalogue import name_of
from brex_sync.warehouse.schema.declared import statement, table_of
from brex_sync.warehouse.schema.fitting import Fit, fit, has_other_types, refusal
from brex_sync.warehouse.state import checkpoints, stream_requests

log = logging.getLogger(__name__)


class Mending:
    """One look at a connection's schema, in the transaction of `db`.

    `declared_anew` says that it was last left by a version with other declarations: what is missing
    then is new, and nobody's doing.
    """

    def __init__(
        self, db: sa.Connection, schema: str, streams: Sequence[Stream], *, declared_anew: bool
    ) -> None:
        self._db, self._schema, self._streams = db, schema, streams
        self._past = f"{schema}{history.SUFFIX}"
        self._anew = declared_anew
        for name in (self._schema, self._past):
            db.execute(sa.schema.CreateSchema(name, if_not_exists=True))
        self._found = catalogue.read(db, self._schema, self._past)
        self._known = known_tables.known(db, self._schema, self._past)

    def mend(self, views: Sequence[View]) -> None:
        """Makes tables, their history and views as declared, and has filled again what lost rows.

        Raises:
            TableMismatch: something can't be mended.
        """
        self._make_way(views)
        for stream in self._streams:
            self._mend(stream)
        for view in views:
            self._replace(view, statement(view, self._streams))
        for stream in stream_requests.changed(self._db, self._schema, self._streams):
            self._read_again(stream, "what Brex is asked for it may have changed")

    def _mend(self, stream: Stream) -> None:
        fits = {table.name: self._fit(table_of(table, self._schema)) for table in stream.tables()}
        if stream.snapshot:
            self._fit(snapshots.daily_of(table_of(stream, self._schema), stream))
        past = {table.name: self._fit_past(stream, table) for table in stream.tables()}
        lost = [t for t in stream.tables() if self._lost_rows(self._schema, t, fits[t.name])]
        for table in lost:
            self._restore(stream, table)
        if stream in lost:
            self._forget(stream)
        for table in stream.tables():
            self._have_filled(stream, table, fits[table.name], lost=table in lost)
            self._keep_versions(stream, table, past[table.name], lost=table in lost)

    def _fit(self, table: sa.Table) -> Fit:
        fitted = fit(self._db, table, self._found, describe=self._anew)
        if not self._anew:
            for note in fitted.notes:
                log.warning("%s.%s: %s, and was mended", table.schema, table.name, note)
        here = self._found.of(table)
        if self._anew and here is not None:
            moments.forget_unreadable(self._db, table)
        if here is None or known_tables.TRIGGER not in here.triggers:
            known_tables.watch(self._db, table)
        return fitted

    def _fit_past(self, stream: Stream, table: Table) -> Fit:
        if not history.keeps(stream):
            return Fit()
        return self._fit(history.versions_of(stream, table_of(table, self._schema)))

    def _lost_rows(self, schema: str, table: Table, fitted: Fit) -> bool:
        """Whether rows that a sync stored may no longer be in a table."""
        here = self._found.relations.get((schema, table.name))
        if here is None or fitted.created or fitted.bare:
            return True
        if self._known.oids.get((schema, table.name), here.oid) != here.oid:
            return True
        truncated = self._known.strays.get(here.oid)
        return truncated is not None and (truncated or not self._has_rows(schema, table))

    def _restore(self, stream: Stream, table: Table) -> None:
        """Brings back what the history knows of a table's rows, which ends no version."""
        if not history.keeps(stream):
            return
        name = f'"{self._schema}"."{table.name}"'
        here = self._found.relations.get((self._schema, table.name))
        present = (here.triggers if here else frozenset()) & history.triggers(stream)
        for trigger in present:
            self._db.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER {trigger}")
        self._db.exec_driver_sql(history.restore(table_of(table, self._schema)))
        for trigger in present:
            self._db.exec_driver_sql(f"ALTER TABLE {name} ENABLE TRIGGER {trigger}")

    def _forget(self, stream: Stream) -> None:
        """Has a stream whose rows are gone filled from the beginning; so are its child tables,
        whose rows without one of the stream's say nothing any more."""
        for child in stream.children:
            self._db.exec_driver_sql(
                f'DELETE FROM "{self._schema}"."{child.name}" c WHERE NOT EXISTS ('
                f'SELECT FROM "{self._schema}"."{stream.name}" p '
                f'WHERE p."{stream.key[0]}" = c."{child.into}")'
            )
        if checkpoints.forget(self._db, self._schema, stream):
            log.warning(
                "%s.%s: the table was dropped, emptied or made again since it was last read; it %s",
                self._schema,
                stream.name,
                "fills with the events to come"
                if isinstance(stream, EventTable)
                else "is filled from the beginning",
            )

    def _have_filled(self, stream: Stream, table: Table, fitted: Fit, *, lost: bool) -> None:
        """Notes what is to be filled from `_raw`; what isn't in there, Brex is asked for."""
        added = [name for name in fitted.added if not name.startswith("_")]
        if isinstance(table, Child) and lost:
            if not self._has_rows(self._schema, stream):
                return
            unfilled.note(self._db, self._schema, table.name, [])
            if stream_requests.lacking(self._db, self._schema, stream, [json(table.path, "")]):
                self._read_again(stream, f"older rows lack {table.path}")
        elif added and self._has_rows(self._schema, table):
            unfilled.note(self._db, self._schema, table.name, added)
            columns = _of(table, added)
            if stream_requests.lacking(self._db, self._schema, table, columns):
                fields = ", ".join(column.path for column in columns)
                self._read_again(stream, f"older rows lack {fields}")

    def _read_again(self, stream: Stream, reason: str) -> None:
        if stream_requests.renew(self._db, self._schema, [stream]):
            log.warning(
                "%s.%s is read from the beginning once: %s", self._schema, stream.name, reason
            )

    def _keep_versions(self, stream: Stream, table: Table, fitted: Fit, *, lost: bool) -> None:
        """Keeps the versions of a table's rows, if the stream's are, and notes what of them is to
        be filled."""
        if not history.keeps(stream):
            return
        if fitted.added and self._has_rows(self._past, table):
            unfilled.note(self._db, self._past, table.name, fitted.added)
        here = self._found.relations.get((self._schema, table.name))
        blind = here is None or not here.triggers >= history.triggers(stream)
        declared = table_of(table, self._schema)
        if here is None:
            self._let_go(stream, table)
        gaps = blind or lost or self._lost_rows(self._past, table, fitted)
        write = history.statements if self._anew or gaps else history.functions
        for sql in write(stream, declared):
            self._db.exec_driver_sql(sql)
        if blind and here is not None:
            for trigger in history.triggers(stream):
                self._db.exec_driver_sql(
                    f"ALTER TABLE {declared.fullname} ENABLE TRIGGER {trigger}"
                )
            self._db.exec_driver_sql(history.catch_up(declared))

    def _let_go(self, stream: Stream, table: Table) -> None:
        """A table that was renamed or moved no longer writes to the history of the new one."""
        for trigger in history.triggers(stream):
            function = f'"{self._past}"."{trigger}_{table.name}"'
            others = sa.text(
                "SELECT tgrelid::regclass::text FROM pg_catalog.pg_trigger "
                "WHERE tgfoid = to_regproc(:function) AND tgrelid <> to_regclass(:ours)"
            )
            ours = f'"{self._schema}"."{table.name}"'
            for other in self._db.scalars(others, {"function": function, "ours": ours}).all():
                self._db.exec_driver_sql(f"DROP TRIGGER {trigger} ON {other}")

    def _make_way(self, views: Iterable[View]) -> None:
        """Postgres lets no column change its type that a view reads: ours are made again."""
        tables = [table_of(t, self._schema) for s in self._streams for t in s.tables()]
        if any(has_other_types(self._db, table, self._found) for table in tables):
            marts.drop_all(self._db, self._schema)
            for view in views:
                try:
                    with self._db.begin_nested():
                        self._db.exec_driver_sql(
                            f'DROP VIEW IF EXISTS "{self._schema}"."{view.name}"'
                        )
                except PostgresError as error:
                    if refusal(error) is None:
                        raise

    def _replace(self, view: View, select: str) -> None:
        name = f'"{self._schema}"."{view.name}"'
        here = self._found.relations.get((self._schema, view.name))
        if here is not None and here.kind != "v":
            kind = "a table" if here.kind in ("r", "p") else name_of(here.kind)
            raise TableMismatch(f"{name} is {kind}, where brex_sync has a view. Rename or drop it.")
        made = f"VIEW {name} AS {select.replace('{schema}', self._schema)}"
        try:
            with self._db.begin_nested():
                self._db.exec_driver_sql(f"CREATE OR REPLACE {made}")
        except PostgresError as error:
            if refusal(error) is None:
                raise
            self._make_again(name, made)
        self._db.exec_driver_sql(f"COMMENT ON VIEW {name} IS {literal(self._db, view.description)}")
        for field in view.fields:
            self._comment(f'{name}."{field.name}"', field)

    def _make_again(self, name: str, made: str) -> None:
        """Makes a view that has other columns now; views of people's may rest on it."""
        marts.drop_all(self._db, self._schema)
        try:
            with self._db.begin_nested():
                self._db.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
                self._db.exec_driver_sql(f"CREATE {made}")
        except PostgresError as error:
            reason = refusal(error)
            if reason is None:
                raise
            raise TableMismatch(
                f"the view {name} has other columns in this version, and Postgres refuses to make "
                f"it again: {reason}. Drop what depends on it, run brex-sync, and make it again; "
                "nothing was changed."
            ) from error

    def _comment(self, column: str, field: Field) -> None:
        text = literal(self._db, field.description)
        self._db.exec_driver_sql(f"COMMENT ON COLUMN {column} IS {text}")

    def _has_rows(self, schema: str, table: Table) -> bool:
        rows = f'SELECT FROM "{schema}"."{table.name}"'
        return bool(self._db.scalar(sa.text(f"SELECT EXISTS ({rows})")))


def _of(table: Table, names: Sequence[str]) -> list[Column]:
    """The declared columns that become some of these."""
    return [c for c in table.columns if any(f.name in names for f in c.fields())]


def literal(db: sa.Connection, text: str) -> str:
    """A text as SQL writes it."""
    return str(sa.literal(text).compile(dialect=db.dialect, compile_kwargs={"literal_binds": True}))
