"""Files of marts: what is read of them, and what is said of those that cannot be used."""

from pathlib import Path

import pytest

from brex_sync.errors import MartError
from brex_sync.marts.catalogue import load, shipped, tables
from brex_sync.marts.declare import bound, is_personal, parse

HEADER = """description: Users.
grain: One row per user.
key: [id]
sources: [users]
stored: false
columns: {id: The user.}
"""


def written(folder: Path, header: str = HEADER, select: str = "SELECT id FROM users") -> Path:
    path = folder / "mine.sql"
    path.write_text(f"/*\n{header}*/\n{select}\n")
    return path


def test_every_shipped_mart_is_declared_whole(tmp_path: Path) -> None:
    catalogue = load()
    assert catalogue.faults == {}
    assert {path.stem for path in shipped().glob("*.sql")} == set(catalogue.marts)
    for mart in catalogue.marts.values():
        assert next(iter(mart.columns)) == "connection"
        assert "connection" in mart.key
        assert mart.grain.startswith("One row per ")
        assert all(text.rstrip().endswith((".", "?")) for text in mart.columns.values())


def test_each_mart_comes_after_those_it_reads() -> None:
    marts = load().marts
    places = {name: place for place, name in enumerate(marts)}
    for name, mart in marts.items():
        assert all(places[s] < places[name] for s in mart.sources if s in places)


def test_a_mart_of_one_s_own_is_added_by_one_file(tmp_path: Path) -> None:
    written(tmp_path)
    catalogue = load(tmp_path)
    assert set(catalogue.marts) == {*load().marts, "mine"}
    assert catalogue.tables_of(catalogue.marts["mine"]) == {"users"}


def test_a_file_replaces_the_shipped_mart_of_its_name(tmp_path: Path) -> None:
    written(tmp_path).rename(tmp_path / "people.sql")
    assert load(tmp_path).marts["people"].key == ("id",)


def test_placeholders_become_a_literal_and_a_schema() -> None:
    sql = bound("SELECT {connection}, '{}' FROM {history}.users", "acme")
    assert sql == "SELECT 'acme', '{}' FROM \"acme_history\".users"


def test_the_tables_below_marts_are_known_through_other_marts() -> None:
    catalogue = load()
    below = catalogue.tables_of(catalogue.marts["spend_by_month"])
    assert {"expenses", "card_transactions", "users"} <= below <= tables()


@pytest.mark.parametrize(
    ("header", "select", "told"),
    [
        ("key: [id\n", "SELECT 1", "line 3: its header is no YAML"),
        (HEADER.replace("grain: One row per user.\n", ""), "SELECT 1", "field `grain`"),
        (HEADER.replace("false", "'no'"), "SELECT 1", "$.stored"),
        (HEADER + "colour: red\n", "SELECT 1", "unknown field `colour`"),
        (HEADER.replace("[id]", "[]"), "SELECT 1", "`key` names no column"),
        (HEADER.replace("[id]", "[uid]"), "SELECT 1", "`key` names uid"),
        (HEADER + "indexes: [[id]]\n", "SELECT 1", "only what is stored"),
        (HEADER, ";", "no SELECT after its header"),
        ("- 1\n", "SELECT 1", "its header cannot be used"),
    ],
)
def test_a_bad_file_is_told_of_by_name_and_leaves_the_others(
    tmp_path: Path, header: str, select: str, told: str
) -> None:
    path = written(tmp_path, header, select)
    catalogue = load(tmp_path)
    assert set(catalogue.marts) == set(load().marts)
    error = catalogue.faults["mine"]
    assert str(error).startswith(str(path))
    assert told in str(error)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1", "has to begin with a header"),
        ("SELECT 1 /* description: x */", "has to begin with a header"),
        ("", "has to begin with a header"),
        ("\xff", "cannot be read as UTF-8"),
    ],
)
def test_a_file_without_a_header_is_no_mart(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.sql").write_bytes(text.encode("latin-1"))
    with pytest.raises(MartError, match=told):
        parse(tmp_path / "mine.sql")


def test_a_byte_order_mark_and_a_semicolon_do_no_harm(tmp_path: Path) -> None:
    path = written(tmp_path, select="SELECT id FROM users;\n")
    path.write_text(f"\ufeff{path.read_text()}")
    assert parse(path).select == "SELECT id FROM users"


@pytest.mark.parametrize("name", ["Mine", "1st", "m" * 51, "a-b"])
def test_a_name_must_do_as_a_name_in_sql(tmp_path: Path, name: str) -> None:
    written(tmp_path).rename(tmp_path / f"{name}.sql")
    assert "its name is to be" in str(load(tmp_path).faults[name])


def test_a_mart_may_not_hide_a_table(tmp_path: Path) -> None:
    written(tmp_path).rename(tmp_path / "users.sql")
    assert "called users already" in str(load(tmp_path).faults["users"])


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    written(tmp_path, HEADER.replace("[users]", "[users, userz]"))
    assert "names userz" in str(load(tmp_path).faults["mine"])


def test_marts_that_read_each_other_are_both_refused_and_so_is_what_reads_them(
    tmp_path: Path,
) -> None:
    for name, source in (("a", "b"), ("b", "a"), ("c", "a"), ("d", "d")):
        written(tmp_path, HEADER.replace("[users]", f"[{source}]")).rename(tmp_path / f"{name}.sql")
    faults = load(tmp_path).faults
    assert set(faults) == {"a", "b", "c", "d"}
    assert all("it reads itself" in str(faults[name]) for name in "abd")
    assert "it reads a, which cannot be made" in str(faults["c"])


def test_what_reads_a_bad_replacement_cannot_be_made_either(tmp_path: Path) -> None:
    written(tmp_path, "key: [\n").rename(tmp_path / "spend.sql")
    assert {"spend", "spend_by_month", "merchants"} <= set(load(tmp_path).faults)


def test_personal_data_is_marked_at_the_end_of_a_description() -> None:
    assert is_personal("Name. Personal data.\n")
    assert not is_personal("Number of columns with personal data.")
