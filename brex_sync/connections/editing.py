"""The file of connections in the home, which `brex-sync connect` writes."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from brex_sync.connections.declared import (
    DEFAULT_NAME,
    FILE,
    Entry,
    declared_in,
    implied,
    read_file,
)
from brex_sync.errors import SettingsError
from brex_sync.folders import make_home
from brex_sync.settings import Configuration, Settings

_HEADER = "# Kept by `brex-sync connect` and `disconnect`, which leave no comments standing.\n"


def entry_of(settings: Settings, name: str) -> Entry | None:
    """A connection's declaration; None if it has none."""
    path = declared_in(settings)
    if path is None:
        entry = implied(settings)
        if name != DEFAULT_NAME or entry["configuration"] == Configuration.SANDBOX:
            return None
        return entry
    return read_file(path).get(name)


def declare(settings: Settings, name: str, entry: Entry) -> None:
    """Adds a connection's declaration to the file, or updates it.

    Raises:
        SettingsError: the connections are declared in a file that a person wrote.
    """
    if entry_of(settings, name) == entry:
        return
    path = declared_in(settings)
    if path is not None and not _is_ours(settings, path):
        line = yaml.safe_dump({name: entry}, default_flow_style=True, width=1000).strip()[1:-1]
        raise SettingsError(f"{path} declares the connections: add this line there first: {line}")
    entries = read_file(path) if path else _implied_by_key(settings)
    _write(settings, {**entries, name: entry})


def undeclare(settings: Settings, name: str) -> str | None:
    """Removes a connection from the file. Returns what the person has to remove elsewhere."""
    path = declared_in(settings)
    if path is None:
        return "BREX_API_KEY or BREX_CONFIGURATION, in the environment or .env"
    if not _is_ours(settings, path):
        return f"{name} in {path}"
    _write(settings, {n: e for n, e in read_file(path).items() if n != name})
    return None


def _implied_by_key(settings: Settings) -> dict[str, Entry]:
    """The connection in the environment, which a file would otherwise hide."""
    return {DEFAULT_NAME: implied(settings)} if settings.api_key else {}


def _is_ours(settings: Settings, path: Path) -> bool:
    return path.resolve() == (settings.home / FILE).resolve()


def _write(settings: Settings, entries: Mapping[str, Entry]) -> None:
    path = settings.home / FILE
    if not entries:
        path.unlink(missing_ok=True)
        return
    make_home(settings.home)
    with tempfile.NamedTemporaryFile("w", dir=settings.home, delete=False) as file:
        file.write(_HEADER + yaml.safe_dump({"connections": dict(entries)}, sort_keys=False))
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
