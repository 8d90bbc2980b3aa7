"""What must hold of every table after a sync, asked of the warehouse itself."""

from collections.abc import Iterator, Set
from typing import Any

import dagster as dg

from brex_sync.streams.declare import Child, Table
from brex_sync.texts import markdown
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.status import runs, statements
from brex_sync.warehouse.status.runs import StreamStatus
from brex_sync.warehouse.status.statements import Unexplained

KEYS = "keys_are_unique_and_present"
QUARANTINE = "nothing_is_quarantined"
COUNTS = "rows_match_the_api"
REFERENCES = "references_are_known"
STATEMENTS = "statements_add_up"
STATEMENTS_SHOWN = 12
"""How many statements that do not add up are shown, each with rows of its period."""
LISTS_SHOWN = 12
"""How many lists that may not be read are shown, each with the reason."""
WARN = dg.AssetCheckSeverity.WARN


def specs(key: dg.AssetKey, table: Table) -> Iterator[dg.AssetCheckSpec]:
    """The checks of one table; a child's rows come with its parent's, whose checks are theirs."""
    yield dg.AssetCheckSpec(KEYS, asset=key, description="Every row has its own, whole key.")
    if isinstance(table, Child):
        return
    yield dg.AssetCheckSpec(
        QUARANTINE,
        asset=key,
        description="Every row could be stored, and every field of it as it is declared.",
    )
    yield dg.AssetCheckSpec(
        COUNTS,
        asset=key,
        description="As many live rows are here as the API listed in the window last read, and no "
        "missing row needs a look. A warning where the credential may not read a list.",
    )
    if table.references:
        yield dg.AssetCheckSpec(
            REFERENCES, asset=key, description="Rows refer to rows that are here too."
        )
    if table.statement:
        yield dg.AssetCheckSpec(
            STATEMENTS,
            asset=key,
            description="Each start balance and the transactions of its period make the end "
            "balance.",
        )


def results(
    warehouse: Warehouse,
    key: dg.AssetKey,
    table: Table,
    names: Set[str],
    doubt: str | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """The answers to the checks in `names`; `doubt` is why missing rows were not marked."""
    if KEYS in names:
        yield _keys(key, runs.bad_keys(warehouse, table))
    if isinstance(table, Child):
        return
    stream, status = table, runs.status(warehouse, table)
    if QUARANTINE in names:
        yield _quarantine(key, status)
    if COUNTS in names:
        yield _counts(key, status, doubt)
    if REFERENCES in names:
        unknown = {
            f"{reference.column} without {reference.stream}": runs.dangling(
                warehouse, stream, reference
            )
            for reference in stream.references
        }
        yield _references(key, unknown)
    if STATEMENTS in names:
        known = statements.count(warehouse, stream)
        yield _statements(key, known, statements.unexplained(warehouse, stream))


def _keys(key: dg.AssetKey, bad: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=KEYS, asset_key=key, passed=bad == 0, metadata={"bad_keys": bad}
    )


def _quarantine(key: dg.AssetKey, status: StreamStatus) -> dg.AssetCheckResult:
    told = "See brex_sync.quarantine for what and why." if status.quarantined else None
    return dg.AssetCheckResult(
        check_name=QUARANTINE,
        asset_key=key,
        passed=status.quarantined == 0,
        description=told,
        metadata={"quarantined": status.quarantined},
    )


def _counts(key: dg.AssetKey, status: StreamStatus, doubt: str | None) -> dg.AssetCheckResult:
    matches = status.listed == status.held and not status.doubted
    return dg.AssetCheckResult(
        check_name=COUNTS,
        asset_key=key,
        passed=matches and not status.unavailable and not status.refused,
        severity=WARN if status.unavailable or matches else dg.AssetCheckSeverity.ERROR,
        description=_told(status, doubt),
        metadata={
            "listed_by_brex": status.listed,
            "held_here": status.held,
            "not_marked_as_deleted": status.withheld,
        },
    )


def _told(status: StreamStatus, doubt: str | None) -> str | None:
    """Why the check did not pass, or what there is to know besides."""
    if status.unavailable:
        return markdown(f"Unavailable: {status.unavailable}")
    waiting = status.withheld - status.doubted
    told = f"{waiting} rows are missing; a later run decides whether they are gone"
    refused = "\n".join(status.refused[:LISTS_SHOWN])
    found = doubt or status.doubt or refused or (told if waiting else None)
    return markdown(found) if found else None


def _references(key: dg.AssetKey, unknown: dict[str, int]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=REFERENCES,
        asset_key=key,
        passed=not any(unknown.values()),
        severity=WARN,
        metadata=dict(unknown),
    )


def _statements(key: dg.AssetKey, known: int, wrong: list[Unexplained]) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"statements": known, "that_do_not_add_up": len(wrong)}
    for one in wrong[:STATEMENTS_SHOWN]:
        metadata[one.statement] = "\n".join([str(one), *one.rows])
    return dg.AssetCheckResult(
        check_name=STATEMENTS,
        asset_key=key,
        passed=not wrong,
        severity=WARN,
        description=markdown(str(wrong[0])) if wrong else None,
        metadata=metadata,
    )
