"""How many files and functions of ours a page passes on its way from the API to the table.

`python -m benchmarks.hops`: a second sync of 300 card transactions, traced with `sys.setprofile`.
It lists the functions by file, so that a change can be compared with what was before.
"""

import asyncio
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

import brex_sync
from benchmarks import __main__ as common
from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import REQUESTS, RateLimiter
from brex_sync.embedded import EmbeddedPostgres
from brex_sync.streams import STREAMS
from brex_sync.sync.run import Sync
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine

ROWS, STREAM, TOKEN = 300, "card_transactions", "bxt_sandbox"
PACKAGE = str(Path(brex_sync.__file__).parent) + "/"


class Trace:
    """The functions of the package that were called, by file, in any thread."""

    def __init__(self) -> None:
        self.called: dict[str, set[str]] = defaultdict(set)

    def __enter__(self) -> "Trace":
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.called[code.co_filename.removeprefix(PACKAGE)].add(code.co_qualname)


async def sync(api: str, engine: Any) -> None:
    """One run over the stream."""
    async with BrexClient(BrexApi(api, lambda: TOKEN), RateLimiter(REQUESTS)) as client:
        report = await Sync(client, Warehouse(engine, "brex")).run([STREAMS[STREAM]])
        assert report.finished


def main() -> None:
    """Prints the files with their functions, and how many there are."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
        common.sandbox(ROWS) as api,
    ):
        engine = open_engine(common.fresh(server, "bench_hops"))
        asyncio.run(sync(api, engine))
        with Trace() as trace:
            asyncio.run(sync(api, engine))
        engine.dispose()
    for name, functions in sorted(trace.called.items()):
        print(f"{name}: {', '.join(sorted(functions))}")
    functions = sum(map(len, trace.called.values()))
    print(f"{len(trace.called)} files, {functions} functions")


if __name__ == "__main__":
    main()
