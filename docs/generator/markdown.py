"""Markdown: tables, and the generated sections of pages that are otherwise written by hand."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

_NOTE = "<!-- Written by `make docs` from the declarations; change those. -->"
_SECTION = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Returns a table. A `|` in a cell is escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def page(parts: Iterable[str]) -> str:
    """Returns a page that is generated as a whole, of these parts."""
    return "\n\n".join([_NOTE, *parts]) + "\n"


def write(folder: Path, pages: Mapping[str, str]) -> None:
    """Writes pages by their file names, and removes other pages from the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        folder.joinpath(name).write_text(text)


def code(names: Iterable[str]) -> str:
    """Returns the names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def first_sentence(text: str) -> str:
    """Returns the first sentence of a description, in one line."""
    return " ".join(text.split()).partition(". ")[0].removesuffix(".")


def with_sections(page: str, sections: Mapping[str, Callable[[], str]]) -> str:
    """Returns a page with its generated sections written again.

    A section stands between the lines `<!-- generated: NAME -->` and `<!-- end -->`.

    Raises:
        KeyError: the page has a section that is not in `sections`.
    """
    return _SECTION.sub(lambda found: f"{found[1]}{sections[found[2]]()}\n{found[3]}", page)


def sections_of(page: str) -> list[str]:
    """Returns the names of a page's generated sections, in order."""
    return [found[2] for found in _SECTION.finditer(page)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
