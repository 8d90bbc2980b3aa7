"""Which Brex accounts exist, and what each is called.

A connection's name is the Postgres schema its tables lie in and the prefix of its assets.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from brex_sync.settings import API_URLS, Configuration, Settings, SettingsError

DEFAULT_NAME = "brex"
FILE = "connections.yaml"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = re.compile(r"brex_sync|public|information_schema|pg_.*|.*_history")
_SANDBOX_TOKEN = "bxt_sandbox"  # noqa: S105
_KNOWN = {"configuration", "api_url", "api_key_env", "streams"}


@dataclass(frozen=True, slots=True)
class Connection:
    """A Brex account: its name, how it is reached, and the credential (never shown).

    `streams` are the names of those to sync, in place of the settings'; empty where not said.
    """

    name: str
    configuration: Configuration
    api_url: str
    token: str = field(repr=False)
    streams: tuple[str, ...] = ()


def load_connections(settings: Settings) -> list[Connection]:
    """The connections declared in `connections.yaml`, or the one the environment describes.

    Raises:
        SettingsError: a declaration cannot be used.
    """
    path = settings.connections_file or _found(settings)
    if path is None:
        key = settings.api_key.get_secret_value() if settings.api_key else None
        return [_connection(settings, DEFAULT_NAME, settings.chosen, settings.api_url, key)]
    return [_declared(settings, path, name, entry) for name, entry in _read(path).items()]


def find(settings: Settings, name: str | None) -> Connection:
    """The connection of that name; the only or first one for None.

    Raises:
        SettingsError: there is none of that name.
    """
    connections = load_connections(settings)
    for connection in connections:
        if name is None or connection.name == name:
            return connection
    known = ", ".join(c.name for c in connections)
    raise SettingsError(f"no connection is called {name!r}; there is: {known}")


def _found(settings: Settings) -> Path | None:
    places = (Path(FILE), settings.home / FILE)
    return next((path for path in places if path.is_file()), None)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from None
    entries = content.get("connections") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise SettingsError(f"{path}: expected a map called connections, with a name per entry")
    return entries


def _declared(settings: Settings, path: Path, name: str, entry: Any) -> Connection:
    entry = entry or {}
    if not isinstance(entry, dict) or set(entry) - _KNOWN:
        raise SettingsError(f"{path}: {name} may have only {', '.join(sorted(_KNOWN))}")
    try:
        configuration = Configuration(entry.get("configuration", Configuration.API_KEY))
    except ValueError:
        known = ", ".join(Configuration)
        raise SettingsError(f"{path}: {name}: configuration must be one of {known}") from None
    variable = entry.get("api_key_env", "BREX_API_KEY")
    connection = _connection(
        settings, name, configuration, entry.get("api_url"), os.environ.get(variable), variable
    )
    return replace(connection, streams=_names(path, name, entry.get("streams", [])))


def _names(path: Path, connection: str, streams: Any) -> tuple[str, ...]:
    if not isinstance(streams, list) or not all(isinstance(name, str) for name in streams):
        raise SettingsError(f"{path}: {connection}: streams must be a list of names")
    return tuple(streams)


def _connection(
    settings: Settings,
    name: str,
    configuration: Configuration,
    api_url: str | None,
    key: str | None,
    variable: str = "BREX_API_KEY",
) -> Connection:
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise SettingsError(
            f"connection name {name!r}: use lower-case letters, digits and _, at most 40, "
            "beginning with a letter; names Postgres or brex_sync use are taken"
        )
    if configuration is Configuration.SANDBOX:
        url = api_url or f"http://127.0.0.1:{settings.sandbox_port}"
        return Connection(name, configuration, url, key or _SANDBOX_TOKEN)
    if configuration is not Configuration.API_KEY:
        raise SettingsError(
            f"connection {name}: this version cannot connect by OAuth ({configuration}) yet; "
            "use brex-api-key with a user token"
        )
    if not key:
        raise SettingsError(f"connection {name}: {variable} is not set; put the user token there")
    return Connection(name, configuration, api_url or API_URLS[configuration], key)
