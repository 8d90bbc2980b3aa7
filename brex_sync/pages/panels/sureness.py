"""How fresh and how sure all of it is."""

from collections.abc import Sequence

from brex_sync.connections.health import Level
from brex_sync.marts import questions
from brex_sync.pages import formats
from brex_sync.pages.context import PageContext
from brex_sync.pages.model import Banner, Cell, Figure, Panel, PanelColumn, PanelTable
from brex_sync.sync.standing import state_of
from brex_sync.warehouse.status.runs import StreamStatus


def sureness(context: PageContext) -> Panel:
    """Syncs, reconciliations, statements and quarantine."""
    known = context.freshness
    marts = questions.upkeep(context.db, context.question.connection)
    return Panel(
        "sureness",
        "How fresh and how sure",
        f"As `brex-sync status` says, at {formats.moment(known.at)}.",
        headline=_run(context),
        figures=[
            _run(context),
            _synced(context),
            _reconciled(context),
            *_statements(context),
            *_checks(context, marts),
            _quarantine(context),
        ],
        doubts=[*_faults(context), *_credential(context), *_marts_faults(context, marts)],
        table=PanelTable(
            "Streams, those that need a look first",
            [
                PanelColumn("Stream"),
                PanelColumn("Last synced (UTC)"),
                PanelColumn("Rows", True),
                PanelColumn("State"),
            ],
            [_stream(context, row) for row in sorted(known.streams, key=_is_well)],
            "No stream is selected.",
            shown=5,
        ),
    )


def _run(context: PageContext) -> Figure:
    run = context.freshness.run
    if run is None:
        return Figure("Last run", "none", "nothing was ever synced", tone="bad")
    tone = {"finished": "good", "running": ""}.get(run.state, "bad")
    when = formats.moment(run.finished_at or run.started_at)
    return Figure(
        "Last run", run.state, f"{run.kind}, {when}", context.links.dagster("/runs"), tone
    )


def _synced(context: PageContext) -> Figure:
    at = context.freshness.synced_at
    assets = context.links.dagster("/asset-groups")
    if at is None:
        return Figure("Oldest stream", "not yet synced", "", assets, "warn")
    return Figure("Oldest stream", formats.day(at.date()), f"synced at {at:%H:%M} UTC", assets)


def _reconciled(context: PageContext) -> Figure:
    found = context.freshness.reconciled
    if found is None:
        return Figure(
            "Compared with Brex", "not yet", "`brex-sync reconcile` does it now", tone="quiet"
        )
    differed = found.differed + found.withheld
    since = f"from {formats.day(found.since)}" if found.since else "everything"
    return Figure(
        "Compared with Brex",
        f"{formats.counted(differed, 'row')} differed",
        f"{since}, {formats.moment(found.finished_at)}",
        context.links.dagster("/runs"),
        "warn" if differed else "good",
    )


def _statements(context: PageContext) -> list[Figure]:
    if "statement_reconciliation" not in context.marts:
        return []
    found = questions.statements(context.db, context.question)
    broken, number = (sum(row[index] for row in found) for index in (2, 1))
    return [
        Figure(
            "Statements that tie",
            f"{number - broken} of {number}",
            "transactions explain the balances",
            context.links.rows("statement_reconciliation", sort="ties"),
            "bad" if broken else "good",
        )
    ]


def _quarantine(context: PageContext) -> Figure:
    number = context.freshness.quarantined
    return Figure(
        "In quarantine",
        formats.count(number),
        "could not be stored as declared" if number else "everything could be stored",
        tone="bad" if number else "good",
    )


def _faults(context: PageContext) -> list[Banner]:
    checks = context.links.dagster("/asset-groups")
    return [Banner(fault, "bad", checks) for fault in context.freshness.faults]


def _checks(context: PageContext, marts: questions.Answer) -> list[Figure]:
    """How many checks of the marts' rows hold."""
    number = sum(row.checks or 0 for row in marts)
    broken = sum(len(row.broken) for row in marts)
    if not number:
        return []
    return [
        Figure(
            "Checks of the marts that hold",
            f"{number - broken} of {number}",
            "sums agree with their sources",
            context.links.dagster("/asset-groups"),
            "bad" if broken else "good",
        )
    ]


def _marts_faults(context: PageContext, marts: questions.Answer) -> list[Banner]:
    """The marts that are not up to date, or not known to be right."""
    name = context.question.connection
    found = []
    for row in marts:
        page = context.links.dagster(f"/assets/{name}_marts/{row.mart}?view=checks")
        if row.fault:
            found.append(Banner(f"{row.mart} is not up to date: {row.fault}", "bad", page))
        if row.broken:
            found.append(Banner(f"{row.mart} fails {', '.join(row.broken)}", "bad", page))
    return found


def _credential(context: PageContext) -> list[Banner]:
    health = context.freshness.health
    if health.level is Level.WELL:
        return []
    return [Banner(health.told, "bad" if health.level is Level.ACTION else "warn")]


def _stream(context: PageContext, row: StreamStatus) -> Sequence[Cell]:
    connection = context.question.connection
    state = state_of(row)
    page = context.links.dagster(f"/assets/{connection}/{row.stream}?view=checks")
    return [
        Cell(row.stream, href=page),
        Cell(f"{row.synced_at:%Y-%m-%d %H:%M}" if row.synced_at else "never", row.synced_at),
        Cell(formats.count(row.live), row.live),
        Cell(state, tone="quiet" if state in ("well", "unavailable") else "warn"),
    ]


def _is_well(row: StreamStatus) -> int:
    """By what needs a look, then what is well, then what is unavailable."""
    return {"well": 1, "unavailable": 2}.get(state_of(row), 0)
