"""What must hold of every table after a sync, asked of the warehouse itself."""

from collections.abc import Iterator

import dagster as dg
import sqlalchemy as sa

from brex_sync.streams.declare import Stream
from brex_sync.sync.report import StreamReport
from brex_sync.warehouse import runs

KEYS = "keys_are_unique_and_present"
QUARANTINE = "nothing_is_quarantined"
COUNTS = "rows_match_the_api"
REFERENCES = "references_are_known"


def specs(key: dg.AssetKey, stream: Stream) -> Iterator[dg.AssetCheckSpec]:
    """The checks of one table."""
    yield dg.AssetCheckSpec(KEYS, asset=key, description="Every row has its own, whole key.")
    yield dg.AssetCheckSpec(
        QUARANTINE, asset=key, description="No row was set aside because it could not be stored."
    )
    yield dg.AssetCheckSpec(
        COUNTS,
        asset=key,
        description="As many live rows are here as the API listed in the window last read, and no "
        "missing row waits for a decision.",
    )
    if stream.references:
        yield dg.AssetCheckSpec(
            REFERENCES, asset=key, description="Rows refer to rows that are here too."
        )


def results(
    engine: sa.Engine, schema: str, key: dg.AssetKey, stream: Stream, report: StreamReport
) -> Iterator[dg.AssetCheckResult]:
    """The checks' answers after a sync."""
    status = runs.status(engine, schema, stream)
    bad = runs.bad_keys(engine, schema, stream)
    yield dg.AssetCheckResult(
        check_name=KEYS, asset_key=key, passed=bad == 0, metadata={"bad_keys": bad}
    )
    yield dg.AssetCheckResult(
        check_name=QUARANTINE,
        asset_key=key,
        passed=status.quarantined == 0,
        description="See brex_sync.quarantine for the rows and reasons."
        if status.quarantined
        else None,
        metadata={"quarantined": status.quarantined},
    )
    yield dg.AssetCheckResult(
        check_name=COUNTS,
        asset_key=key,
        passed=status.listed == status.held and status.withheld == 0,
        description=report.doubt,
        metadata={
            "listed_by_brex": status.listed,
            "held_here": status.held,
            "not_marked_as_deleted": status.withheld,
        },
    )
    if stream.references:
        dangling = {
            f"{reference.column} without {reference.stream}": runs.dangling(
                engine, schema, stream, reference
            )
            for reference in stream.references
        }
        yield dg.AssetCheckResult(
            check_name=REFERENCES,
            asset_key=key,
            passed=not any(dangling.values()),
            severity=dg.AssetCheckSeverity.WARN,
            metadata=dangling,
        )
