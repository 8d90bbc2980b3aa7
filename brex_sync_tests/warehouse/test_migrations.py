"""The internal schema is upgraded to the latest revision, whoever starts first, whatever fails."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from brex_sync.errors import TableMismatch, WarehouseIsNewer
from brex_sync.warehouse.database import INTERNAL, open_engine
from brex_sync.warehouse.internal import internal_metadata
from brex_sync.warehouse.prepare.tables import prepare_internal
from brex_sync.warehouse.schema import catalogue, migrations, versions

REVISION = """
from alembic.operations import Operations
import sqlalchemy as sa

revision, down_revision = {revision!r}, {down!r}


def upgrade(op: Operations) -> None:
    {body}
"""
ADDS = 'op.add_column("runs", sa.Column("added", sa.Text), schema="brex_sync")'
FAILS = 'op.create_table("runs", schema="brex_sync")'
OURS = {"preparing"}
"""What no declaration and no revision makes: the table that is locked."""
_numbers = count()


@pytest.fixture
def url(server: Any) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"unmade{next(_numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield server.url(name)
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def empty(url: str) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    with engine.begin() as db:
        db.execute(sa.schema.CreateSchema(INTERNAL))
    yield engine
    engine.dispose()


def differences(db: sa.Connection) -> list[Any]:
    """What Alembic would change of the schema, to make it as it is declared."""

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return name not in OURS if kind == "table" else kind != "schema" or name == INTERNAL

    options = {
        "version_table_schema": INTERNAL,
        "include_schemas": True,
        "include_name": ours,
        "compare_server_default": True,
    }
    return compare_metadata(MigrationContext.configure(db, opts=options), internal_metadata)


def scripts(folder: Path, *bodies: str) -> Path:
    """The revisions there are, and after them one for each body."""
    there = [*(migrations.SCRIPTS / "versions").glob("r*.py")]
    (folder / "versions").mkdir(parents=True)
    for script in there:
        (folder / "versions" / script.name).write_bytes(script.read_bytes())
    for number, body in enumerate(bodies, len(there) + 1):
        values = {"revision": f"{number:04}", "down": f"{number - 1:04}", "body": body}
        (folder / "versions" / f"r{number:04}.py").write_text(REVISION.format(**values))
    return folder


def test_the_revision_of_the_code_is_the_head_of_the_scripts() -> None:
    heads = ScriptDirectory(str(migrations.SCRIPTS)).get_heads()
    assert heads == [versions.REVISION]


def test_revisions_alone_make_the_tables_that_are_declared(empty: sa.Engine) -> None:
    with empty.begin() as db:
        migrations.upgrade(db)
        kinds = {"modify_comment", "add_table_comment"}
        found = differences(db)
        assert [d for d in found if (d[0][0] if isinstance(d, list) else d[0]) not in kinds] == []


def test_a_prepared_warehouse_is_as_declared_in_every_word(engine: sa.Engine) -> None:
    with engine.connect() as db:
        assert differences(db) == []


def test_several_processes_may_start_at_once(url: str) -> None:
    engines = [open_engine(url) for _ in range(4)]
    with ThreadPoolExecutor(len(engines)) as threads:
        assert [*threads.map(prepare_internal, engines)] == [None] * len(engines)
    with engines[0].connect() as db:
        rows = db.exec_driver_sql("SELECT version_num FROM brex_sync.alembic_version").all()
        assert [tuple(row) for row in rows] == [(versions.REVISION,)]
    for engine in engines:
        engine.dispose()


def test_only_revisions_that_the_warehouse_lacks_are_run(engine: sa.Engine, tmp_path: Path) -> None:
    later = scripts(tmp_path, ADDS)
    for _ in range(2):
        with engine.begin() as db:
            migrations.upgrade(db, later)
            db.exec_driver_sql("SELECT added FROM brex_sync.runs")
            assert versions.revision(db) == ScriptDirectory(str(later)).get_current_head()
            assert differences(db), "and the added column is not declared"


@pytest.mark.parametrize("damage", ["TRUNCATE", "DROP TABLE"])
def test_a_lost_revision_is_found_again_and_costs_nothing(engine: sa.Engine, damage: str) -> None:
    with engine.begin() as db:
        db.exec_driver_sql("INSERT INTO brex_sync.closes VALUES ('brex', '2026-10-01', now())")
        db.exec_driver_sql(f"{damage} brex_sync.alembic_version")
        db.exec_driver_sql("COMMENT ON SCHEMA brex_sync IS 'of an earlier version'")
    prepare_internal(engine)
    with engine.connect() as db:
        assert versions.revision(db) == versions.REVISION
        assert db.scalar(sa.text("SELECT count(*) FROM brex_sync.closes")) == 1
        assert differences(db) == []


def test_a_revision_that_fails_changes_nothing_and_is_a_sentence(
    engine: sa.Engine, tmp_path: Path
) -> None:
    with engine.connect() as db:
        before = catalogue.digest(db, INTERNAL)
    told = pytest.raises(TableMismatch, match=r"to revision \d+: .*runs.*already exists")
    with told as error, engine.begin() as db:
        migrations.upgrade(db, scripts(tmp_path, ADDS, FAILS))
    assert "\n" not in str(error.value)
    with engine.connect() as db:
        assert catalogue.digest(db, INTERNAL) == before
        assert versions.revision(db) == versions.REVISION


def test_a_revision_that_this_code_does_not_know_is_refused(engine: sa.Engine) -> None:
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE brex_sync.alembic_version SET version_num = '0099'")
        db.exec_driver_sql("COMMENT ON SCHEMA brex_sync IS 'of a later version'")
        digest = catalogue.digest(db, INTERNAL)
    with pytest.raises(WarehouseIsNewer, match=r"revision 0099.*upgrade brex_sync here"):
        prepare_internal(engine)
    with engine.connect() as db:
        assert catalogue.digest(db, INTERNAL) == digest


def test_alembic_is_imported_only_where_something_is_to_be_migrated(database_url: str) -> None:
    program = f"""
import sys
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare_internal
engine = open_engine({database_url!r})
prepare_internal(engine)
with engine.begin() as db:
    db.exec_driver_sql("DROP TABLE brex_sync.page_sizes")
prepare_internal(engine)
print("alembic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False"], done.stderr
