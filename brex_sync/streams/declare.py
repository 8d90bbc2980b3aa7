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
    """What an answer looks like."""

    ENVELOPE = "the list stands in `items`, and the next page's cursor beside it"
    ARRAY = "a bare list, never in pages"
    OBJECT = "one object and no list: a list of one row"


@dataclass(frozen=True, slots=True)
class Paging:
    """How a list is cut into pages.

    `limit` is the most rows the endpoint gives per page, None where it takes no `limit` parameter.
    """

    limit: int | None = 1000
    shape: Shape = Shape.ENVELOPE


ONE_OBJECT = Paging(limit=None, shape=Shape.OBJECT)


@dataclass(frozen=True, slots=True)
class Window:
    """What an endpoint with a time filter lets one leave out.

    `param` asks for rows whose `column` (a date or a moment) is at or after a moment, written in
    `format`; `strict` says that it takes only what is after it. `until`, where there is one, asks
    for rows at or before a moment, so that a first read can be cut into slices of time. `overlap`
    is how far before the watermark each run begins to read again. If for `wide_every` nobody read
    from `wide` before it on, or for `full_every` from the beginning, the next run does.
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
class Rest:
    """When the list of a row need not be read: once it was, until the row changes here, `at_most`
    so long. With `after`, only once `grace` has passed since the first of these moments of the row
    that it has, or else since the row was first seen here.
    """

    at_most: timedelta
    after: tuple[str, ...] = ()
    grace: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Per:
    """A list that exists once per row of another stream.

    The live values of `column` in `stream` fill `{column}` in the path, and are stored as `into`.
    Without `rest` each list is read in every run.
    """

    stream: str
    into: str
    column: str = "id"
    rest: Rest | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names a row of another stream, null where there is none."""

    column: str
    stream: str
    to: str = "id"


@dataclass(frozen=True, slots=True)
class Statement:
    """That a stream's rows have a start and an end balance which the rows of another explain.

    The period is half-open: rows whose date `dated` is `period_start_date` or later, and before
    `period_end_date`, in the balance's currency, and of the same parent where there is one.
    """

    explained_by: str
    dated: str = "posted_at_date"
    amount: str = "amount"


@dataclass(frozen=True, slots=True)
class Booked:
    """That rows belong to the month of `dated` (a date, or a moment in UTC), with some money.

    What changes after that month's close is listed, so versions of rows that change are kept.
    """

    dated: str = "posted_at_date"
    amount: str = "amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A table of its own for a list that stands inside every item of a stream.

    `path` is where the list lies in the item, `into` the column that names the parent's row, and
    `own` the column that tells the list's elements apart, None where only their place does. The
    rows are written with their parent's, and marked as deleted once it holds them no more.
    """

    name: str
    description: str
    path: str
    into: str
    columns: tuple[Column, ...]
    own: str | None = None
    redundant: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return (self.into, self.own or POSITION)

    @property
    def reads(self) -> tuple[Column, ...]:
        """Every field of an element that is known: columns, and redundant ones."""
        columns = (place for column in self.columns for place in column.places)
        return (*columns, *(json(path, "") for path in self.redundant))

    def fields(self) -> Iterator[Field]:
        """The physical columns in table order, without those every table has (`_raw` …)."""
        yield Field(self.into, Kind.TEXT, "The row this belongs to.")
        if self.own is None:
            yield Field(POSITION, Kind.INTEGER, "Place in the list, from 0.")
        for column in self.columns:
            yield from column.fields()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Everything there is to say about one of Brex's lists.

    `key` names the columns that identify a row. `item_path` fetches one row by its last key
    column, so that a row missing from a list can be asked for before it is called deleted.
    `params` are sent with every request for rows. `hidden` is a filter for rows that the plain list
    leaves out, listed after it. `masked` and `dropped` are names of fields that, at any depth of an
    item, are cut to their last characters or left out before anything is stored. `scope` is the
    OAuth scope that lets one read the list; `group` the heading people find it under. `history`
    keeps every version of every row; `snapshot` names columns whose state is kept day by day.
    `rises` is a number that a row's later states have more of: an earlier state, come late, never
    takes the place of a later one.
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
    per: Per | None = None
    item_path: str | None = None
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masked: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    redundant: tuple[str, ...] = ()
    children: tuple[Child, ...] = ()
    references: tuple[Reference, ...] = ()
    history: bool = False
    snapshot: tuple[str, ...] = ()
    statement: Statement | None = None
    booked: Booked | None = None
    rises: str | None = None

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields()]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"stream {self.name}: columns declared twice: {sorted(twice)}")
        absent = set(self.key) - set(names)
        if absent:
            raise ValueError(f"stream {self.name}: key columns not declared: {sorted(absent)}")
        booked = (self.booked.dated, self.booked.amount) if self.booked else ()
        unknown = {*self.snapshot, *booked} - {c.name for c in self.columns}
        if unknown:
            raise ValueError(f"stream {self.name}: no columns to keep: {sorted(unknown)}")
        if self.children and len(self.key) > 1:
            raise ValueError(f"stream {self.name}: child tables need a key of one column")

    def fields(self) -> Iterator[Field]:
        """The physical columns in table order, without those every table has (`_raw` …)."""
        if self.per is not None:
            yield Field(self.per.into, Kind.TEXT, f"The row of {self.per.stream} this belongs to.")
        for column in self.columns:
            yield from column.fields()

    def snapshot_fields(self) -> Iterator[Field]:
        """The physical columns that are kept day by day."""
        for column in self.columns:
            if column.name in self.snapshot:
                yield from column.fields()

    @property
    def own_key(self) -> tuple[str, ...]:
        """The key columns that tell a list's rows apart: the parent's only if it is alone."""
        return tuple(k for k in self.key if self.per is None or k != self.per.into) or self.key

    @property
    def reads(self) -> tuple[Column, ...]:
        """Every field of an item that is known: columns, the children's lists, redundant ones."""
        lists = (child.path for child in self.children)
        parents = (self.per.into,) if self.per else ()
        columns = (place for column in self.columns for place in column.places)
        return (*columns, *(json(path, "") for path in (*lists, *self.redundant, *parents)))

    @property
    def window_kind(self) -> Kind | None:
        """Whether the window's column holds dates or moments; None without a window."""
        if self.window is None:
            return None
        return next(c.kind for c in self.columns if c.name == self.window.column)

    @property
    def cut(self) -> frozenset[str]:
        """Names of the fields of which only the last characters are kept."""
        numbers = (c.keys[-1] for c in self.columns if c.sensitivity is Sensitivity.BANK_NUMBER)
        return frozenset((*self.masked, *numbers))

    def tables(self) -> "tuple[Table, ...]":
        """The stream's own table, then those of its children."""
        return (self, *self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable(Stream):
    """A table of what Brex tells by events alone: no list has it, and no sync reads it.

    `event` is the type of event each of whose bodies is a row's state.
    """

    event: str
    path: str = ""


Table = Stream | Child


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view for people over the tables of one connection.

    The statement lies in the warehouse's `sql/<name>.sql`; `sources` are the streams it reads. With
    `each` it is written for one of them, and holds for each.
    """

    name: str
    description: str
    group: str
    sources: tuple[str, ...]
    fields: tuple[Field, ...]
    each: bool = False
