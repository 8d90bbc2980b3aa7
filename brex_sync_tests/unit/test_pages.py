"""What is generated in docs/ and the README is what `make docs` writes of the declarations."""

import re
from pathlib import Path

import pytest

import brex_sync.errors
from brex_sync.errors import BrexSyncError
from brex_sync.streams import EVENT_TABLES, STREAMS, VIEWS
from brex_sync.workflows import load
from docs.generator import errors, streams, workflows
from docs.generator.markdown import sections_of, with_sections
from docs.generator.sections import PAGES, written
from docs.generator.tables import pages, write

FOLDER = Path(__file__).parents[2] / "docs" / "tables"


def test_the_pages_are_as_the_declarations_say() -> None:
    written = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert written == pages(), "run `make docs` and commit what it writes"


def test_the_page_of_errors_tells_the_tree_as_it_is() -> None:
    assert (FOLDER.parent / "errors.md").read_text() == errors.page(), "run `make docs`"
    tree = [one for one in vars(brex_sync.errors).values() if isinstance(one, type)]
    for error in (one for one in tree if issubclass(one, Exception)):
        assert issubclass(error, BrexSyncError)
        assert f"`{error.__name__}` | {error.__doc__.split()[0]}" in errors.page()
        assert error.remedy.endswith(".")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_generated_sections_are_as_the_declarations_say(path: Path) -> None:
    assert path.read_text() == written()[path], "run `make docs` and commit what it writes"
    assert sections_of(path.read_text()) == list(PAGES[path])


def test_a_section_is_replaced_and_the_rest_of_the_page_is_kept() -> None:
    page = "a\n<!-- generated: one -->\nold\n<!-- end -->\nb\n"
    made = with_sections(page, {"one": lambda: "new \\1"})
    assert made == "a\n<!-- generated: one -->\nnew \\1\n<!-- end -->\nb\n"
    with pytest.raises(KeyError, match="one"):
        with_sections(page, {})


@pytest.mark.parametrize("name", load())
def test_the_tables_of_workflows_tell_inputs_scopes_and_confirmation(name: str) -> None:
    one = load()[name]
    (row,) = [line for line in workflows.details().splitlines() if f"| `{name}` |" in line]
    told = set(re.findall(r"`([^`]+)`", row.rpartition(" | ")[2]))
    assert told == one.scopes
    for field in one.inputs.model_fields:
        assert f"`{field}`" in row
    assert f"| {one.confirm_when} |" in row
    assert f"| `{name}` |" in workflows.summary()


def test_the_readme_names_every_table_and_its_scope() -> None:
    told = streams.overview()
    for stream in (*STREAMS.values(), *EVENT_TABLES.values()):
        assert re.search(rf"\[`{stream.name}`\].* \| `{re.escape(stream.scope)}`", told)
        for child in stream.children:
            assert f"[`{child.name}`](docs/tables/{child.name}.md)" in told
    assert all(f"[`{name}`]" in told for name in VIEWS)


def test_writing_removes_the_pages_of_tables_that_are_no_more(tmp_path: Path) -> None:
    (tmp_path / "forgotten.md").write_text("old")
    write(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == pages()


@pytest.mark.parametrize("name", STREAMS)
def test_a_page_tells_every_column_and_where_it_comes_from(name: str) -> None:
    page, stream = pages()[f"{name}.md"], STREAMS[name]
    for field in stream.fields():
        assert f"| `{field.name}` | {field.kind.value} | {field.description}" in page
    assert f"`GET {stream.path}`" in page
    assert f"`{stream.scope}`" in page
    assert "| Freshness |" in page
    assert (f"`brex_history.{name}`: Every version" in page) is stream.history
    assert (f"`brex_history.{name}`: The versions" in page) is bool(
        stream.ledger and not stream.history
    )
    assert (f"`brex_history.{name}_daily`" in page) is bool(stream.snapshot)


def test_the_index_names_every_table_and_draws_every_reference() -> None:
    index = pages()["README.md"]
    for name in (*STREAMS, *VIEWS):
        assert f"[{name}]({name}.md)" in index
    drawn = index.partition("```mermaid")[2]
    for stream in STREAMS.values():
        assert stream.name in drawn
        for reference in stream.references:
            assert f"{reference.stream} |o--o{{ {stream.name} : {reference.column}" in drawn


def test_every_link_leads_to_a_page() -> None:
    made = pages()
    for page in made.values():
        assert set(re.findall(r"\]\(([^)]+\.md)\)", page)) <= set(made)
