"""A dbt package that declares the tables of a connection as sources.

dbt is not a dependency: the package is files, written from the declarations.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml
from sqlalchemy.dialects import postgresql

from brex_sync.errors import ExportError
from brex_sync.marts.declare import Mart
from brex_sync.marts.session import schema_of
from brex_sync.streams import EVENT_TABLES, VIEWS
from brex_sync.streams.declare import Stream, View
from brex_sync.warehouse.load.snapshots import daily_of
from brex_sync.warehouse.schema.declared import table_of
from brex_sync.warehouse.schema.history import keeps, versions_of

MARKER = "# Written by `brex-sync dbt-package`; run it again rather than editing this file.\n"
_POSTGRES: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_PROJECT = {
    "name": "brex_sync",
    "version": "1.0.0",
    "config-version": 2,
    "require-dbt-version": [">=1.10.0", "<2.0.0"],
    "model-paths": ["models"],
    "macro-paths": ["macros"],
}
_UNIQUE_KEY = """\
{# Keys that several rows have and, where keys have to be complete, those that lack a part. #}
{% test unique_key(model, columns, complete=true) %}
select {{ columns | join(", ") }}, count(*) as times
from {{ model }}
group by {{ columns | join(", ") }}
having count(*) > 1
{%- if complete %}{% for column in columns %} or {{ column }} is null{% endfor %}{% endif %}
{% endtest %}
"""


@dataclass(frozen=True, slots=True)
class Package:
    """What the package declares.

    `late` and `overdue` are the ages of a table's last sync after which `dbt source freshness`
    warns and fails.
    """

    connection: str
    streams: tuple[Stream, ...]
    marts: tuple[Mart, ...]
    late: timedelta
    overdue: timedelta

    def files(self) -> dict[str, str]:
        """The package's files by their paths in it."""
        name, marts = self.connection, schema_of(self.connection)
        return {
            "dbt_project.yml": _yaml(_PROJECT),
            "macros/unique_key.sql": _UNIQUE_KEY,
            f"models/{name}.yml": _source(
                name, f"The Brex account {name}, synced by brex_sync.", self._tables()
            ),
            f"models/{name}_history.yml": _source(
                f"{name}_history", f"Earlier versions of rows of {name}.", self._history()
            ),
            f"models/{marts}.yml": _source(
                marts, f"Answers made from the tables of {name}.", self._marts()
            ),
        }

    def _tables(self) -> Iterator[dict[str, Any]]:
        for stream in self.streams:
            for table in stream.tables():
                declared = _table(table_of(table, self.connection), table.key)
                yield declared | {"config": self._config(table.name) | self._freshness(stream)}
        for event_table in EVENT_TABLES.values():
            declared = _table(table_of(event_table, self.connection), event_table.key)
            yield declared | {"config": self._config(event_table.name)}
        for view in VIEWS.values():
            yield _view(view) | {"config": self._config(view.name)}

    def _history(self) -> Iterator[dict[str, Any]]:
        for stream in self.streams:
            for table in stream.tables() if keeps(stream) else ():
                past = versions_of(stream, table_of(table, self.connection))
                yield _table(past, (*table.key, "_valid_from"))
            if stream.snapshot:
                daily = daily_of(table_of(stream, self.connection), stream)
                yield _table(daily, tuple(str(column.name) for column in daily.primary_key))

    def _marts(self) -> Iterator[dict[str, Any]]:
        for mart in self.marts:
            columns = [{"name": name, "description": told} for name, told in mart.columns.items()]
            yield {
                "name": mart.name,
                "description": mart.comment,
                "columns": columns,
                "data_tests": [_key_test(mart.key, complete=False)],
                "config": _asset(schema_of(self.connection), mart.name),
            }

    def _config(self, table: str) -> dict[str, Any]:
        return _asset(self.connection, table)

    def _freshness(self, stream: Stream) -> dict[str, Any]:
        """When the table was last synced, which the log of runs knows: a table in which nothing
        changes is fresh nevertheless."""
        query = (
            "select max(finished_at) from brex_sync.run_streams "
            f"where connection = '{self.connection}' and stream = '{stream.name}' "
            "and state = 'finished'"
        )
        return {
            "loaded_at_query": query,
            "freshness": {"warn_after": _age(self.late), "error_after": _age(self.overdue)},
        }


def write(package: Package, folder: Path) -> list[Path]:
    """Writes the package into `folder` and returns its files.

    Raises:
        ExportError: a file there was not written by this command, or the folder cannot be written.
    """
    paths = {folder / name: text for name, text in package.files().items()}
    try:
        for path in paths:
            if path.exists() and not path.read_text().startswith((MARKER, _UNIQUE_KEY[:20])):
                raise ExportError(
                    f"{path} is not a file of `brex-sync dbt-package`: choose another folder"
                )
        for path, text in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror}") from error
    return list(paths)


def _source(name: str, description: str, tables: Iterable[dict[str, Any]]) -> str:
    source = {"name": name, "schema": name, "description": description, "tables": list(tables)}
    return _yaml({"version": 2, "sources": [source]})


def _table(table: sa.Table, key: tuple[str, ...]) -> dict[str, Any]:
    columns = [
        {
            "name": str(column.name),
            "description": column.comment or "",
            "data_type": column.type.compile(_POSTGRES).lower(),
        }
        for column in table.columns
    ]
    return {
        "name": str(table.name),
        "description": table.comment or "",
        "columns": columns,
        "data_tests": [_key_test(key)],
    }


def _view(view: View) -> dict[str, Any]:
    columns = [{"name": f.name, "description": f.description} for f in view.fields]
    return {"name": view.name, "description": view.description, "columns": columns}


def _key_test(key: Iterable[str], *, complete: bool = True) -> dict[str, Any]:
    arguments: dict[str, Any] = {"columns": [f'"{name}"' for name in key]}
    return {"unique_key": {"arguments": arguments | ({} if complete else {"complete": False})}}


def _asset(*key: str) -> dict[str, Any]:
    return {"meta": {"dagster": {"asset_key": list(key)}}}


def _age(age: timedelta) -> dict[str, Any]:
    return {"count": age // timedelta(minutes=1), "period": "minute"}


def _yaml(content: dict[str, Any]) -> str:
    return MARKER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
