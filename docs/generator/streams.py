"""The tables and views of the warehouse as the README lists them."""

from collections.abc import Iterator

from brex_sync.streams import EVENT_TABLES, STREAMS, VIEWS
from docs.generator.markdown import first_sentence, table


def overview() -> str:
    """Returns a row for each table and view: what it holds, and the scope that it requires."""
    return table(("table or view", "what it holds", "scope"), _rows())


def _rows() -> Iterator[tuple[str, str, str]]:
    for stream in STREAMS.values():
        yield _link(stream.name), first_sentence(stream.description), f"`{stream.scope}`"
        for child in stream.children:
            yield _link(child.name), first_sentence(child.description), f"with `{stream.name}`"
    for told in EVENT_TABLES.values():
        source = f"`{told.scope}`, by [webhooks](docs/webhooks.md)"
        yield _link(told.name), first_sentence(told.description), source
    for view in VIEWS.values():
        yield f"{_link(view.name)} (view)", first_sentence(view.description), ""


def _link(name: str) -> str:
    return f"[`{name}`](docs/tables/{name}.md)"
