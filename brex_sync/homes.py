"""A home in the wrong place: earlier versions read `HOME` as the setting `BREX_SYNC_HOME`."""

import os
import re
import shlex
from pathlib import Path

KEPT = ("postgres", "encryption.key", "connections.yaml", "service-token", "sandbox-day")
"""What a home keeps that cannot be made again, beside its pgpass files."""
PASSFILES = ("pgpass-brex_reader", "pgpass-brex_writer", "pgpass-brex_dagster", "pgpass")
PASSING = (
    "encryption.lock",
    "pgpass.lock",
    "postgres.lock",
    "postgres.users",
    "roles.lock",
    "up.lock",
)
FOLDERS = {
    "logs": {"dagster.log", "postgres.log", "sandbox.log", "service.log"},
    "dagster": {"dagster.yaml", "logs", "storage", "history", "schedules"}
    | {".logs_queue", ".telemetry", ".nux"},
}
"""Folders whose names others use too: ours where they hold nothing but this."""
_KEY = re.compile(r"[\w-]{43}=(,[\w-]{43}=)*\s*")
_PASSWORD = re.compile(r"127\.0\.0\.1:\d+:\*:brex(-sync-owner)?:\S+\s*")


def misplaced(home: Path) -> str | None:
    """A message with the command that moves a home from `HOME` to `home`, if there is one in
    `HOME`.

    None if there is none, or if `home` has its own files: it is then unclear which one is meant.
    """
    earlier = Path(os.environ.get("HOME") or home)
    if earlier == home or not _is_home(earlier):
        return None
    names = [name for name in (*KEPT, *PASSING, *PASSFILES) if os.path.lexists(earlier / name)]
    names[1:1] = [name for name, ours in FOLDERS.items() if _holds_only(earlier / name, ours)]
    moved = [name for name in names if not os.path.lexists(home / name)]
    if set(names) - set(moved) - set(PASSING) - set(FOLDERS):
        return None
    mode = "711" if os.geteuid() == 0 else "700"
    there = shlex.quote(str(home))
    what = " ".join(shlex.quote(str(earlier / name)) for name in moved)
    return (
        f"an earlier version kept its data, keys and passwords in {earlier} itself, and they "
        f"belong in {home}: stop every brex-sync, then move them with `mkdir -p -m {mode} {there} "
        f"&& mv {what} {there}/`, or set BREX_SYNC_HOME={shlex.quote(str(earlier))} to leave them"
    )


def _is_home(folder: Path) -> bool:
    return _says(folder / "pgpass", _PASSWORD) or _says(folder / "encryption.key", _KEY)


def _says(file: Path, form: re.Pattern[str]) -> bool:
    try:
        return bool(form.fullmatch(file.read_text()))
    except (OSError, ValueError):
        return False


def _holds_only(folder: Path, names: set[str]) -> bool:
    try:
        found = set(os.listdir(folder))
    except OSError:
        return False
    return bool(found) and found <= names
