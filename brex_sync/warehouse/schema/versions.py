"""Which revision the internal schema has: code that does not know it is refused."""

from importlib.metadata import PackageNotFoundError, version

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import WarehouseIsNewer
from brex_sync.warehouse.database import INTERNAL
from brex_sync.warehouse.internal import schema_versions

REVISION = "0002"
"""The latest revision in `migrations/versions`: the one that this code reads and writes."""
NUMBER = int(REVISION)
"""What `schema_versions` says of it, where code that had no revisions looks."""


def refuse_newer(db: sa.Connection) -> None:
    """Reads which revision a warehouse has, and changes nothing.

    Raises:
        WarehouseIsNewer: it is later than this code's.
    """
    if not _has(db, schema_versions.fullname):
        return
    c = schema_versions.c
    latest = db.execute(sa.select(c.number, c.package).order_by(c.number.desc()).limit(1)).first()
    if latest is not None and latest.number > NUMBER:
        raise newer(f"{latest.number:04}", latest.package)


def newer(revision: str, package: str | None = None) -> WarehouseIsNewer:
    """The error for a warehouse with a revision that this code does not know; `package` is the
    release that wrote it, where that is known."""
    return WarehouseIsNewer(
        f"this warehouse was written by brex_sync {package or 'of a later version'} (revision "
        f"{revision}), and this is brex_sync {_package()} (revision {REVISION}): upgrade brex_sync "
        "here, since older code would damage what newer code keeps; nothing was done"
    )


def revision(db: sa.Connection) -> str | None:
    """The revision of the internal schema; None where it has none: it is new, or was made by code
    that had no revisions."""
    table = f"{INTERNAL}.alembic_version"
    if not _has(db, table):
        return None
    found: str | None = db.scalar(sa.text(f"SELECT version_num FROM {table}"))
    return found


def guard(engine: sa.Engine) -> sa.Engine:
    """The same engine, whose first connection raises `WarehouseIsNewer` where this code is older
    than the warehouse: nothing reads what it may misread."""
    looked = False

    @sa.event.listens_for(engine, "engine_connect")
    def look(db: sa.Connection) -> None:
        nonlocal looked
        if not looked:
            refuse_newer(db)
            db.rollback()
            looked = True

    return engine


def record(db: sa.Connection) -> None:
    """Notes that the warehouse has this code's revision."""
    row = insert(schema_versions).values(number=NUMBER, package=_package())
    db.execute(row.on_conflict_do_nothing())


def _has(db: sa.Connection, table: str) -> bool:
    return bool(db.scalar(sa.text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table}))


def _package() -> str:
    try:
        return version("brex_sync")
    except PackageNotFoundError:
        return "of unknown version"
