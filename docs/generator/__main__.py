"""Writes every generated page of docs/."""

from pathlib import Path

from docs.generator import errors, tables

DOCS = Path(__file__).parents[1]

if __name__ == "__main__":
    tables.write(DOCS / "tables")
    DOCS.joinpath("errors.md").write_text(errors.page())
