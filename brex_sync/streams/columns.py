"""What a column of a declared table is, and the words for each kind of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from functools import cache


class Kind(StrEnum):
    """What a column holds; the value is its Postgres type, except for money, which takes three."""

    TEXT = "text"
    INTEGER = "bigint"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamptz"
    DECIMAL = "numeric"
    JSON = "jsonb"
    MONEY = "money"


class Sensitivity(Enum):
    """How freely a column's values may be shown."""

    OPEN = "open"
    PERSONAL = "personal"
    """Names, e-mail and postal addresses: shown, and marked in the column's comment."""
    BANK_NUMBER = "bank number"
    """Cut to its last four characters before it is stored, in `_raw` too."""


@dataclass(frozen=True, slots=True)
class Field:
    """One physical column of a table.

    `name` is the column in Postgres, `kind` its type (never `MONEY`).
    """

    name: str
    kind: Kind
    description: str


@cache
def _snake_case(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", path.replace(".", "_")).lower()


@dataclass(frozen=True, slots=True)
class Column:
    """One value of an API item and the column, or columns, it becomes.

    `path` is where the value lies in the item (`merchant.mcc`); the column's name follows from
    it (`merchant_mcc`, camelCase turned to snake_case). `also` is where it lies if not there.
    `of_money` says that it is part of an amount that is no Money object.
    """

    path: str
    kind: Kind
    description: str
    sensitivity: Sensitivity = Sensitivity.OPEN
    of_money: bool = False
    also: str | None = None

    @property
    def is_money(self) -> bool:
        """Whether it is money: a row whose money does not fit is not stored."""
        return self.kind is Kind.MONEY or self.of_money

    @property
    def name(self) -> str:
        return _snake_case(self.path)

    @property
    def keys(self) -> tuple[str, ...]:
        """The path as the keys to follow from the item down."""
        return tuple(self.path.split("."))

    @property
    def places(self) -> "tuple[Column, ...]":
        """The column at each of the paths where its value may lie, the first of which counts."""
        return (self, replace(self, path=self.also, also=None)) if self.also else (self,)

    def fields(self) -> Iterator[Field]:
        """The physical columns: three for money (major units, minor units, currency), else one."""
        if self.kind is not Kind.MONEY:
            yield Field(self.name, self.kind, self.description)
            return
        yield Field(self.name, Kind.DECIMAL, f"{self.description} In major units of the currency.")
        yield Field(
            f"{self.name}_minor",
            Kind.INTEGER,
            f"{self.description} Exact, in the currency's smallest unit.",
        )
        yield Field(
            f"{self.name}_currency",
            Kind.TEXT,
            f"ISO 4217 currency of {self.name}; null where Brex names none (Brex then means USD).",
        )


def text(
    path: str,
    description: str,
    sensitivity: Sensitivity = Sensitivity.OPEN,
    also: str | None = None,
) -> Column:
    """A string, an identifier or an enumeration: enumerations grow without notice at Brex."""
    return Column(path, Kind.TEXT, description, sensitivity, also=also)


def personal(path: str, description: str) -> Column:
    """A text that identifies a person."""
    return text(path, f"{description} Personal data.", Sensitivity.PERSONAL)


def bank_number(path: str, description: str) -> Column:
    """An account or routing number, of which only the last four characters are kept."""
    return text(path, f"{description} Last four digits only.", Sensitivity.BANK_NUMBER)


def integer(path: str, description: str) -> Column:
    """A whole number of at most 64 bits."""
    return Column(path, Kind.INTEGER, description)


def boolean(path: str, description: str) -> Column:
    """True or false."""
    return Column(path, Kind.BOOLEAN, description)


def date(path: str, description: str) -> Column:
    """A calendar date (`YYYY-MM-DD`), never shifted by any time zone."""
    return Column(path, Kind.DATE, description)


def timestamp(path: str, description: str) -> Column:
    """A moment (RFC 3339)."""
    return Column(path, Kind.TIMESTAMP, description)


def money(path: str, description: str) -> Column:
    """Brex's Money object: `x` (numeric), `x_minor` (bigint) and `x_currency` (text)."""
    return Column(path, Kind.MONEY, description)


def amount(path: str, description: str) -> tuple[Column, Column]:
    """An amount that is no Money object: `amount`, exact as it is written, and `currency`."""
    return (
        Column(f"{path}.amount", Kind.DECIMAL, f"{description} As Brex sends it.", of_money=True),
        Column(f"{path}.currency", Kind.TEXT, f"ISO 4217 currency of {path}.", of_money=True),
    )


def json(path: str, description: str) -> Column:
    """A list or a free map, kept as JSON."""
    return Column(path, Kind.JSON, description)
