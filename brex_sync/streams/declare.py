"""The vocabulary in which every Brex stream is declared.

From one `Stream` come the request, the paging, the dtype of every column, the table with its
comments, the Dagster asset with its checks, and the documentation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from brex_sync.streams.columns import Column, Field, Kind, Sensitivity, json

KEY_SEPARATOR = "\x1f"
"""Between the parts of a key that is written as one text."""
POSITION = "position"
"""The column of a child table that holds an element's place in its list."""


class Shape(Enum):
    """The form of a response."""

    ENVELOPE = "an object with the list in `items` and the next page's cursor beside it"
    ARRAY = "a list, without pages"
    OBJECT = "one object, which counts as a list of one row"


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is divided into pages.

    `limit` is the endpoint's largest page; None if it has no `limit` parameter.
    """

    limit: int | None = 1000
    shape: Shape = Shape.ENVELOPE


ONE_OBJECT = Paging(limit=None, shape=Shape.OBJECT)


@dataclass(frozen=True, slots=True)
class Window:
    """The time filter of an endpoint.

    `param` selects rows whose `column` (a date or a time) is at or after a time, written in
    `format`; with `strict`, only after it. `until`, if there is one, selects rows at or before a
    time, so that a long read can be divided into slices of time. Each run reads from `overlap`
    before the watermark. If no run has read from `wide` before it for `wide_every`, or from the
    beginning for `full_every`, the next run does.
    """

    param: str
    column: str
    until: str | None = None
    strict: bool = False
    overlap: timedelta = timedelta(days=14)
    wide: timedelta = timedelta(days=90)
    wide_every: timedelta = timedelta(days=7)
    full_every: timedelta = timedelta(days=32)
    format: str = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """When the list of a row is read again: when the row changes, or `max_age` after its last read.

    With `after`, the list is read in every run until `grace` after the first of these times of the
    row that is not null, or after the row was first seen if all are.
    """

    max_age: timedelta
    after: tuple[str, ...] = ()
    grace: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of a stream that has one list per row of another stream.

    The values of `column` in the rows of `stream` that are not deleted fill `{column}` in the path,
    and are stored in the column `into`. Without `refresh`, each list is read in every run.
    """

    stream: str
    into: str
    column: str = "id"
    refresh: RefreshPolicy | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names a row of another stream, null where there is none."""

    column: str
    stream: str
    to: str = "id"


@dataclass(frozen=True, slots=True)
class Statement:
    """Start and end balances in a stream's rows, and the stream whose rows explain them.

    The period is half-open: rows whose date `dated` is `period_start_date` or later, and before
    `period_end_date`, in the balance's currency, and of the same parent if there is one.
    """

    explained_by: str
    dated: str = "posted_at_date"
    amount: str = "amount"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounting date and amount of a stream's rows.

    A row belongs to the month of `dated` (a date, or a time in UTC). Changes after that month's
    close are listed in `late_changes`, so versions of rows that change are stored.
    """

    dated: str = "posted_at_date"
    amount: str = "amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A separate table for a list inside every item of a stream.

    `path` is the path of the list in the item, `into` the column with the key of the item's row,
    and `own` the column that identifies an element within its list, None if only its position does.
    The rows are written with the item's row, and marked as deleted once the item no longer has
    them.
    """

    name: str
    description: str
    path: str
    into: str
    columns: tuple[Column, ...]
    own: str | None = None
    ignored_fields: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return (self.into, self.own or POSITION)

    @property
    def reads(self) -> tuple[Column, ...]:
        """The known fields of an element: those with a column, and ignored ones."""
        columns = (place for column in self.columns for place in column.places)
        return (*columns, *(json(path, "") for path in self.ignored_fields))

    def fields(self) -> Iterator[Field]:
        """The physical columns in table order, without those every table has (`_raw` …)."""
        yield Field(self.into, Kind.TEXT, "The row this belongs to.")
        if self.own is None:
            yield Field(POSITION, Kind.INTEGER, "Place in the list, from 0.")
        for column in self.columns:
            yield from column.fields()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The declaration of one of Brex's lists.

    `key` names the columns that identify a row. `item_path` requests one row by its last key
    column, so that a row missing from a list can be requested before it is marked as deleted.
    `params` are sent with every request for rows. `extra_filters` selects rows that the plain list
    leaves out; they are listed after it. `mask` and `drop` are names of fields, at any depth of an
    item, that are shortened to their last characters or removed before anything is stored. `scope`
    is the OAuth scope for reading the list, `group` the heading under which people find it.
    `history` stores every version of every row; `snapshot` names columns whose state is stored
    every day. `version_column` is a number that increases with every state of a row: an earlier
    state that arrives late does not replace a later one.
    """

    name: str
    description: str
    group: str
    path: str
    scope: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    paging: Paging = Paging()
    window: Window | None = None
    parent: Parent | None = None
    item_path: str | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra_filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mask: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    ignored_fields: tuple[str, ...] = ()
    children: tuple[Child, ...] = ()
    references: tuple[Reference, ...] = ()
    history: bool = False
    snapshot: tuple[str, ...] = ()
    statement: Statement | None = None
    ledger: Ledger | None = None
    version_column: str | None = None

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields()]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"stream {self.name}: columns declared twice: {sorted(twice)}")
        absent = set(self.key) - set(names)
        if absent:
            raise ValueError(f"stream {self.name}: key columns not declared: {sorted(absent)}")
        dated = (self.ledger.dated, self.ledger.amount) if self.ledger else ()
        unknown = {*self.snapshot, *dated} - {c.name for c in self.columns}
        if unknown:
            raise ValueError(f"stream {self.name}: no columns to keep: {sorted(unknown)}")
        if self.children and len(self.key) > 1:
            raise ValueError(f"stream {self.name}: child tables need a key of one column")

    def fields(self) -> Iterator[Field]:
        """The physical columns in table order, without those every table has (`_raw` …)."""
        if self.parent is not None:
            yield Field(
                self.parent.into, Kind.TEXT, f"The row of {self.parent.stream} this belongs to."
            )
        for column in self.columns:
            yield from column.fields()

    def snapshot_fields(self) -> Iterator[Field]:
        """The physical columns whose state is stored every day."""
        for column in self.columns:
            if column.name in self.snapshot:
                yield from column.fields()

    @property
    def own_key(self) -> tuple[str, ...]:
        """The key columns that identify a row within its list: the parent's only if there is no
        other.
        """
        return (
            tuple(k for k in self.key if self.parent is None or k != self.parent.into) or self.key
        )

    @property
    def reads(self) -> tuple[Column, ...]:
        """The known fields of an item: those with a column, the children's lists, ignored ones."""
        lists = (child.path for child in self.children)
        parents = (self.parent.into,) if self.parent else ()
        columns = (place for column in self.columns for place in column.places)
        return (*columns, *(json(path, "") for path in (*lists, *self.ignored_fields, *parents)))

    @property
    def window_kind(self) -> Kind | None:
        """Whether the window's column holds dates or moments; None without a window."""
        if self.window is None:
            return None
        return next(c.kind for c in self.columns if c.name == self.window.column)

    @property
    def masked(self) -> frozenset[str]:
        """Names of the fields of which only the last characters are stored."""
        numbers = (c.keys[-1] for c in self.columns if c.sensitivity is Sensitivity.BANK_NUMBER)
        return frozenset((*self.mask, *numbers))

    def tables(self) -> "tuple[Table, ...]":
        """The stream's own table, then those of its children."""
        return (self, *self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable(Stream):
    """A table that is filled by events only: Brex has no list of its rows, and no sync reads it.

    `event` is the type of event whose body is the state of a row.
    """

    event: str
    path: str = ""


Table = Stream | Child


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view for people over the tables of one connection.

    Its statement is the warehouse's `sql/<name>.sql`; `sources` are the streams it reads. With
    `each`, the statement is written for one source and repeated for all of them.
    """

    name: str
    description: str
    group: str
    sources: tuple[str, ...]
    fields: tuple[Field, ...]
    each: bool = False
