"""The ways to bring card transactions from the sandbox into Postgres that are compared.

Run as `python -m benchmarks.contenders NAME API_URL DATABASE_URL`: prints seconds and peak memory
(MB) of this process, as JSON.
"""

import asyncio
import json
import resource
import sys
import time
from decimal import Decimal

import httpx
import psycopg

from brex_sync.brex.budget import Budget
from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import PERIOD, REQUESTS, RateLimiter
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.sync.run import Sync
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.state.request_loans import RequestLedger

TOKEN = "bxt_sandbox"
UNLIMITED = 100_000
"""Requests a minute: the sandbox is told to allow any number."""
PATH = "/v2/transactions/card/primary"
ASKED = STREAMS["card_transactions"].params
"""What the declaration asks for besides, so that all get the same answers."""
COLUMNS = (
    "id text PRIMARY KEY, type text, description text, amount numeric, amount_minor bigint, "
    "amount_currency text, initiated_at_date date, posted_at_date date, card_id text, "
    "merchant_raw_descriptor text, merchant_mcc text, merchant_country text, expense_id text, "
    "card_transaction_operation_reference_id text, card_metadata jsonb, _raw jsonb"
)


def ours(api: str, database: str) -> dict[str, object]:
    """The engine: checkpoints, upsert, quarantine, deletions and all."""
    return _sync(api, database, "card_transactions", UNLIMITED)


def expenses(api: str, database: str) -> dict[str, object]:
    """The engine on a list in small pages, under the rate limit."""
    return _sync(api, database, "expenses", REQUESTS)


def _sync(api: str, database: str, name: str, limit: int) -> dict[str, object]:
    async def run() -> dict[str, object]:
        engine = open_engine(database)
        ledger = RequestLedger(engine, "brex", limit, PERIOD, lost_after=2 * PERIOD)
        limiter = RateLimiter(limit, budget=Budget(ledger))
        async with BrexClient(BrexApi(api, lambda: TOKEN), limiter) as client:
            report = await Sync(client, Warehouse(engine, "brex")).run([STREAMS[name]])
        engine.dispose()
        [stream] = report.streams.values()
        if stream.error:
            raise SystemExit(stream.error)
        return dict(stream.counts())

    return asyncio.run(run())


def bare(api: str, database: str) -> dict[str, object]:
    """A loop as one writes it by hand: fetch, parse, COPY; no upsert, no state, no checks."""
    rows = 0
    params = {"limit": "1000", **ASKED}
    with psycopg.connect(database) as db, httpx.Client(base_url=api) as http:
        while True:
            answer = http.get(PATH, params=params, headers={"Authorization": f"Bearer {TOKEN}"})
            page = json.loads(answer.content)
            with db.cursor().copy("COPY bare FROM STDIN") as copy:
                for item in page["items"]:
                    copy.write_row(bare_row(item))
            db.commit()
            rows += len(page["items"])
            if not page.get("next_cursor"):
                return {"fetched": rows}
            params["cursor"] = page["next_cursor"]


def bare_row(item: dict[str, object]) -> tuple[object, ...]:
    """The same columns as ours."""
    amount = item.get("amount") or {}
    merchant = item.get("merchant") or {}
    metadata = item.get("card_metadata")
    minor, currency = amount.get("amount"), amount.get("currency")
    places = {"JPY": 0, "KWD": 3}.get(currency or "USD", 2)
    return (
        item["id"],
        item.get("type"),
        item.get("description"),
        None if minor is None else Decimal(minor).scaleb(-places),
        minor,
        currency,
        item.get("initiated_at_date"),
        item.get("posted_at_date"),
        item.get("card_id"),
        merchant.get("raw_descriptor"),
        merchant.get("mcc"),
        merchant.get("country"),
        item.get("expense_id"),
        item.get("card_transaction_operation_reference_id"),
        None if metadata is None else json.dumps(metadata),
        json.dumps(item),
    )


def dlt_rest_api(api: str, database: str) -> dict[str, object]:
    """dlt's rest_api source, merging on the id, as its documentation has it."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": api,
                "auth": {"type": "bearer", "token": TOKEN},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "next_cursor",
                    "cursor_param": "cursor",
                },
            },
            "resources": [
                {
                    "name": "card_transactions",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": PATH.lstrip("/"),
                        "params": {"limit": 1000, **ASKED},
                        "data_selector": "items",
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=sys.argv[4],
        destination=dlt.destinations.postgres(database),
        dataset_name="dlt_brex",
        progress=None,
    )
    pipeline.run(source)
    return {"fetched": pipeline.last_trace.last_normalize_info.row_counts["card_transactions"]}


def make_our_tables(database: str) -> None:
    """Every table of a connection, its past and its views: made once in a warehouse's life."""
    engine = open_engine(database)
    prepare(Warehouse(engine, "brex"), STREAMS.values(), VIEWS.values())
    engine.dispose()


def make_bare_table(database: str) -> None:
    """One table."""
    with psycopg.connect(database) as db:
        db.execute(f"DROP TABLE IF EXISTS bare; CREATE TABLE bare ({COLUMNS})")


TABLES = {"ours": make_our_tables, "expenses": make_our_tables, "bare": make_bare_table}
CONTENDERS = {"ours": ours, "expenses": expenses, "bare": bare, "dlt": dlt_rest_api}


def main() -> None:
    """Runs one contender in this process; what makes its tables beforehand is not counted."""
    if make := TABLES.get(sys.argv[1]):
        make(sys.argv[3])
    began = time.perf_counter()
    counts = CONTENDERS[sys.argv[1]](sys.argv[2], sys.argv[3])
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, "counts": counts}))


if __name__ == "__main__":
    main()
