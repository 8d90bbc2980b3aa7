"""Checks inputs, and reads bulk inputs from a CSV file, whose bad lines are all reported together.

Files of this machine are read for the command line and Dagster; over HTTP, the lines themselves are
sent.
"""

import csv
from collections.abc import Callable, Hashable
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import AfterValidator, BeforeValidator, ValidationError, ValidationInfo

from brex_sync.errors import BadInputs, WorkflowError
from brex_sync.workflows.declare import Inputs, Workflow

FILES = {"files": True}
"""The validation context in which inputs may name files."""
STORED = FILES | {"stored": True}
"""The validation context of stored inputs, which were checked when they were given."""
MOST = 10_000
"""The largest number of lines in one file; each takes at least one request to Brex."""


def from_csv(line: type[Inputs], key: str) -> BeforeValidator:
    """Accepts the path of a CSV file in place of a list of `line`, with a different `key` each."""

    def read(given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, str | Path):
            return given
        refuse_files(info)
        return read_csv(Path(given), line, key)

    return BeforeValidator(read)


def distinct(key: str, fault: str) -> AfterValidator:
    """Removes repeated lines; two lines with one `key` that differ are an error.

    `key` is the dotted name of an attribute. The error is the key's value, followed by `fault`.
    """

    def once(lines: list[Any]) -> list[Any]:
        found: dict[Any, Any] = {}
        for line in lines:
            value = attrgetter(key)(line)
            if found.setdefault(value, line) != line:
                raise ValueError(f"{value} {fault}")
        return list(found.values())

    return AfterValidator(once)


def refuse_files(info: ValidationInfo) -> None:
    """Raises ValueError unless files may be named."""
    if not (info.context or {}).get("files"):
        raise ValueError("files of this machine are read for its command line and Dagster alone")


def is_stored(info: ValidationInfo) -> bool:
    """Returns whether the inputs are stored ones, which were checked when they were given."""
    return bool((info.context or {}).get("stored"))


def read_csv(path: Path, line: type[Inputs], key: str) -> list[Inputs]:
    """Returns the lines of a CSV file whose first line names the fields.

    Raises:
        BadInputs: the file cannot be read, or has bad lines; `faults` names all of them.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_header(path, reader.fieldnames, line)
            return _read(reader, line, lambda read: getattr(read, key))
    except OSError as error:
        raise BadInputs([f"{path} cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise BadInputs([f"{path} is not UTF-8 text: save it as CSV in UTF-8"]) from None
    except csv.Error as error:
        raise BadInputs([f"{path} is no CSV: {error}"]) from None


def _check_header(path: Path, named: Any, line: type[Inputs]) -> None:
    wanted = {name for name, field in line.model_fields.items() if field.is_required()}
    unknown = set(named or ()) - set(line.model_fields)
    if unknown or wanted - set(named or ()):
        columns = ", ".join(line.model_fields)
        raise BadInputs([f"{path}: its first line must name the columns {columns}, and no others"])


def _read(
    reader: "csv.DictReader[str]", line: type[Inputs], key_of: Callable[[Inputs], Hashable]
) -> list[Inputs]:
    read: list[Inputs] = []
    faults: list[str] = []
    seen: dict[Hashable, int] = {}
    for cells in reader:
        number = reader.line_num
        try:
            one = _one(cells, line)
        except BadInputs as bad:
            faults += [f"line {number}: {fault}" for fault in bad.faults]
            continue
        first = seen.setdefault(key_of(one), number)
        if first != number:
            faults.append(f"line {number}: {key_of(one)} is on line {first} already")
        read.append(one)
        if len(read) > MOST:
            raise BadInputs([f"line {number}: more than {MOST:,} lines; make several files of it"])
    if faults or not read:
        raise BadInputs(faults or ["there is no line after the first"])
    return read


def _one(cells: dict[Any, Any], line: type[Inputs]) -> Inputs:
    if None in cells or None in cells.values():
        raise BadInputs(["has another number of cells than the first line"])
    try:
        return line.model_validate({name: cell for name, cell in cells.items() if cell != ""})
    except ValidationError as error:
        raise BadInputs(faults_of(error)) from None


def read_inputs(kind: type[Inputs], given: Any, *, files: bool) -> Inputs:
    """Returns checked inputs. With `files`, an input may be the path of a file of this machine.

    Raises:
        BadInputs: the inputs cannot be used; `faults` has every reason.
    """
    try:
        return kind.model_validate(given, context=FILES if files else {})
    except ValidationError as error:
        raise BadInputs(faults_of(error)) from None


def read_back(workflow: Workflow, stored: str) -> Inputs:
    """Returns inputs that were stored as JSON.

    Raises:
        WorkflowError: this version of the workflow does not accept them.
    """
    try:
        return workflow.inputs.model_validate_json(stored, context=STORED)
    except ValidationError as error:
        raise WorkflowError(
            f"this version of {workflow.name} does not accept the inputs of the run "
            f"({'; '.join(faults_of(error))}): start another run for what is left"
        ) from None


def faults_of(error: ValidationError) -> list[str]:
    """Returns what is wrong, field by field, without the values."""
    faults = []
    for fault in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{where}: {message}" if where else message)
    return faults
