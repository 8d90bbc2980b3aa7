"""Writes every generated page of docs/, and the generated sections of the others."""

from docs.generator import errors, marts, tables
from docs.generator.sections import DOCS, written

if __name__ == "__main__":
    tables.write(DOCS / "tables")
    marts.write(DOCS / "marts")
    DOCS.joinpath("errors.md").write_text(errors.page())
    for path, page in written().items():
        path.write_text(page)
