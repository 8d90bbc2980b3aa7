"""`python -m benchmarks`: measures, prints, and writes docs/benchmarks.md."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from benchmarks import proxy, webhooks
from brex_sync.embedded import EmbeddedPostgres, Server

PAGE = 1000
EXPENSES_PAGE = 100
REQUESTS_PER_MINUTE = 1000
LATENCY = 0.15
PARTS = "abcdepw"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


@contextmanager
def sandbox(
    rows: int, latency: float = 0.0, *, expenses: int = 0, months: int = 14, limit: int = 0
) -> Iterator[str]:
    """The sandbox in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "brex_sync", "sandbox", "--plain", "--port", "0"]
    command += ["--card-transactions", str(rows), "--latency", str(latency)]
    command += ["--expenses", str(expenses), "--months", str(months), "--rate-limit", str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=20)


def measure(name: str, api: str, database: str, scratch: str) -> dict[str, Any]:
    """One contender, once, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.contenders", name, api, database, scratch]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"  {name}: {result['seconds']:.1f} s, {result['peak_mb']:.0f} MB", flush=True)
    return result


def fresh(server: Server, name: str) -> str:
    """An empty database."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as db:
        db.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        db.execute(f"CREATE DATABASE {name}")
    return server.url(name)


def throughput(server: Server, rows: int, repeats: int, scratch: str) -> list[str]:
    """(a) rows per second, interleaved."""
    seconds: dict[str, list[float]] = {"bare": [], "ours": [], "dlt": []}
    with sandbox(rows) as api:
        for turn in range(repeats):
            for name in ("bare", "ours", *(["dlt"] if turn == 0 else [])):
                result = measure(name, api, fresh(server, f"bench_{name}"), scratch)
                assert result["counts"]["fetched"] == rows, result
                seconds[name].append(result["seconds"])
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    lines = ["| contender | seconds (median) | rows per second |", "|---|---|---|"]
    lines += [f"| {name} | {s:.1f} | {rows / s:,.0f} |" for name, s in middle.items()]
    return [
        f"## (a) {rows:,} card transactions, from the API to the table",
        "",
        *lines,
        "",
        f"- against dlt's `rest_api`: **{middle['dlt'] / middle['ours']:.1f} times as fast** "
        "(wanted: at least 4)",
        f"- against the bare loop: **{middle['bare'] / middle['ours']:.2f} times as fast** "
        "(wanted: at least 1). It parses and copies, and that is all: no types are checked, "
        "nothing is merged, no checkpoint kept, and no index but the key's.",
    ]


def latency(server: Server, rows: int, scratch: str) -> list[str]:
    """(b) the same with a slow network."""
    with sandbox(rows, LATENCY) as api:
        result = measure("ours", api, fresh(server, "bench_slow"), scratch)
    ideal = rows / PAGE * LATENCY
    return [
        f"## (b) With {LATENCY * 1000:.0f} ms of latency per request",
        "",
        f"{result['counts']['seconds']:.1f} s for {rows // PAGE} pages, "
        f"{ideal:.1f} s being pages × latency: **{result['counts']['seconds'] / ideal - 1:+.1%}** "
        "(wanted: within 10 %)",
    ]


def nothing_new(server: Server, rows: int, scratch: str) -> list[str]:
    """(c) a second run, with nothing new."""
    written = (
        "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables "
        "WHERE schemaname = 'brex' AND relname = 'card_transactions'"
    )
    with sandbox(rows) as api:
        database = fresh(server, "bench_again")
        measure("ours", api, database, scratch)
        before = _version(database, written)
        again = measure("ours", api, database, scratch)
        after = _version(database, written)
    counts = again["counts"]
    return [
        "## (c) A run with nothing new",
        "",
        f"{counts['requests']} requests for the {counts['fetched']:,} rows of the overlap, "
        f"{counts['seconds']:.2f} s; rows written: **{after[0] - before[0]}** (wanted: 0), "
        f"rows with another version: **{after[1] - before[1]}**.",
    ]


