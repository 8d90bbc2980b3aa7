"""Exports of tables and marts to files, each resumed where the last one ended."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from brex_sync.errors import ExportError
from brex_sync.runtime.formats import Format
from brex_sync.warehouse import export as source
from brex_sync.warehouse.export import EVERYTHING, ExportColumn, ExportSource, Span

STATE = "export.json"
SCALE = 9
"""Digits after the point in a decimal column, if no value needs more: types stay alike then."""
_DIGITS = 38
_BLOCK = 1 << 22
"""Bytes of CSV that are converted at once."""


class State(msgspec.Struct, frozen=True):
    """How far a table was exported: rows changed before `through` are in the first `parts`."""

    through: datetime
    parts: int
    format: str


@dataclass(frozen=True, slots=True)
class Exported:
    """The result for one table: its rows in this export and the file, None if nothing changed.

    Changes at `until` or later are left to the next export, because an earlier transaction was not
    committed; None where the whole relation was read.
    """

    relation: ExportSource
    rows: int
    path: Path | None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """Exports from the warehouse into `folder`.

    A table with `_changed_at` gets a folder with numbered parts, each with the rows that changed
    since the part before; of a row in several parts the last one counts. Deleted rows are included,
    with `_deleted_at`. Any other relation (a view, a mart) is one file that is replaced.

    `safe` is for CSV: texts that a spreadsheet takes for a formula get an apostrophe.
    """

    engine: sa.Engine
    folder: Path
    format: Format
    safe: bool = False

    def run(self, relation: ExportSource, *, full: bool = False) -> Exported:
        """Exports what changed since the last export, or everything with `full`.

        A file is complete or absent: it is written under another name first.

        Raises:
            ExportError: the folder cannot be written, or has an export in another format.
            PostgresError: the rows cannot be read.
        """
        try:
            if relation.is_incremental:
                return self._part(relation, full)
            path = self.folder / relation.schema / f"{relation.name}.{self.format}"
            return Exported(relation, self._write(relation, EVERYTHING, path), path)
        except OSError as error:
            raise ExportError(f"cannot write to {self.folder}: {error.strerror}") from error
        except ValueError as error:  # such as NaN, which no decimal of Parquet is
            raise ExportError(
                f"{relation.schema}.{relation.name} has a value that Parquet cannot hold: {error}"
            ) from error

    def _part(self, relation: ExportSource, full: bool) -> Exported:
        folder = self.folder / relation.schema / relation.name
        state = None if full else self._state(folder)
        span = Span(state.through if state else None, source.horizon(self.engine))
        number = state.parts if state else 0
        path = folder / f"part-{number:05}.{self.format}"
        rows = self._write(relation, span, path)
        if full:
            self._remove_parts(folder, keep=path)
        if rows == 0 and number:
            path.unlink()
        made = number + 1 if rows or not number else number
        assert span.until is not None  # noqa: S101 - for the type checker
        _replace(folder / STATE, msgspec.json.encode(State(span.until, made, self.format)))
        return Exported(relation, rows, path if made > number else None, span.until)

    def _state(self, folder: Path) -> State | None:
        path = folder / STATE
        if not path.exists():
            return None
        try:
            state = msgspec.json.decode(path.read_bytes(), type=State)
        except msgspec.MsgspecError:
            raise ExportError(f"{path} is damaged; export with --full to start over") from None
        if state.format != self.format:
            raise ExportError(
                f"{folder} has an export as {state.format}; choose another folder, or start over "
                "with --full"
            )
        return state

    def _remove_parts(self, folder: Path, keep: Path) -> None:
        for suffix in Format:
            for path in folder.glob(f"part-[0-9][0-9][0-9][0-9][0-9].{suffix}"):
                if path != keep:
                    path.unlink()

    def _write(self, relation: ExportSource, span: Span, path: Path) -> int:
        """Writes the rows to `path` and returns their number."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.unfinished")
        write = self._write_csv if self.format is Format.CSV else self._write_parquet
        rows = write(relation, span, unfinished)
        os.replace(unfinished, path)
        return rows

    def _write_csv(self, relation: ExportSource, span: Span, path: Path) -> int:
        reading = source.csv_rows(self.engine, relation, span, header=True, safe=self.safe)
        written = -1  # the header
        with path.open("wb") as file, reading as rows:
            for row in rows:
                file.write(row)
                written += 1
            os.fsync(file.fileno())
        return written

    def _write_parquet(self, relation: ExportSource, span: Span, path: Path) -> int:
        import pyarrow.parquet as pq

        schema = _schema(relation, source.decimal_digits(self.engine, relation, span))
        reading = source.csv_rows(self.engine, relation, span, header=False)
        written = 0
        with reading as rows, path.open("wb") as file:
            with pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for table in _tables(rows, schema):
                    writer.write_table(table)
                    written += table.num_rows
            os.fsync(file.fileno())
        return written


def _schema(relation: ExportSource, digits: dict[str, tuple[int, int]]) -> Any:
    import pyarrow as pa

    types: dict[str, Callable[[], Any]] = {
        "bigint": pa.int64,
        "integer": pa.int32,
        "smallint": pa.int16,
        "boolean": pa.bool_,
        "date": pa.date32,
        "timestamp with time zone": lambda: pa.timestamp("us", "UTC"),
    }

    def of(column: ExportColumn) -> Any:
        if column.type == "numeric":
            return _decimal(*digits[column.name])
        return types.get(column.type, pa.string)()

    return pa.schema([(column.name, of(column)) for column in relation.columns])


def _decimal(before: int, after: int) -> Any:
    """The type that holds the values exactly; text for values with more digits than a decimal."""
    import pyarrow as pa

    for scale in (SCALE, after):
        if after <= scale <= _DIGITS - before:
            return pa.decimal128(_DIGITS, scale)
    return pa.string()


def _tables(rows: Iterator[bytes], schema: Any) -> Iterator[Any]:
    """Rows of CSV, each whole, as tables of about `_BLOCK` bytes."""
    block: list[bytes] = []
    size = 0
    for row in rows:
        block.append(row)
        size += len(row)
        if size >= _BLOCK:
            yield _parsed(b"".join(block), schema)
            block, size = [], 0
    if block:
        yield _parsed(b"".join(block), schema)


def _parsed(block: bytes, schema: Any) -> Any:
    import pyarrow.csv as pc

    return pc.read_csv(
        io.BytesIO(block),
        read_options=pc.ReadOptions(column_names=schema.names, block_size=len(block) + 1),
        parse_options=pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        os.fsync(file.fileno())
    os.replace(unfinished, path)
