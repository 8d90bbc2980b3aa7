"""The catalogue as pages for people: one per table, an index, and a diagram of what refers to what.

They follow from the declarations alone.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from brex_sync.streams import EVENT_TABLES, STREAMS, VIEWS
from brex_sync.streams.declare import Child, EventTable, Parent, RefreshPolicy, Stream, Table, View
from brex_sync.warehouse.load.snapshots import daily_of
from brex_sync.warehouse.schema.declared import table_of
from brex_sync.warehouse.schema.history import SUFFIX, versions_of
from docs.generator import markdown

SCHEMA = "brex"
"""The schema that pages show: that of the connection called so, as the first one is."""
FILLED = (*STREAMS.values(), *EVENT_TABLES.values())
"""What Brex fills with rows, by lists and by events."""
_POSTGRES: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def pages() -> dict[str, str]:
    """Every page by its file name."""
    made = {f"{s.name}.md": _stream_page(s) for s in FILLED}
    made |= {f"{c.name}.md": _child_page(s, c) for s in FILLED for c in s.children}
    made |= {f"{view.name}.md": _view_page(view) for view in VIEWS.values()}
    return {"README.md": _index(), **made}


def write(folder: Path) -> None:
    """Writes the pages, and removes those of tables that are no more."""
    markdown.write(folder, pages())


def _index() -> str:
    tables: list[tuple[Table | View, str]] = [(t, s.group) for s in FILLED for t in s.tables()]
    tables += [(view, view.group) for view in VIEWS.values()]
    parts = ["# Tables", "What the warehouse holds, by the groups the Dagster UI shows."]
    for group, members in groupby(sorted(tables, key=itemgetter(1)), key=itemgetter(1)):
        rows = [(f"[{t.name}]({t.name}.md)", _kind(t), t.description) for t, _ in members]
        parts += [f"## {group.capitalize()}", markdown.table(("table", "", "what it holds"), rows)]
    parts += ["## What refers to what", _diagram()]
    return markdown.page(parts)


def _diagram() -> str:
    """The references between tables, those of views left out."""
    tables = [table for stream in FILLED for table in stream.tables()]
    related = [(r.stream, t.name, r.column) for t in tables for r in t.references]
    related += [(s.name, c.name, c.into) for s in FILLED for c in s.children]
    known = {name for one, other, _ in related for name in (one, other)}
    lines = [f"    {one} |o--o{{ {other} : {column}" for one, other, column in related]
    lines += [f"    {table.name}" for table in tables if table.name not in known]
    return "\n".join(["```mermaid", "erDiagram", *lines, "```"])


def _stream_page(stream: Stream) -> str:
    parts = [
        f"# {stream.name}",
        stream.description,
        markdown.table(
            ("", ""), _told(stream) if isinstance(stream, EventTable) else _facts(stream)
        ),
        *_columns(stream),
    ]
    return markdown.page([*parts, *_the_past(stream, stream)])


def _child_page(stream: Stream, child: Child) -> str:
    facts = [
        ("Table", f"`{SCHEMA}.{child.name}`"),
        ("Source", f"`{child.path}` in the rows of [{stream.name}]({stream.name}.md)"),
        ("Key", markdown.code(child.key)),
        ("Freshness", "Written with the row it stands in."),
        ("History", _history(stream)),
    ]
    parts = [
        f"# {child.name}",
        child.description,
        markdown.table(("", ""), facts),
        *_columns(child),
    ]
    return markdown.page([*parts, *_the_past(stream, child)])


def _columns(declared: Table) -> list[str]:
    to = {r.column: f" → [{r.stream}]({r.stream}.md)" for r in declared.references}
    columns = table_of(declared, SCHEMA).columns
    rows = [(f"`{c.name}`", _type(c), f"{c.comment}{to.get(c.name, '')}") for c in columns]
    return ["## Columns", markdown.table(("column", "type", "meaning"), rows)]


def _facts(stream: Stream) -> Iterator[tuple[str, str]]:
    yield "Table", f"`{SCHEMA}.{stream.name}`"
    yield "Source", f"`GET {stream.path}`"
    yield "Scope", f"`{stream.scope}`"
    yield "Key", markdown.code(stream.key)
    if stream.parent is not None:
        yield "Lists", f"One per row of [{stream.parent.stream}]({stream.parent.stream}.md)."
    yield "Freshness", _freshness(stream)
    yield "Deletions", _deletions(stream)
    yield "History", _history(stream)


def _told(table: EventTable) -> Iterator[tuple[str, str]]:
    yield "Table", f"`{SCHEMA}.{table.name}`"
    yield "Source", f"Events of type `{table.event}`"
    yield "Scope", f"`{table.scope}`"
    yield "Key", markdown.code(table.key)
    yield "Freshness", "Seconds after the event; an event that never comes leaves no row."
    yield "Deletions", "None."
    yield "History", _history(table)


def _freshness(stream: Stream) -> str:
    if stream.parent is not None and stream.parent.refresh is not None:
        return _freshness_of_lists(stream.parent, stream.parent.refresh)
    if stream.window is None:
        return "Read whole at every sync."
    return (
        f"Every sync reads from {stream.window.overlap.days} days before the newest "
        f"`{stream.window.column}` on; what changes further back shows when reconciled."
    )


def _freshness_of_lists(declared: Parent, policy: RefreshPolicy) -> str:
    hours = policy.max_age // timedelta(hours=1)
    over = " or ".join(f"`{name}`" for name in policy.after)
    going_on = f", until {policy.grace.days} days after {over} at every sync" if over else ""
    parent = f"[{declared.stream}]({declared.stream}.md)"
    return (
        f"A list is read at the next sync after its row of {parent} has changed{going_on}, and "
        f"{hours} hours after it was last read."
    )


def _deletions(stream: Stream) -> str:
    if stream.item_path is not None:
        return f"Proved by asking for the row: `GET {stream.item_path}`."
    return "Proved by listing again."


def _history(stream: Stream) -> str:
    if stream.history:
        return "Every version of every row."
    return "Every version of rows that change." if stream.ledger else "None."


def _the_past(stream: Stream, declared: Table) -> list[str]:
    """What is kept of the past of a stream's table, or of one of its children's."""
    table, kept = table_of(declared, SCHEMA), []
    if stream.history or stream.ledger:
        kept.append(_of_the_past(versions_of(stream, table), table))
    if declared is stream and stream.snapshot:
        kept.append(_of_the_past(daily_of(table, stream), table))
    return ["## The past", *kept] if kept else []


def _of_the_past(past: sa.Table, present: sa.Table) -> str:
    """What such a table is, and the columns it has besides those of the present one."""
    own = [c for c in past.columns if c.name not in present.c or c.name == "_changed_at"]
    rows = [(f"`{c.name}`", _type(c), c.comment or "") for c in own]
    kept = [c.name for c in past.columns if c not in own]
    columns = "the columns above" if "_raw" in kept else markdown.code(kept)
    return (
        f"`{SCHEMA}{SUFFIX}.{past.name}`: {past.comment} It has {columns}, and\n\n"
        f"{markdown.table(('column', 'type', 'meaning'), rows)}"
    )


def _view_page(view: View) -> str:
    sources = ", ".join(f"[{name}]({name}.md)" for name in view.sources)
    rows = [(f"`{f.name}`", str(f.kind), f.description) for f in view.fields]
    facts = [("View", f"`{SCHEMA}.{view.name}`"), ("Reads", sources)]
    return markdown.page(
        [
            f"# {view.name}",
            view.description,
            markdown.table(("", ""), facts),
            "## Columns",
            markdown.table(("column", "type", "meaning"), rows),
        ]
    )


def _kind(table: Table | View) -> str:
    return "view" if isinstance(table, View) else "table"


def _type(column: "sa.Column[Any]") -> str:
    kind = column.type.compile(_POSTGRES).lower()
    return kind.replace("timestamp with time zone", "timestamptz")
