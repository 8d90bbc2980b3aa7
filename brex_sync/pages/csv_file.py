"""Tables as CSV that spreadsheets take for what it is: text stays text, whatever it begins with."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from brex_sync.pages.formats import plain
from brex_sync.pages.model import PanelTable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_BATCH = 500


def safe(value: Any) -> str:
    """A value as a cell; what a spreadsheet would run as a formula has an apostrophe before it."""
    text = json.dumps(value, default=str) if isinstance(value, dict | list) else plain(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def written(heading: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The file in parts, lines ended as RFC 4180 has it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([safe(name) for name in heading])
    for number, row in enumerate(rows, 1):
        writer.writerow([safe(value) for value in row])
        if number % _BATCH == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def of_table(table: PanelTable) -> Iterator[str]:
    """A panel's table with all its rows; amounts are exact and without separators."""
    rows = ([c.text if c.value is None else c.value for c in row] for row in table.rows)
    return written((column.label for column in table.columns), rows)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
