"""Definitions built in a clean environment, and runs of them in this process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import dagster as dg
import httpx
import pytest

from brex_sync.brex.client import BrexApi, BrexClient
from brex_sync.brex.rate_limit import RateLimiter
from brex_sync.settings import load_settings
from brex_sync.sync.read.reading import Options
from brex_sync.sync.run import Sync
from brex_sync.warehouse.state.run_log import RunKind
from brex_sync_tests.conftest import BREX_URL, SHORT, Rig

Build = Callable[..., dg.Definitions]
Execute = Callable[..., dg.ExecuteInProcessResult]
CheckAlone = Callable[[str, str], dg.AssetCheckEvaluation]


@pytest.fixture(autouse=True)
def _clean(clean_environment: None) -> None:
    pass


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Build:
    """Builds the definitions as Dagster would, with these environment variables."""

    def build_with(**environment: str) -> dg.Definitions:
        from brex_sync import definitions

        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        return definitions.build()

    return build_with


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, company: Rig) -> dict[str, Any]:
    """Runs sync from `company`'s Brex instead of the network; what each was asked for, last."""
    asked: dict[str, Any] = {}

    @asynccontextmanager
    async def open_sync(
        settings: Any,
        connection: Any,
        *,
        progress: Any,
        run_id: str,
        kind: RunKind,
        options: Options,
    ) -> AsyncIterator[Sync]:
        asked.update(run_id=run_id, kind=kind, options=options)
        async with BrexClient(
            BrexApi(BREX_URL, lambda: company.token),
            RateLimiter(),
            SHORT,
            transport=httpx.ASGITransport(company.app),
        ) as client:
            yield Sync(
                client,
                company.warehouse,
                options_of=lambda _: options,
                progress=progress,
                run_id=run_id,
                kind=kind,
            )

    monkeypatch.setattr("brex_sync.orchestration.assets.open_sync", open_sync)
    return asked


@pytest.fixture
def execute(build: Build, asked: dict[str, Any], database_url: str) -> Execute:
    """Runs the assets of `brex` named, or all of them; keywords go to the execution."""

    def run(*names: str, **kw: Any) -> dg.ExecuteInProcessResult:
        repository = build(BREX_SYNC_DATABASE_URL=database_url).get_repository_def()
        selection = [dg.AssetKey(["brex", name]) for name in names]
        return repository.get_job("brex_sync").execute_in_process(
            asset_selection=selection or None, raise_on_error=False, **kw
        )

    return run


@pytest.fixture
def check_alone(build: Build, asked: dict[str, Any], database_url: str) -> CheckAlone:
    """Runs one check of a table of `brex`, and nothing else."""

    def run(table: str, check: str) -> dg.AssetCheckEvaluation:
        assets = build(BREX_SYNC_DATABASE_URL=database_url).assets or []
        key = dg.AssetCheckKey(dg.AssetKey(["brex", table]), check)
        result = dg.materialize(
            [a for a in assets if isinstance(a, dg.AssetsDefinition)],
            selection=dg.AssetSelection.checks(key),
        )
        [evaluation] = result.get_asset_check_evaluations()
        return evaluation

    return run
