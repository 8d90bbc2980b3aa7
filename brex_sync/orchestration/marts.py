"""A connection's marts as assets, and their ties as checks of these."""

from collections.abc import Iterator, Set
from typing import Any

import dagster as dg

from brex_sync.errors import MartError
from brex_sync.marts.catalogue import MartCatalogue
from brex_sync.marts.declare import Mart
from brex_sync.marts.relation import column_types
from brex_sync.marts.session import schema_of
from brex_sync.marts.standing import MartStanding
from brex_sync.marts.ties import SHOWN, Tied
from brex_sync.marts.ties import of as ties_of
from brex_sync.texts import markdown
from brex_sync.warehouse import Warehouse

GROUP = "marts"
UP_TO_DATE = "is_up_to_date"
"""Fails where a mart could not be made or refreshed."""
_UNKNOWN = "?"
"""The type of a column before its mart was made: Postgres decides it."""


def key_of(connection: str, name: str) -> dg.AssetKey:
    """The asset of a mart."""
    return dg.AssetKey([schema_of(connection), name])


def is_mart(connection: str, key: dg.AssetKey) -> bool:
    """Whether an asset is a mart of this connection."""
    return key.path[0] == schema_of(connection)


def specs(connection: str, catalogue: MartCatalogue, tables: Set[str]) -> Iterator[dg.AssetSpec]:
    """The assets of the marts that read any of these tables, and of those that cannot be made."""
    for mart in chosen(catalogue, tables):
        yield dg.AssetSpec(
            key=key_of(connection, mart.name),
            deps=_deps(connection, catalogue, mart, tables),
            skippable=True,
            description=f"{mart.description.strip()}\n\n{mart.grain.strip()}",
            group_name=GROUP,
            kinds={"postgres", "table" if mart.stored else "view"},
            metadata={
                "dagster/table_name": f"{schema_of(connection)}.{mart.name}",
                "dagster/column_schema": _columns(mart, {}),
                "key": ", ".join(mart.key),
            },
        )
    for name, error in catalogue.faults.items():
        yield dg.AssetSpec(
            key=key_of(connection, name),
            skippable=True,
            description=markdown(str(error)),
            group_name=GROUP,
            kinds={"postgres"},
        )


def check_specs(
    connection: str, catalogue: MartCatalogue, tables: Set[str]
) -> Iterator[dg.AssetCheckSpec]:
    """The checks of these assets: that each is up to date, and its ties."""
    described = {mart.name: mart for mart in chosen(catalogue, tables)}
    for name in (*described, *catalogue.faults):
        key = key_of(connection, name)
        yield dg.AssetCheckSpec(
            UP_TO_DATE, asset=key, description="It could be made, and has all that its tables have."
        )
        for tie, declared in ties_of(described[name]).items() if name in described else ():
            yield dg.AssetCheckSpec(tie, asset=key, description=declared.description.strip())


def chosen(catalogue: MartCatalogue, tables: Set[str]) -> Iterator[Mart]:
    """The marts that read any of these tables; a mart that reads no table is among them."""
    for mart in catalogue.marts.values():
        read = catalogue.tables_of(mart)
        if not read or read & tables:
            yield mart


def results(
    warehouse: Warehouse,
    catalogue: MartCatalogue,
    standings: dict[str, MartStanding],
    selected: Set[dg.AssetKey],
    checks: Set[dg.AssetCheckKey],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What a run tells of marts: those that are up to date, and every check asked for."""
    types = column_types(warehouse)
    for name, stand in standings.items():
        key = key_of(warehouse.schema, name)
        answers = list(_checks(key, stand, {c.name for c in checks if c.asset_key == key}))
        mart = catalogue.marts.get(name)
        if key in selected and mart is not None and stand.fault is None:
            yield dg.MaterializeResult(
                asset_key=key,
                metadata=_metadata(mart, stand, types.get(name, {})),
                check_results=answers,
            )
        else:
            yield from answers


def _deps(
    connection: str, catalogue: MartCatalogue, mart: Mart, tables: Set[str]
) -> list[dg.AssetKey]:
    marts = {one.name for one in chosen(catalogue, tables)}
    return [
        key_of(connection, source) if source in marts else dg.AssetKey([connection, source])
        for source in mart.sources
        if source in marts or source in tables
    ]


def _columns(mart: Mart, types: dict[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(name, types.get(name, _UNKNOWN), description.strip())
            for name, description in mart.columns.items()
        ]
    )


def _metadata(mart: Mart, stand: MartStanding, types: dict[str, str]) -> dict[str, Any]:
    known: dict[str, Any] = {
        "dagster/row_count": stand.rows,
        "dagster/column_schema": _columns(mart, types),
        "seconds": stand.seconds,
    }
    if stand.refreshed_at is not None:
        known["as_of"] = dg.MetadataValue.timestamp(stand.refreshed_at)
    return {name: value for name, value in known.items() if value is not None}


def _checks(
    key: dg.AssetKey, stand: MartStanding, names: Set[str]
) -> Iterator[dg.AssetCheckResult]:
    if UP_TO_DATE in names:
        yield dg.AssetCheckResult(
            check_name=UP_TO_DATE,
            asset_key=key,
            passed=stand.fault is None,
            description=markdown(stand.fault) if stand.fault else None,
            metadata={} if stand.fault is None else {"remedy": MartError.remedy},
        )
    for name, tied in stand.ties.items():
        if name in names:
            yield _tie(key, name, tied)


def _tie(key: dg.AssetKey, name: str, tied: Tied) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"rows_that_break_it": tied.broken}
    if tied.rows:
        metadata["first_rows"] = dg.MetadataValue.json(list(tied.rows))
    shown = f", the first {SHOWN} of which are shown" if tied.broken > SHOWN else ""
    told = f"{tied.broken} rows break it{shown}."
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=key,
        passed=tied.broken == 0,
        description=told if tied.broken else None,
        metadata=metadata,
    )
