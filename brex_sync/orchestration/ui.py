"""Dagster's UI behind the guard, as a process that `brex-sync up` starts."""

import argparse
import sys

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from brex_sync import http_server as serving
from brex_sync.errors import PortTaken
from brex_sync.guarding import guarded
from brex_sync.settings import load_settings

STATEMENT_TIMEOUT = 15_000
"""Milliseconds that a query of a page may take, as with Dagster's own command."""
RECYCLE, OVERFLOW = 3600, 20
"""Seconds after which a connection to Dagster's storage is made anew, and how many may be extra."""
POLL = 2000
"""Milliseconds between two looks of a page for what is new."""


def main() -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workspace", required=True)
    asked = parser.parse_args()
    settings = load_settings()
    try:
        listener = serving.bind(asked.port)
    except PortTaken as taken:
        sys.exit(str(taken))
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT, RECYCLE, OVERFLOW)
        target = WorkspaceFileTarget([asked.workspace])
        with WorkspaceProcessContext(instance, target, version=__version__) as context:
            ui = create_app_from_workspace_process_context(context, live_data_poll_rate=POLL)
            serving.serve(guarded(ui, settings, asked.port), listener)


if __name__ == "__main__":
    main()
