"""The parts that `brex-sync up` starts: their commands, and the environment of each."""

import os
import sys
from pathlib import Path

import yaml
from pydantic import SecretStr

from brex_sync.connections.declared import declared_in
from brex_sync.errors import NoDatabase
from brex_sync.runtime.simulator import sandbox_day
from brex_sync.settings import ENV_FILE, Settings, env_file
from brex_sync.warehouse.database import with_driver

LOCATION = "brex_sync"
PATIENCE = {
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
    "DAGSTER_REPOSITORY_GRPC_TIMEOUT_SECONDS": "600",
    "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": "20",
}
"""How long Dagster waits for our code (its sensors and schedules too) before it cuts it off, where
the environment says nothing else: its own 60 s are too few for a slow machine."""
STARTUP_TIMEOUT = 600
"""Seconds in which our code must be loaded, at the start and at every reload."""


def sandbox(settings: Settings) -> list[str]:
    """The simulated Brex."""
    day = sandbox_day(settings).isoformat()
    port = str(settings.sandbox_port)
    return [sys.executable, "-m", "brex_sync", "sandbox", "--port", port, "--today", day]


def code_server(socket: Path) -> list[str]:
    """What loads our code and runs it, for the daemon and the UI; it listens once it has loaded."""
    command = [sys.executable, "-m", "dagster", "code-server", "start", "--socket", str(socket)]
    command += ["--module-name", "brex_sync.definitions", "--location-name", LOCATION]
    return [*command, "--startup-timeout", str(STARTUP_TIMEOUT), "--log-level", "warning"]


def daemon(workspace: Path) -> list[str]:
    """What looks at schedules, sensors and the queue of runs."""
    return [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace)]


def ui(port: int, workspace: Path) -> list[str]:
    """Dagster's UI behind our guard."""
    command = [sys.executable, "-m", "brex_sync.orchestration.ui", "--port", str(port)]
    return [*command, "--workspace", str(workspace)]


def service(settings: Settings) -> list[str]:
    """The web service."""
    port = str(settings.service_port)
    return [sys.executable, "-m", "brex_sync", "serve", "--port", port]


def recovery() -> list[str]:
    """What ends the runs that an earlier start left."""
    return [sys.executable, "-m", "brex_sync.orchestration.recovery"]


def write_workspace(settings: Settings, socket: Path) -> Path:
    """Writes down, for the daemon and the UI, where the code server listens."""
    server = {"location_name": LOCATION, "socket": str(socket)}
    path = settings.home / "dagster" / "workspace.yaml"
    path.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return path


def environment(settings: Settings) -> dict[str, str]:
    """Our own environment, with what Dagster and its runs need to find the databases.

    No secret of Brex's is added: those of a `.env` file are read from there, by its path.
    """
    declared = declared_in(settings)
    return {
        **PATIENCE,
        **os.environ,
        **({"BREX_SYNC_CONNECTIONS": str(declared.absolute())} if declared else {}),
        **({"BREX_SYNC_MARTS": str(settings.marts)} if settings.marts else {}),
        ENV_FILE: str(env_file().absolute()),
        "BREX_SYNC_HOME": str(settings.home),
        "BREX_SYNC_PORT": str(settings.ui_port),
        "BREX_SYNC_DATABASE_URL": _plain(settings.database_url, "psycopg"),
        "DAGSTER_POSTGRES_URL": _plain(settings.dagster_url, "psycopg2"),
        "DAGSTER_HOME": str(settings.home / "dagster"),
        "PYTHONUNBUFFERED": "1",
    }


def without_ours() -> dict[str, str]:
    """The environment for a part that needs no setting and no secret of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("BREX_", "DAGSTER_"))}


def without_dagsters(environment: dict[str, str]) -> dict[str, str]:
    """What the service needs, which faces the internet and has nothing to do with Dagster."""
    return {k: v for k, v in environment.items() if not k.startswith("DAGSTER_")}


def _plain(url: SecretStr | None, driver: str) -> str:
    if url is None:
        raise NoDatabase("no database is set")
    return with_driver(url.get_secret_value(), driver).render_as_string(hide_password=False)
