"""Exports hold exactly what the tables hold, part by part."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from brex_sync.errors import ExportError
from brex_sync.runtime.export import Export
from brex_sync.runtime.formats import Format
from brex_sync.warehouse.export import ExportSource, relation, relations
from brex_sync_tests.conftest import Rig

ODD = (
    "plain",
    "",
    None,
    'quotes " and, commas',
    "two\nlines\r\nand a\ttab",
    "=HYPERLINK(1)",
    "-5",
    "\\.",
    "NULL",
    "\\N",
    "žluťoučký 🐎 \u202e",
    "x" * 100_000,
)
BIG = Decimal("123456789012345678901234567890.123456789012345678901234567890")


@pytest.fixture
def odd(engine: sa.Engine) -> ExportSource:
    """A table with every type a table of ours or of a person may have, and odd values."""
    with engine.begin() as db:
        db.exec_driver_sql(
            "CREATE TABLE brex.odd (n bigint, said text, amount numeric, big numeric, "
            "whole integer, ok boolean, day date, at timestamptz, raw jsonb, names text[], "
            "_changed_at timestamptz)"
        )
        for n, text in enumerate(ODD):
            db.execute(
                sa.text(
                    "INSERT INTO brex.odd VALUES (:n, :said, :amount, :big, :whole, :ok, :day, "
                    ":at, CAST(:raw AS jsonb), :names, :at)"
                ),
                {
                    "n": 2**63 - 1 - n,
                    "said": text,
                    "amount": None if n == 1 else Decimal(n) / 100,
                    "big": BIG if n == 2 else Decimal(n),
                    "whole": None if n == 3 else n,
                    "ok": (True, False, None)[n % 3],
                    "day": date(1, 1, 1) if n == 4 else date(2026, 11, 27),
                    "at": datetime(2026, 11, 27, 9, 0, n, 123456, tzinfo=UTC),
                    "raw": None if n == 5 else json.dumps({"said": text, "list": [1.50, None]}),
                    "names": None if n == 6 else [text or "a", 'b"c'],
                },
            )
    return relation(engine, "brex", "odd")


def rows_of(folder: Path, pattern: str = "**/*.parquet") -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob(pattern)) for row in pq.read_table(path).to_pylist()]


def test_parquet_has_every_value_exactly(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    done = Export(engine, tmp_path, Format.PARQUET).run(odd)
    with engine.connect() as db:
        stored = db.execute(sa.text("SELECT * FROM brex.odd ORDER BY _changed_at")).mappings().all()
    found = rows_of(tmp_path)
    assert done.rows == len(found) == len(ODD)
    for row, kept in zip(found, stored, strict=True):
        assert row["raw"] is None if kept["raw"] is None else json.loads(row["raw"]) == kept["raw"]
        names = row["names"]
        assert names is None if kept["names"] is None else json.loads(names) == kept["names"]
        assert row["big"] == str(kept["big"]), "too many digits for a decimal of Parquet"
        same = ("n", "said", "amount", "whole", "ok", "day", "at", "_changed_at")
        assert {name: row[name] for name in same} == {name: kept[name] for name in same}


def test_csv_has_every_value_exactly(engine: sa.Engine, odd: ExportSource, tmp_path: Path) -> None:
    done = Export(engine, tmp_path, Format.CSV).run(odd)
    assert done.path is not None
    with done.path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert done.rows == len(found) == len(ODD)
    assert [row["said"] for row in found] == [text or "" for text in ODD]
    assert found[2]["big"] == str(BIG)
    assert found[0]["at"] == "2026-11-27T09:00:00.123456Z"
    raw = done.path.read_text(encoding="utf-8")
    assert f'{2**63 - 1 - 1},"",' in raw, "an empty text is quoted"
    assert f"{2**63 - 1 - 2},,0.02" in raw, "a null is not"


def test_texts_that_are_formulas_are_marked_for_spreadsheets(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    done = Export(engine, tmp_path, Format.CSV, safe=True).run(odd)
    assert done.path is not None
    with done.path.open(encoding="utf-8", newline="") as file:
        said = [row["said"] for row in csv.DictReader(file)]
    assert said[5:7] == ["'=HYPERLINK(1)", "'-5"]
    assert said[3] == ODD[3]


def test_a_second_export_has_only_what_changed(company: Rig, tmp_path: Path) -> None:
    company.sync("users")
    users = relation(company.engine, "brex", "users")
    export = Export(company.engine, tmp_path, Format.PARQUET)
    first = export.run(users)
    assert first.rows == company.one("SELECT count(*) FROM brex.users")
    assert export.run(users).path is None, "nothing changed"
    with company.engine.begin() as db:
        db.exec_driver_sql(
            "UPDATE brex.users SET first_name = 'Ada', _changed_at = now() "
            "WHERE id = (SELECT min(id) FROM brex.users)"
        )
    second = export.run(users)
    assert second.rows == 1
    assert [row["first_name"] for row in rows_of(tmp_path, "**/part-00001.parquet")] == ["Ada"]
    assert export.run(users, full=True).rows == first.rows
    assert len(rows_of(tmp_path)) == first.rows, "older parts are gone"


def test_a_transaction_in_progress_is_left_to_the_next_export(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    export = Export(engine, tmp_path, Format.PARQUET)
    with engine.connect() as slow, slow.begin():
        slow.exec_driver_sql("INSERT INTO brex.odd (n, _changed_at) VALUES (1, now())")
        with engine.begin() as quick:
            quick.exec_driver_sql("INSERT INTO brex.odd (n, _changed_at) VALUES (2, now())")
        assert export.run(odd).rows == len(ODD), "neither, as the older one is not committed"
    assert export.run(odd).rows == 2
    assert {row["n"] for row in rows_of(tmp_path)} >= {1, 2}
    assert len(rows_of(tmp_path)) == len(ODD) + 2, "nothing twice"


def test_rows_written_meanwhile_are_in_exactly_one_part(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    export = Export(engine, tmp_path, Format.PARQUET)

    def write(first: int) -> None:
        for n in range(first, first + 50):
            with engine.begin() as db:
                db.exec_driver_sql(f"INSERT INTO brex.odd (n, _changed_at) VALUES ({n}, now())")

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, first) for first in (1000, 2000, 3000)]
        while not all(one.done() for one in writing):
            export.run(odd)
        for one in writing:
            one.result()
    export.run(odd)
    found = [row["n"] for row in rows_of(tmp_path) if 1000 <= row["n"] < 4000]
    assert sorted(found) == [*range(1000, 1050), *range(2000, 2050), *range(3000, 3050)]


def test_an_export_that_was_killed_is_repeated(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    export = Export(engine, tmp_path, Format.PARQUET)
    export.run(odd)
    (tmp_path / "brex" / "odd" / "export.json").unlink()
    (tmp_path / "brex" / "odd" / ".part-00001.parquet.unfinished").write_bytes(b"half")
    assert export.run(odd).rows == len(ODD)
    assert len(rows_of(tmp_path)) == len(ODD)


def test_a_view_is_one_file_that_is_replaced(company: Rig, tmp_path: Path) -> None:
    company.sync("card_transactions", "cards", "users")
    view = relation(company.engine, "brex", "transactions")
    export = Export(company.engine, tmp_path, Format.CSV)
    with company.engine.begin() as db:
        db.exec_driver_sql(
            "CREATE VIEW brex.spent AS SELECT amount, _raw FROM brex.card_transactions"
        )
    spent = relation(company.engine, "brex", "spent")
    for _ in range(2):
        assert export.run(spent).rows == company.one("SELECT count(*) FROM brex.spent")
    assert [path.name for path in (tmp_path / "brex").iterdir()] == ["spent.csv"]
    assert view.is_incremental


def test_one_nullable_column_keeps_its_nulls(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as db:
        db.exec_driver_sql(
            "CREATE VIEW brex.few AS SELECT * FROM (VALUES ('a'), (NULL), ('')) v(x)"
        )
    Export(engine, tmp_path, Format.PARQUET).run(relation(engine, "brex", "few"))
    assert [row["x"] for row in rows_of(tmp_path)] == ["a", None, ""]


def test_many_digits_are_text(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as db:
        db.exec_driver_sql(f"CREATE VIEW brex.long AS SELECT {'9' * 90}.5 AS x")
    Export(engine, tmp_path, Format.PARQUET).run(relation(engine, "brex", "long"))
    assert [row["x"] for row in rows_of(tmp_path)] == [f"{'9' * 90}.5"]


def test_what_parquet_cannot_hold_is_one_sentence(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as db:
        db.exec_driver_sql("CREATE VIEW brex.nan AS SELECT 'NaN'::numeric AS x")
    with pytest.raises(ExportError, match=r"brex\.nan has a value that Parquet cannot hold"):
        Export(engine, tmp_path, Format.PARQUET).run(relation(engine, "brex", "nan"))
    assert list(tmp_path.glob("**/*.parquet")) == []


@pytest.fixture
def another(engine: sa.Engine, odd: ExportSource, tmp_path: Path) -> Export:
    Export(engine, tmp_path, Format.CSV).run(odd)
    return Export(engine, tmp_path, Format.PARQUET)


def test_another_format_needs_another_folder(another: Export, odd: ExportSource) -> None:
    with pytest.raises(ExportError, match="has an export as csv"):
        another.run(odd)
    assert another.run(odd, full=True).rows == len(ODD)


def test_a_damaged_state_says_what_to_do(another: Export, odd: ExportSource) -> None:
    (another.folder / "brex" / "odd" / "export.json").write_text("{")
    with pytest.raises(ExportError, match="--full"):
        another.run(odd)


def test_a_folder_that_cannot_be_written_is_named(
    engine: sa.Engine, odd: ExportSource, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=f"cannot write to {tmp_path / 'file'}"):
        Export(engine, tmp_path / "file", Format.CSV).run(odd)


def test_every_table_of_a_company_can_be_exported(company: Rig, tmp_path: Path) -> None:
    company.sync()
    export = Export(company.engine, tmp_path, Format.PARQUET)
    for name in relations(company.engine, "brex"):
        rows = export.run(relation(company.engine, "brex", name)).rows
        assert rows == company.one(f'SELECT count(*) FROM brex."{name}"'), name