def _version(database: str, written: str) -> tuple[int, int]:
    with psycopg.connect(database) as db:
        db.execute("SELECT pg_stat_force_next_flush()")
        [count] = db.execute(written).fetchone() or (0,)
        [newest] = db.execute(
            "SELECT max(xmin::text::bigint) FROM brex.card_transactions"
        ).fetchone() or (0,)
        return int(str(count)), int(str(newest))


def memory(server: Server, sizes: tuple[int, int], scratch: str) -> list[str]:
    """(d) peak memory, small and large."""
    peaks = []
    for rows in sizes:
        with sandbox(rows) as api:
            result = measure("ours", api, fresh(server, "bench_memory"), scratch)
        peaks.append(result["peak_mb"])
    return [
        "## (d) Peak memory",
        "",
        f"{peaks[0]:.0f} MB at {sizes[0]:,} rows, {peaks[1]:.0f} MB at {sizes[1]:,} rows: "
        f"**{peaks[1] / peaks[0] - 1:+.0%}** (wanted: within 20 %)",
    ]


def small_pages(server: Server, rows: int, scratch: str) -> list[str]:
    """(e) a first read of expenses, of which a page holds 100, under the rate limit."""
    with sandbox(10, LATENCY, expenses=rows, months=24, limit=REQUESTS_PER_MINUTE) as api:
        result = measure("expenses", api, fresh(server, "bench_expenses"), scratch)
    counts = result["counts"]
    allowed = rows / EXPENSES_PAGE / REQUESTS_PER_MINUTE * 60
    return [
        f"## (e) {rows:,} expenses for the first time, {LATENCY * 1000:.0f} ms per request",
        "",
        f"{counts['seconds']:.1f} s and {counts['requests']:,} requests. At {EXPENSES_PAGE} rows a "
        f"page and {REQUESTS_PER_MINUTE:,} requests a minute Brex allows them in {allowed:.1f} s: "
        f"**{allowed / counts['seconds']:.0%} of that speed** (wanted: at least 90 %).",
    ]


def proxied(server: Server, scratch: str) -> list[str]:
    """(p) a request directly, and through the service."""
    with sandbox(10) as api:
        return proxy.compare(api, fresh(server, "bench_proxy"), scratch)


def events(server: Server, scratch: str) -> list[str]:
    """(w) webhooks taken in and worked off."""
    databases = fresh(server, "bench_webhooks"), fresh(server, "bench_dagster")
    with sandbox(100) as api:
        return webhooks.measure(*databases, api, Path(scratch) / "webhooks")


def machine(server: Server) -> list[str]:
    """What it was measured on."""
    with psycopg.connect(server.url("postgres")) as db:
        [postgres] = db.execute("SHOW server_version").fetchone() or ("?",)
    memory_gb = psutil.virtual_memory().total / 2**30
    return [
        "# Benchmarks",
        "",
        "Written by `make bench`. The sandbox, Postgres and each contender run in processes of "
        "their own on one machine, so ratios mean something and seconds little. Our tables and the "
        "bare loop's are made before the clock starts.",
        "",
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores "
        f"({platform.machine()}), {memory_gb:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, PostgreSQL {postgres}.",
        "",
    ]


def main() -> None:
    """Measures what is asked for; the whole of it is written to docs/benchmarks.md."""
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=PARTS, help="which parts, for example ab")
    arguments = parser.parse_args()
    rows = arguments.rows
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o711)
        with EmbeddedPostgres(Path(scratch) / "home") as server:
            parts = {
                "a": lambda: throughput(server, rows, arguments.repeats, scratch),
                "b": lambda: latency(server, rows, scratch),
                "c": lambda: nothing_new(server, rows, scratch),
                "d": lambda: memory(server, (rows // 2, rows * 5), scratch),
                "e": lambda: small_pages(server, rows // 2, scratch),
                "p": lambda: proxied(server, scratch),
                "w": lambda: events(server, scratch),
            }
            text = machine(server)
            for part in arguments.only:
                print(f"({part})", flush=True)
                text += [*parts[part](), ""]
    print("\n".join(text))
    if set(arguments.only) == set(PARTS):
        DOCS.write_text("\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    main()
