"""The environment (and a `.env` file) as typed settings, checked at start."""

import base64
import os
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    NonNegativeInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as Unreadable

from brex_sync import cron
from brex_sync.brex.addresses import is_mail_server, is_private, split_urls
from brex_sync.errors import SettingsError
from brex_sync.homes import misplaced
from brex_sync.streams import STREAMS
from brex_sync.streams.selection import suggestion
from brex_sync.web.auth import Auth, parse_networks
from brex_sync.web.hosts import parse_hosts

SHORTEST_SECRET = 24
"""Bytes of a secret that signs, at the least (Standard Webhooks)."""
ENV_FILE = "BREX_SYNC_ENV_FILE"
"""Tells the processes we start, in another folder, which `.env` we were started beside."""


def env_file() -> Path:
    """The `.env` file whose variables count as if they were in the environment."""
    return Path(os.environ.get(ENV_FILE, ".env"))


class Configuration(StrEnum):
    """The ways to connect to Brex, and the sandbox for those who have no account."""

    OAUTH = "brex"
    STAGING = "brex-staging"
    API_KEY = "brex-api-key"
    SANDBOX = "sandbox"


API_URLS = {
    Configuration.OAUTH: "https://api.brex.com",
    Configuration.STAGING: "https://api-staging.brex.com",
    Configuration.API_KEY: "https://api.brex.com",
}
ISSUERS = {
    Configuration.OAUTH: "https://accounts-api.brex.com/oauth2/default",
    Configuration.STAGING: "https://accounts-api.staging.brexapps.com/oauth2/default",
}
"""Where people consent, and tokens come from, by Brex's authentication guides."""


Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Every setting; the README's table lists them with their meaning.

    The environment and `.env` know a setting by its alias alone, in this spelling: `HOME`,
    `DATABASE_URL` and their like belong to other programs. An empty one counts as not set.
    """

    model_config = SettingsConfigDict(extra="ignore", case_sensitive=True, env_ignore_empty=True)

    configuration: Configuration | None = Field(None, validation_alias="BREX_CONFIGURATION")
    api_key: SecretStr | None = Field(None, validation_alias="BREX_API_KEY")
    api_url: str | None = Field(None, validation_alias="BREX_API_URL")
    client_id: str | None = Field(None, validation_alias="BREX_CLIENT_ID")
    client_secret: SecretStr | None = Field(None, validation_alias="BREX_CLIENT_SECRET")
    redirect_uri: str = Field(
        "http://127.0.0.1:8765/callback", validation_alias="BREX_REDIRECT_URI"
    )
    auth_url: str | None = Field(None, validation_alias="BREX_AUTH_URL")
    encryption_key: SecretStr | None = Field(None, validation_alias="BREX_SYNC_ENCRYPTION_KEY")
    alert_urls: SecretStr | None = Field(None, validation_alias="BREX_SYNC_ALERT_URLS")
    alert_url: SecretStr | None = Field(None, validation_alias="BREX_SYNC_ALERT_URL")
    alert_email: str | None = Field(None, validation_alias="BREX_SYNC_ALERT_EMAIL")
    smtp_url: SecretStr | None = Field(None, validation_alias="BREX_SYNC_SMTP_URL")
    database_url: SecretStr | None = Field(None, validation_alias="BREX_SYNC_DATABASE_URL")
    dagster_url: SecretStr | None = Field(None, validation_alias="DAGSTER_POSTGRES_URL")
    home: Path = Field(Path("~/.brex-sync"), validation_alias="BREX_SYNC_HOME")
    connections_file: Path | None = Field(None, validation_alias="BREX_SYNC_CONNECTIONS")
    schedule: str = Field("0 * * * *", validation_alias="BREX_SYNC_SCHEDULE")
    streams: str = Field("", validation_alias="BREX_SYNC_STREAMS")
    overlap_days: dict[str, NonNegativeInt] = Field({}, validation_alias="BREX_SYNC_OVERLAP_DAYS")
    requests_per_minute: int = Field(
        1000, ge=1, le=1000, validation_alias="BREX_SYNC_REQUESTS_PER_MINUTE"
    )
    retention_days: int = Field(30, ge=1, validation_alias="BREX_SYNC_RETENTION_DAYS")
    notify_urls: str = Field("", validation_alias="BREX_SYNC_NOTIFY_URLS")
    notify_secret: SecretStr | None = Field(None, validation_alias="BREX_SYNC_NOTIFY_SECRET")
    notify_events: bool = Field(False, validation_alias="BREX_SYNC_NOTIFY_EVENTS")
    ui_port: Port = Field(3000, validation_alias="BREX_SYNC_PORT")
    ui_hosts: str = Field("", validation_alias="BREX_SYNC_UI_HOSTS")
    ui_auth: Auth = Field(Auth.TOKEN, validation_alias="BREX_SYNC_UI_AUTH")
    ui_auth_header: str = Field(
        "X-Forwarded-User",
        pattern="^[A-Za-z0-9-]+$",
        validation_alias="BREX_SYNC_UI_AUTH_HEADER",
    )
    ui_auth_from: str = Field("", validation_alias="BREX_SYNC_UI_AUTH_FROM")
    postgres_port: Port | None = Field(None, validation_alias="BREX_SYNC_PG_PORT")
    postgres_bin: Path | None = Field(None, validation_alias="BREX_SYNC_PG_BIN")
    service_port: Port = Field(8787, validation_alias="BREX_SYNC_SERVICE_PORT")
    service_token: SecretStr | None = Field(
        None, min_length=16, validation_alias="BREX_SYNC_SERVICE_TOKEN"
    )
    proxy_methods: str = Field("GET", validation_alias="BREX_SYNC_PROXY_METHODS")
    proxy_paths: str = Field("", validation_alias="BREX_SYNC_PROXY_PATHS")
    workflows: str = Field("", validation_alias="BREX_SYNC_WORKFLOWS")
    marts: Path | None = Field(None, validation_alias="BREX_SYNC_MARTS")
    sandbox_port: Port = Field(8642, validation_alias="BREX_SYNC_SANDBOX_PORT")

    def __init__(self, **given: Any) -> None:
        """Takes what Python gives by the fields' names as well as by their aliases."""
        aliases = {name: field.validation_alias for name, field in type(self).model_fields.items()}
        super().__init__(**{str(aliases.get(key, key)): value for key, value in given.items()})

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        try:
            return home.expanduser().absolute()
        except RuntimeError:
            raise ValueError("there is no home directory here: set it to a folder") from None

    @field_validator("marts")
    @classmethod
    def _is_a_folder(cls, folder: Path | None) -> Path | None:
        if folder is None or folder.expanduser().is_dir():
            return folder and folder.expanduser().absolute()
        raise ValueError(f"there is no folder {folder}")

    @field_validator("database_url", "dagster_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            from brex_sync.warehouse.database import with_driver  # SQLAlchemy is not always needed

            with_driver(url.get_secret_value(), "psycopg")
        return url

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, schedule: str) -> str:
        if fault := cron.fault(schedule):
            raise ValueError(fault)
        return schedule

    @field_validator("ui_hosts")
    @classmethod
    def _are_hosts(cls, hosts: str) -> str:
        parse_hosts(hosts)
        return hosts

    @field_validator("ui_auth_from")
    @classmethod
    def _are_networks(cls, networks: str) -> str:
        parse_networks(networks)
        return networks

    @model_validator(mode="after")
    def _a_trusted_proxy_has_an_address(self) -> Self:
        if self.ui_auth is Auth.PROXY and not parse_networks(self.ui_auth_from):
            raise ValueError(
                "BREX_SYNC_UI_AUTH=proxy needs BREX_SYNC_UI_AUTH_FROM, the addresses from which "
                "the reverse proxy asks"
            )
        return self

    @field_validator("api_url", "auth_url")
    @classmethod
    def _is_private_url(cls, url: str | None) -> str | None:
        if url is not None and not is_private(url):
            raise ValueError("not https and not of this machine, so no credential goes there")
        return url

    @field_validator("alert_urls")
    @classmethod
    def _are_urls(cls, urls: SecretStr | None) -> SecretStr | None:
        if urls is not None:
            split_urls(urls.get_secret_value())
        return urls

    @field_validator("alert_url")
    @classmethod
    def _is_private_target(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_private(url.get_secret_value()):
            raise ValueError("not https and not of this machine, so no alert goes there")
        return url

    @field_validator("smtp_url")
    @classmethod
    def _is_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not is_mail_server(url.get_secret_value()):
            raise ValueError("expected smtps://user:password@host:465, or smtp://host:587")
        return url

    @field_validator("overlap_days")
    @classmethod
    def _are_windowed(cls, days: dict[str, int]) -> dict[str, int]:
        if others := [n for n in days if n not in STREAMS or STREAMS[n].window is None]:
            windowed = [name for name, stream in STREAMS.items() if stream.window]
            raise ValueError(
                f"{', '.join(others)}: only {', '.join(windowed)} have an overlap"
                + "".join(suggestion(name, windowed) for name in others)
            )
        return days

    @model_validator(mode="after")
    def _mail_has_a_recipient(self) -> Self:
        if self.smtp_url and not self.alert_email:
            raise ValueError("BREX_SYNC_SMTP_URL needs BREX_SYNC_ALERT_EMAIL, who gets the alerts")
        return self

    @field_validator("notify_secret")
    @classmethod
    def _is_a_signing_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            text = secret.get_secret_value().removeprefix("whsec_")
            try:
                key = base64.b64decode(text, validate=True)
            except ValueError:
                key = b""
            if len(key) < SHORTEST_SECRET:
                raise ValueError(
                    f"expected base64 of at least {SHORTEST_SECRET} random bytes, with or without "
                    "whsec_ before it: `openssl rand -base64 32` makes one"
                )
        return secret

    @model_validator(mode="after")
    def _notifications_are_signed(self) -> Self:
        if self.notify_urls and self.notify_secret is None:
            raise ValueError(
                "BREX_SYNC_NOTIFY_URLS needs BREX_SYNC_NOTIFY_SECRET, which signs what goes there: "
                "`openssl rand -base64 32` makes one"
            )
        return self

    @property
    def workflow_modules(self) -> list[str]:
        """The modules whose workflows are offered too."""
        return [name.strip() for name in self.workflows.split(",") if name.strip()]

    @property
    def alert_targets(self) -> list[str]:
        """The Apprise URLs that alerts go to."""
        return split_urls(self.alert_urls.get_secret_value()) if self.alert_urls else []

    @property
    def chosen(self) -> Configuration:
        """The configuration asked for, or the one that fits what is set."""
        if self.configuration is not None:
            return self.configuration
        return Configuration.API_KEY if self.api_key else Configuration.SANDBOX


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one cannot be used; never with its value, which may be a secret.
    """
    try:
        settings = Settings(_env_file=env_file())
    except ValidationError as error:
        faults = [
            ": ".join([*map(str, fault["loc"]), fault["msg"].removeprefix("Value error, ")])
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("; ".join(faults)) from None
    except Unreadable as error:
        raise SettingsError(f"{_variable_of(str(error))} is not JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file()} cannot be read as UTF-8 text: {error}") from None
    if "home" not in settings.model_fields_set and (told := misplaced(settings.home)):
        raise SettingsError(told)
    return settings


def _variable_of(told: str) -> str:
    """The variable that pydantic-settings names by its field."""
    field = next(name for name in Settings.model_fields if f'"{name}"' in told)
    return str(Settings.model_fields[field].validation_alias)
