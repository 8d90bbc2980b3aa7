"""What the templates show: panels of figures, charts and tables, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brex_sync.pages.charts import Chart


@dataclass(frozen=True, slots=True)
class PanelColumn:
    """A column of a table; numbers stand at the right."""

    label: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """`text` is what people read, `value` what a download has, `href` leads to the rows.

    `bar` is a part of 1 that is drawn; `tone` is `bad`, `warn`, `good` or `quiet`; `indent` is how
    deep the text is nested.
    """

    text: str
    value: Any = None
    href: str | None = None
    bar: Decimal | None = None
    tone: str = ""
    indent: int = 0


@dataclass(frozen=True, slots=True)
class PanelTable:
    """Rows of cells under columns; the first cell of a row is its heading.

    `empty` says in a sentence what it means that there are none; `download` leads to the CSV,
    `more` to all rows where only the first are shown.
    """

    caption: str
    columns: Sequence[PanelColumn]
    rows: Sequence[Sequence[Cell]]
    empty: str
    total: Sequence[Cell] = ()
    more: str | None = None
    shown: int = 8

    @property
    def left_out(self) -> int:
        """How many rows the page does not show; the download has all."""
        return max(0, len(self.rows) - self.shown)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its name; `note` is a sentence below it."""

    label: str
    text: str
    note: str = ""
    href: str | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """A sentence that people must not miss. `tone` as of a cell."""

    text: str
    tone: str = "warn"
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the page. `lacks` says why it has nothing to show, where it has nothing.

    `doubts` are sentences about what is not known to be right; `about` says what is counted;
    `headline` is the number that the top of the page shows of it.
    """

    key: str
    title: str
    about: str = ""
    headline: Figure | None = None
    figures: Sequence[Figure] = ()
    charts: Sequence[Chart] = ()
    table: PanelTable | None = None
    doubts: Sequence[Banner] = ()
    lacks: str = ""
    download: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A choice of a filter."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter with what can be chosen; `every` is what no choice means."""

    name: str
    label: str
    options: Sequence[Option]
    every: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page."""

    title: str
    subtitle: str
    made_at: str
    figures: Sequence[Figure]
    panels: Sequence[Panel]
    choices: Sequence[Choice] = ()
    banners: Sequence[Banner] = ()
