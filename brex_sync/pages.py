"""The catalogue as pages for people: one per table, an index, and a diagram of what refers to what.

`python -m brex_sync.pages FOLDER` writes them; they follow from the declarations alone.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from brex_sync.streams import STREAMS, VIEWS
from brex_sync.streams.declare import Stream, View
from brex_sync.warehouse.history import SUFFIX, versions_of
from brex_sync.warehouse.snapshots import daily_of
from brex_sync.warehouse.tables import table_of

SCHEMA = "brex"
"""The schema that pages show: that of the connection called so, as the first one is."""
NOTE = "<!-- Written by `make docs` from the declarations; change those. -->"
_POSTGRES: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def pages() -> dict[str, str]:
    """Every page by its file name."""
    made = {f"{stream.name}.md": _stream_page(stream) for stream in STREAMS.values()}
    made |= {f"{view.name}.md": _view_page(view) for view in VIEWS.values()}
    return {"README.md": _index(), **made}


def write(folder: Path) -> None:
    """Writes the pages, and removes those of tables that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for old in folder.glob("*.md"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        folder.joinpath(name).write_text(text)


def _index() -> str:
    tables: list[Stream | View] = [*STREAMS.values(), *VIEWS.values()]
    parts = ["# Tables", "What the warehouse holds, by the groups the Dagster UI shows."]
    grouped = groupby(sorted(tables, key=lambda t: t.group), key=lambda t: t.group)
    for group, members in grouped:
        rows = [(f"[{t.name}]({t.name}.md)", _kind(t), t.description) for t in members]
        parts += [f"## {group.capitalize()}", _table(("table", "", "what it holds"), rows)]
    parts += ["## What refers to what", _diagram()]
    return _page(parts)


def _diagram() -> str:
    """The references between tables, those of views left out."""
    lines = ["```mermaid", "erDiagram"]
    for stream in STREAMS.values():
        for reference in stream.references:
            lines.append(f"    {reference.stream} |o--o{{ {stream.name} : {reference.column}")
    alone = [s.name for s in STREAMS.values() if not _is_related(s)]
    return "\n".join([*lines, *(f"    {name}" for name in alone), "```"])


def _is_related(stream: Stream) -> bool:
    return bool(stream.references) or any(
        reference.stream == stream.name for s in STREAMS.values() for reference in s.references
    )


def _stream_page(stream: Stream) -> str:
    table = table_of(stream, SCHEMA)
    to = {r.column: f" → [{r.stream}]({r.stream}.md)" for r in stream.references}
    rows = [(f"`{c.name}`", _type(c), f"{c.comment}{to.get(c.name, '')}") for c in table.columns]
    parts = [
        f"# {stream.name}",
        stream.description,
        _table(("", ""), _facts(stream)),
        "## Columns",
        _table(("column", "type", "meaning"), rows),
    ]
    if past := list(_past(stream, table)):
        parts += ["## The past", *past]
    return _page(parts)


def _facts(stream: Stream) -> Iterator[tuple[str, str]]:
    yield "Table", f"`{SCHEMA}.{stream.name}`"
    yield "Source", f"`GET {stream.path}`"
    yield "Scope", f"`{stream.scope}`"
    yield "Key", ", ".join(f"`{name}`" for name in stream.key)
    if stream.per is not None:
        yield "Lists", f"One per row of [{stream.per.stream}]({stream.per.stream}.md)."
    yield "Freshness", _freshness(stream)
    yield "Deletions", _deletions(stream)
    yield "History", "Every version of every row." if stream.history else _no_history(stream)


def _freshness(stream: Stream) -> str:
    if stream.window is None:
        return "Read whole at every sync."
    return (
        f"Every sync reads from {stream.window.overlap.days} days before the newest "
        f"`{stream.window.column}` on; what changes further back shows when reconciled."
    )


def _deletions(stream: Stream) -> str:
    if stream.item_path is not None:
        return f"Proved by asking for the row: `GET {stream.item_path}`."
    return "Proved by listing again."


def _no_history(stream: Stream) -> str:
    return "Every version of rows that change." if stream.booked else "None."


def _past(stream: Stream, table: sa.Table) -> Iterator[str]:
    if stream.history or stream.booked:
        yield _of_the_past(versions_of(stream, table), table)
    if stream.snapshot:
        yield _of_the_past(daily_of(table, stream), table)


def _of_the_past(past: sa.Table, present: sa.Table) -> str:
    """What such a table is, and the columns it has besides those of the present one."""
    own = [c for c in past.columns if c.name not in present.c or c.name == "_changed_at"]
    rows = [(f"`{c.name}`", _type(c), c.comment or "") for c in own]
    kept = [f"`{c.name}`" for c in past.columns if c not in own]
    columns = "the columns above" if len(kept) > len(present.c) / 2 else ", ".join(kept)
    return (
        f"`{SCHEMA}{SUFFIX}.{past.name}`: {past.comment} It has {columns}, and\n\n"
        f"{_table(('column', 'type', 'meaning'), rows)}"
    )


def _view_page(view: View) -> str:
    sources = ", ".join(f"[{name}]({name}.md)" for name in view.sources)
    rows = [(f"`{f.name}`", str(f.kind), f.description) for f in view.fields]
    facts = [("View", f"`{SCHEMA}.{view.name}`"), ("Reads", sources)]
    return _page(
        [
            f"# {view.name}",
            view.description,
            _table(("", ""), facts),
            "## Columns",
            _table(("column", "type", "meaning"), rows),
        ]
    )


def _kind(table: Stream | View) -> str:
    return "view" if isinstance(table, View) else "table"


def _type(column: "sa.Column[Any]") -> str:
    kind = column.type.compile(_POSTGRES).lower()
    return kind.replace("timestamp with time zone", "timestamptz")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join([NOTE, *parts]) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
