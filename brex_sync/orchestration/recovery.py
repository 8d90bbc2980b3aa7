"""What `brex-sync up` does before it starts Dagster: ends the runs that were cut off.

Run as `python -m brex_sync.orchestration.recovery`, with DAGSTER_HOME set and nothing of Dagster's
running. Prints how many there were.
"""

import dagster as dg

from brex_sync.databases import open_database
from brex_sync.orchestration.liveness import dead_runs, end
from brex_sync.settings import load_settings
from brex_sync.warehouse.state import run_log

LOCATION = "brex_sync"
"""The code location's name in workspace.yaml."""


def recover() -> int:
    """Ends the runs that died with an earlier start; how many of Dagster's there were."""
    with (
        dg.DagsterInstance.get() as instance,
        open_database(load_settings(), prepared=True) as engine,
    ):
        ended = end(instance, engine, dead_runs(instance, engine, LOCATION, restarted=True))
        run_log.mark_interrupted(engine, run_log.dead(engine))
    return len(ended)


if __name__ == "__main__":
    print(recover(), flush=True)
