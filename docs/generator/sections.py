"""Which pages have generated sections, and what these are generated from."""

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generator import streams, workflows
from docs.generator.markdown import with_sections

DOCS = Path(__file__).parents[1]
PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    DOCS.parent / "README.md": {"streams": streams.overview, "workflows": workflows.summary},
    DOCS / "workflows.md": {"workflows": workflows.details},
}


def written() -> dict[Path, str]:
    """Returns the pages with their generated sections written again, by path."""
    return {path: with_sections(path.read_text(), sections) for path, sections in PAGES.items()}
