"""Which Brex accounts there are, and their names.

A connection's name is the Postgres schema of its tables and the prefix of its assets.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from brex_sync.brex.addresses import is_private
from brex_sync.brex.allowed import Rules
from brex_sync.brex.application import Application
from brex_sync.brex.rate_limit import REQUESTS
from brex_sync.errors import SettingsError
from brex_sync.settings import API_URLS, ISSUERS, Configuration, Settings, env_file

DEFAULT_NAME = "brex"
FILE = "connections.yaml"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = re.compile(r"brex_sync|public|information_schema|pg_.*|.*_(history|marts)")
_SANDBOX_TOKEN = "bxt_sandbox"  # noqa: S105
_KNOWN = {
    "configuration", "api_url", "api_key_env", "auth_url", "client_id_env", "client_secret_env",
    "streams", "proxy",
}  # fmt: skip

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Connection:
    """A Brex account: its name and how to reach it.

    `token` is the user token if it comes from the environment (never shown); None if it is stored
    in the database. `application` is the OAuth application that tokens are granted to. `lacks` are
    the variables without which this connection cannot be used; others can. `streams` are the names
    of those to sync, overriding the settings'; empty if not declared. `requests_per_minute` is the
    limit for all processes together, `rules` what other programs may request through the proxy.
    """

    name: str
    configuration: Configuration
    api_url: str
    token: str | None = field(default=None, repr=False)
    application: Application | None = None
    lacks: str = ""
    streams: tuple[str, ...] = ()
    requests_per_minute: int = REQUESTS
    rules: Rules = field(default_factory=Rules)


def load_connections(settings: Settings) -> list[Connection]:
    """The connections declared in `connections.yaml`, or the one the environment describes.

    Raises:
        SettingsError: a declaration cannot be used.
    """
    path = declared_in(settings)
    if path is None:
        return [connection_of(settings, DEFAULT_NAME, implied(settings))]
    return [connection_of(settings, name, e, str(path)) for name, e in read_file(path).items()]


def find(settings: Settings, name: str | None) -> Connection:
    """The connection of that name; for None the only or first one.

    Raises:
        SettingsError: there is no such connection.
    """
    connections = load_connections(settings)
    for connection in connections:
        if name is None or connection.name == name:
            return connection
    known = ", ".join(c.name for c in connections)
    raise SettingsError(f"no connection is called {name!r}; there is: {known}")


def declared_in(settings: Settings) -> Path | None:
    """The file that declares the connections: the one that is set, the one in this folder, or the
    one in the home.
    """
    places = (Path(FILE), settings.home / FILE)
    return settings.connections_file or next((path for path in places if path.is_file()), None)


def implied(settings: Settings) -> Entry:
    """The entry of the single connection that the environment describes."""
    entry: Entry = {"configuration": str(settings.chosen)}
    if settings.api_key:
        entry["api_key_env"] = "BREX_API_KEY"
    return entry | overrides(settings)


def overrides(settings: Settings) -> Entry:
    """The part of an entry that replaces Brex's own hosts."""
    urls = {"api_url": settings.api_url, "auth_url": settings.auth_url}
    return {name: url for name, url in urls.items() if url}


def read_file(path: Path) -> dict[str, Entry]:
    """The entries of a file of connections.

    Raises:
        SettingsError: it cannot be read, or is not valid.
    """
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


def connection_of(
    settings: Settings, name: str, entry: Entry | None, where: str = ""
) -> Connection:
    """The connection that an entry declares; errors name `where` it is.

    Raises:
        SettingsError: it cannot be used.
    """
    where = f"{where}: {name}" if where else f"connection {name}"
    entry = entry or {}
    if not isinstance(entry, dict) or set(entry) - _KNOWN:
        raise SettingsError(f"{where} may have only {', '.join(sorted(_KNOWN))}")
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise SettingsError(
            f"connection name {name!r}: use lower-case letters, digits and _, at most 40, "
            "beginning with a letter; names Postgres or brex_sync use are taken"
        )
    try:
        configuration = Configuration(entry.get("configuration", Configuration.API_KEY))
    except ValueError:
        known = ", ".join(Configuration)
        raise SettingsError(f"{where}: configuration must be one of {known}") from None
    plain = Connection(
        name,
        configuration,
        entry.get("api_url") or _api_url(settings, configuration),
        streams=_names(where, entry.get("streams", [])),
        requests_per_minute=settings.requests_per_minute,
        rules=_rules(settings, where, entry.get("proxy", {})),
    )
    variable = entry.get("api_key_env")
    key = _variable(variable) if variable else None
    if configuration is Configuration.SANDBOX:
        return replace(plain, token=key or _SANDBOX_TOKEN)
    _check_private(where, plain.api_url)
    if configuration in ISSUERS:
        return _by_oauth(settings, plain, entry, where)
    return replace(plain, token=key, lacks="" if key else variable or "")


def _api_url(settings: Settings, configuration: Configuration) -> str:
    if configuration is Configuration.SANDBOX:
        return f"http://127.0.0.1:{settings.sandbox_port}"
    return API_URLS[configuration]


def _names(where: str, names: Any, what: str = "streams") -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{where}: {what} must be a list of names")
    return tuple(names)


def _rules(settings: Settings, where: str, entry: Any) -> Rules:
    """The entry's rules; the settings supply what it leaves out."""
    if not isinstance(entry, dict) or set(entry) - {"methods", "paths"}:
        raise SettingsError(f"{where}: proxy may have only methods and paths")
    methods = entry.get("methods", _words(settings.proxy_methods))
    paths = entry.get("paths", _words(settings.proxy_paths))
    try:
        return Rules.of(
            _names(where, methods, "proxy's methods"), _names(where, paths, "proxy's paths")
        )
    except ValueError as error:
        raise SettingsError(f"{where}: proxy: {error}") from None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _by_oauth(settings: Settings, plain: Connection, entry: Entry, where: str) -> Connection:
    id_variable = entry.get("client_id_env", "BREX_CLIENT_ID")
    secret_variable = entry.get("client_secret_env", "BREX_CLIENT_SECRET")
    client_id, secret = _variable(id_variable), _variable(secret_variable)
    missing = [v for v, value in ((id_variable, client_id), (secret_variable, secret)) if not value]
    issuer = entry.get("auth_url") or ISSUERS[plain.configuration]
    _check_private(where, issuer)
    return replace(
        plain,
        application=Application(issuer, client_id or "", secret or "", settings.redirect_uri),
        lacks=" and ".join(missing),
    )


def _check_private(where: str, url: str) -> None:
    if not is_private(url):
        raise SettingsError(f"{where}: {url} is not https, so no credential goes there")


def _variable(name: str) -> str | None:
    """A variable of the environment, or of the `.env` file."""
    return os.environ.get(name) or dotenv_values(env_file()).get(name)
