"""One table made as it is declared: what people or earlier versions made otherwise is mended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import CreateColumn, CreateIndex, SetColumnComment, SetTableComment

from brex_sync.errors import PostgresError, TableMismatch
from brex_sync.warehouse.schema.catalogue import Catalogue, FoundColumn, Relation, name_of

_REFUSALS = ("0A", "22", "23", "2B", "42", "55000")
"""SQLSTATEs, or classes of them, by which Postgres refuses a change for what is in the way."""
_STOPGAPS: tuple[tuple[type[sa.types.TypeEngine[Any]], str], ...] = (
    (JSONB, "'{}'"),
    (ARRAY, "'{}'"),
    (sa.DateTime, "now()"),
    (sa.Boolean, "false"),
    (sa.Integer, "0"),
    (sa.Text, "''"),
)
"""What rows hold in a column that may not be empty and has just been added."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was done to a table.

    `created`: it was not there. `added`: columns that hold nothing yet. `bare`: of rows that were
    there, what every row must have was gone. `notes` tell what was mended.
    """

    created: bool = False
    added: tuple[str, ...] = ()
    bare: bool = False
    notes: tuple[str, ...] = ()


def fit(db: sa.Connection, table: sa.Table, found: Catalogue, *, describe: bool) -> Fit:
    """Creates a table, or mends the one there is; `describe` writes the comments again too.

    Columns, indexes, triggers and constraints that are not declared stay, but none of the columns
    stays NOT NULL without a default: no row could be stored.

    Raises:
        TableMismatch: it can't be mended.
    """
    here = found.of(table)
    with _told(table):
        if here is None:
            _give_names_back(db, table, found)
            table.create(db)
            return Fit(created=True, notes=("the table was missing",))
        if here.kind not in ("r", "p"):
            raise TableMismatch(
                f"{_name(table)} is {name_of(here.kind)}, where brex_sync has a table. Rename or "
                "drop it; the next run makes the table and fills it from the beginning."
            )
        fitted = _mend(db, table, here, found)
        if describe:
            for column in table.columns:
                db.execute(SetColumnComment(column))
            db.execute(SetTableComment(table))
        return fitted


def has_other_types(db: sa.Connection, table: sa.Table, found: Catalogue) -> bool:
    """Whether a column there is has another type than declared."""
    here = found.of(table)
    return here is not None and any(
        c.name in here.columns and here.columns[c.name].type != type_of(db, c)
        for c in table.columns
    )


def type_of(db: sa.Connection, column: sa.Column[Any]) -> str:
    """A declared column's type as Postgres writes it."""
    return str(column.type.compile(dialect=db.dialect)).lower()


def refusal(error: PostgresError) -> str | None:
    """What is in the way, where Postgres refuses a change for that."""
    state = getattr(error.orig, "sqlstate", None) or ""
    if not state.startswith(_REFUSALS):
        return None
    detail = getattr(getattr(error.orig, "diag", None), "message_detail", None)
    first = str(error.orig).partition("\n")[0]
    return f"{first} ({detail})".replace("\n", "; ") if detail else first


@contextmanager
def _told(table: sa.Table) -> Iterator[None]:
    """What Postgres refuses is one sentence."""
    try:
        yield
    except PostgresError as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise TableMismatch(
            f"{_name(table)} is not as this version declares it, and Postgres refuses to mend it: "
            f"{reason}. Remove what is in the way, or rename or drop the table: the next run makes "
            "it again and fills it from the beginning; nothing was changed."
        ) from error


def _mend(db: sa.Connection, table: sa.Table, here: Relation, found: Catalogue) -> Fit:
    here, notes = _with_old_names(db, table, here)
    missing = [c for c in table.columns if c.name not in here.columns]
    for column in missing:
        _add(db, table, column)
    others = [
        c
        for c in table.columns
        if c.name in here.columns and here.columns[c.name].type != type_of(db, c)
    ]
    emptied = [c.name for c in others if _retype(db, table, c, here.columns[c.name])]
    notes += [f"column {c.name} was missing" for c in missing]
    notes += [f"column {c.name} was {here.columns[c.name].type}" for c in others]
    notes += _mend_key(db, table, here)
    notes += _mend_indexes(db, table, here, found)
    _mend_defaults(db, table, here, [c.name for c in others])
    _loosen(db, table, here)
    return Fit(
        added=(*(c.name for c in missing), *emptied),
        bare=any(c.name in ("_raw", "_deleted_at") for c in missing),
        notes=tuple(notes),
    )


def _with_old_names(
    db: sa.Connection, table: sa.Table, here: Relation
) -> tuple[Relation, list[str]]:
    """Gives columns that were renamed their names back: what is left under another name would
    never be written again."""
    notes = []
    for column in table.columns:
        if column.name in here.columns:
            continue
        found = _renamed(table, column, type_of(db, column), here)
        if found is None and column.primary_key:
            raise TableMismatch(
                f"{_name(table)} has lost {column.name}, by which its rows are told apart. Rename "
                "or drop the table: the next run makes it again and fills it from the beginning."
            )
        if found is not None:
            old, new = _quoted(db, found), _quoted(db, column.name)
            _alter(db, table, f"RENAME COLUMN {old} TO {new}")
            names = {found: column.name}
            here = replace(
                here,
                columns={names.get(n, n): c for n, c in here.columns.items()},
                key=tuple(names.get(n, n) for n in here.key),
                indexes={tuple(names.get(n, n) for n in k): i for k, i in here.indexes.items()},
            )
            notes.append(f"column {column.name} was renamed to {found}")
    return here, notes


