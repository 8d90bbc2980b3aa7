"""A mart, as one file declares it: a YAML header in a comment, then one SELECT."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from brex_sync.errors import MartError
from brex_sync.warehouse.schema.history import SUFFIX as HISTORY

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_PERSONAL = "Personal data."
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Tie(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold of a mart's rows. `query` returns the rows that break it."""

    description: str
    query: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    description: str
    grain: str
    key: tuple[str, ...]
    sources: tuple[str, ...]
    stored: bool
    columns: dict[str, str]
    ties: dict[str, Tie] = {}
    indexes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Mart:
    """A view in `<connection>_marts`, or a materialised one where `stored`.

    `sources` are the tables, views and other marts that its SELECT reads, `columns` its columns
    with their descriptions in the order of the SELECT, `key` those that identify a row, `indexes`
    further ones to be found by where it is stored.
    """

    name: str
    path: Path
    description: str
    grain: str
    key: tuple[str, ...]
    sources: tuple[str, ...]
    stored: bool
    columns: Mapping[str, str]
    select: str
    ties: Mapping[str, Tie] = field(default_factory=dict)
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def comment(self) -> str:
        """The description and the grain, as the relation's comment has them."""
        return f"{self.description.strip()} {self.grain.strip()}"


def is_personal(description: str) -> bool:
    """Whether a column's description marks it as personal data."""
    return description.rstrip().endswith(_PERSONAL)


def bound(sql: str, connection: str) -> str:
    """SQL of a mart with its two placeholders replaced, for the connection of this name."""
    literal = connection.replace("'", "''")
    return sql.replace("{connection}", f"'{literal}'").replace(
        "{history}", f'"{connection}{HISTORY}"'
    )


def parse(path: Path) -> Mart:
    """The mart that a file declares. The file's name without `.sql` is the mart's.

    Raises:
        MartError: the file cannot be read, or its header is not as it has to be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MartError(path, f"it cannot be read as UTF-8 text: {error}") from None
    if not _NAME.fullmatch(path.stem):
        raise MartError(
            path, "its name is to be of small letters, digits and _, at most 50, a letter first"
        )
    head, select = _split(path, text)
    header = _header(path, head)
    _check(path, header, select)
    values = {name: getattr(header, name) for name in header.__struct_fields__}
    return Mart(name=path.stem, path=path, select=select, **values)


def _split(path: Path, text: str) -> tuple[str, str]:
    start = text.find("/*")
    end = text.find("*/", start)
    if start < 0 or end < 0 or text[:start].strip():
        raise MartError(path, "it has to begin with a header, YAML between /* and */", line=1)
    # The lines before the header stay, so that YAML counts lines as an editor does.
    return text[:start] + text[start + 2 : end], text[end + 2 :].strip().rstrip(";").rstrip()


def _header(path: Path, text: str) -> _Header:
    try:
        return msgspec.convert(yaml.load(text, _LOADER), _Header)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise MartError(path, f"its header is no YAML: {error.problem}", line=line) from None
    except yaml.YAMLError as error:
        raise MartError(path, f"its header is no YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise MartError(path, f"its header cannot be used: {error}") from None


def _check(path: Path, header: _Header, select: str) -> None:
    if not select:
        raise MartError(path, "there is no SELECT after its header")
    if not header.key:
        raise MartError(path, "`key` names no column")
    for what, names in (("key", header.key), *(("indexes", names) for names in header.indexes)):
        if unknown := [name for name in names if name not in header.columns]:
            told = f"`{what}` names {', '.join(unknown)}, which `columns` does not have"
            raise MartError(path, told)
    if header.indexes and not header.stored:
        raise MartError(path, "only what is stored can have `indexes`")
