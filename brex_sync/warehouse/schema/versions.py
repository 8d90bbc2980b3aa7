"""Which version the warehouse's tables have: code older than them is refused."""

from importlib.metadata import PackageNotFoundError, version

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from brex_sync.errors import WarehouseIsNewer
from brex_sync.warehouse.internal import schema_versions

VERSION = 1
"""Of the tables as this code makes and understands them. To be raised with any change after which
older code would misread a warehouse, or undo what newer code keeps in it."""


def refuse_newer(db: sa.Connection) -> None:
    """Reads which version a warehouse has, and changes nothing.

    Raises:
        WarehouseIsNewer: it is later than this code's.
    """
    there = sa.text("SELECT to_regclass(:name) IS NOT NULL")
    if not db.scalar(there, {"name": schema_versions.fullname}):
        return
    c = schema_versions.c
    latest = db.execute(sa.select(c.number, c.package).order_by(c.number.desc()).limit(1)).first()
    if latest is not None and latest.number > VERSION:
        raise WarehouseIsNewer(
            f"this warehouse was written by brex_sync {latest.package} (tables of version "
            f"{latest.number}), and this is brex_sync {_package()} (version {VERSION}): upgrade "
            "brex_sync here, since older code would damage what newer code keeps; nothing was done"
        )


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
    """Notes that the warehouse has this code's version."""
    row = insert(schema_versions).values(number=VERSION, package=_package())
    db.execute(row.on_conflict_do_nothing())


def _package() -> str:
    try:
        return version("brex_sync")
    except PackageNotFoundError:
        return "of unknown version"