def _renamed(table: sa.Table, column: sa.Column[Any], type_: str, here: Relation) -> str | None:
    """What a column is called now: it still has its type and comment, or its place in the key."""
    strangers = {n: c for n, c in here.columns.items() if n not in table.columns}
    alike = [n for n, c in strangers.items() if (c.type, c.comment) == (type_, column.comment)]
    if not alike and column.primary_key:
        alike = [n for n in strangers if n in here.key]
    return alike[0] if len(alike) == 1 and (column.comment or column.primary_key) else None


def _add(db: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> None:
    ddl = str(CreateColumn(column).compile(dialect=db.dialect))
    stopgap = None
    if not column.nullable and column.server_default is None and column.identity is None:
        stopgap = next((text for kind, text in _STOPGAPS if isinstance(column.type, kind)), None)
    default = f" DEFAULT {stopgap}" if stopgap else ""
    _alter(db, table, f"ADD COLUMN {ddl}{default}")
    if stopgap:
        _alter(db, table, f'ALTER COLUMN "{column.name}" DROP DEFAULT')


def _retype(db: sa.Connection, table: sa.Table, column: sa.Column[Any], found: FoundColumn) -> bool:
    """Gives a column its type; whether it is to be filled again, since another type may have
    altered what it held.

    Raises:
        TableMismatch: rows are told apart by it.
    """
    type_, name = type_of(db, column), f'"{column.name}"'
    has_raw = "_raw" in table.columns
    if has_raw and column.primary_key:
        raise TableMismatch(
            f"{_name(table)}.{column.name} is {found.type.upper()} in the warehouse and "
            f"{type_.upper()} in this version, and rows are told apart by it. Rename or drop the "
            "table: the next run makes it again and fills it from the beginning; nothing was "
            "changed."
        )
    from_raw = has_raw and not column.name.startswith("_")
    value = "NULL" if from_raw else f"{name}::text"
    loosened = [f"ALTER {name} DROP NOT NULL"] if from_raw else []
    changes = [*loosened, f"ALTER {name} DROP DEFAULT"]
    _alter(db, table, ", ".join(changes))
    _alter(db, table, f"ALTER {name} TYPE {type_} USING ({value})::{type_}")
    return from_raw


def _mend_key(db: sa.Connection, table: sa.Table, here: Relation) -> list[str]:
    key = [c.name for c in table.primary_key.columns]
    if set(here.key) == set(key):
        return []
    if here.key:
        raise TableMismatch(
            f"{_name(table)} has the primary key ({', '.join(here.key)}) in place of "
            f"({', '.join(key)}). Drop that constraint: the next run makes its own again."
        )
    _alter(db, table, f"ADD PRIMARY KEY ({', '.join(_quoted(db, k) for k in key)})")
    return ["its primary key was missing"]


def _mend_indexes(
    db: sa.Connection, table: sa.Table, here: Relation, found: Catalogue
) -> list[str]:
    absent = [index for index in table.indexes if not _is_there(table, index, here, found)]
    for index in absent:
        _give_name_back(db, table, index, found)
        db.execute(CreateIndex(index))
    return [f"index {index.name} was missing" for index in absent]


def _is_there(table: sa.Table, index: sa.Index, here: Relation, found: Catalogue) -> bool:
    """An index of some rows is known by its name, any other by its columns."""
    if index.dialect_options["postgresql"]["where"] is not None:
        return (table.schema, index.name) in found.index_names
    return tuple(c.name for c in index.columns) in here.indexes


def _give_names_back(db: sa.Connection, table: sa.Table, found: Catalogue) -> None:
    for index in table.indexes:
        _give_name_back(db, table, index, found)


def _give_name_back(db: sa.Connection, table: sa.Table, index: sa.Index, found: Catalogue) -> None:
    """An index of a table that was renamed, or one that is no longer whole, has the name."""
    if (table.schema, index.name) in found.index_names:
        taken = f'"{table.schema}".{_quoted(db, str(index.name))}'
        number = db.scalar(sa.text("SELECT to_regclass(:name)::oid"), {"name": taken})
        free = f"{str(index.name)[:40]}_{number}"
        db.exec_driver_sql(f'ALTER INDEX {taken} RENAME TO "{free}"')


def _mend_defaults(db: sa.Connection, table: sa.Table, here: Relation, retyped: list[str]) -> None:
    for column in table.columns:
        there, default = here.columns.get(column.name), column.server_default
        if there is None or not isinstance(default, sa.DefaultClause):
            continue
        if not there.filled or column.name in retyped:
            value = default.arg
            text = f"'{value}'" if isinstance(value, str) else value.compile(dialect=db.dialect)
            _alter(db, table, f'ALTER COLUMN "{column.name}" SET DEFAULT {text}')


def _loosen(db: sa.Connection, table: sa.Table, here: Relation) -> None:
    """What this version leaves empty may be: columns of another one or of people, and those that
    may be unknown."""
    for name, column in here.columns.items():
        known = table.columns.get(name)
        ours = known is not None and known.nullable
        theirs = known is None and not column.filled
        if column.required and (ours or theirs):
            _alter(db, table, f"ALTER COLUMN {_quoted(db, name)} DROP NOT NULL")


def _alter(db: sa.Connection, table: sa.Table, change: str) -> None:
    db.exec_driver_sql(f"ALTER TABLE {_name(table)} {change}")


def _name(table: sa.Table) -> str:
    return f'"{table.schema}"."{table.name}"'


def _quoted(db: sa.Connection, name: str) -> str:
    return db.dialect.identifier_preparer.quote_identifier(name)
