"""The formats of exported files."""

from enum import StrEnum


class Format(StrEnum):
    """The files that an export writes; the value is their suffix."""

    PARQUET = "parquet"
    CSV = "csv"
