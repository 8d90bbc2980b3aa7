"""Runs of the assets in this process, from the sandbox into a real Postgres."""

from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from brex_sync.orchestration import checks
from brex_sync.orchestration.catalogue import entries
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS
from brex_sync.sync.read.reading import Options
from brex_sync.warehouse.internal import missing_rows
from brex_sync_tests.conftest import REFUSED, Rig
from brex_sync_tests.engine.items import spent
from brex_sync_tests.orchestration.conftest import Build, CheckAlone, Execute

TABLES = entries(STREAMS.values())
CARDS_BROKEN = Fault(FaultKind.STATUS, path="/v2/cards", times=None, status=422, body=REFUSED)


def made(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The metadata of every table and view materialized, by its name."""
    return {
        event.asset_key.path[-1]: {
            label: value.value for label, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.path[0] == "brex"
    }


def failure(result: dg.ExecuteInProcessResult) -> str:
    [step] = [e for e in result.all_events if e.is_step_failure]
    assert step.step_failure_data.user_failure_data is not None, step.step_failure_data.error
    return str(step.step_failure_data.user_failure_data.description)


@pytest.mark.whole
def test_a_run_makes_every_table_and_every_check_passes(execute: Execute, company: Rig) -> None:
    result = execute()
    assert result.success
    shown = made(result)
    assert set(shown) == set(TABLES)
    card = shown["card_transactions"]
    assert card["dagster/row_count"] == card["fetched"] == card["inserted"] == 300
    assert (card["updated"], card["unchanged"], card["deleted"], card["quarantined"]) == (0,) * 4
    assert card["requests"] >= 1
    assert card["seconds"] > 0
    assert card["synced_through"] == company.now().date().isoformat()
    assert "█" in card["spend"]
    assert "spend" not in shown["users"]
    found = [c for c in result.get_asset_check_evaluations() if c.asset_key.path[0] == "brex"]
    children = sum(len(s.children) for s in STREAMS.values())
    references = sum(bool(s.references) for s in STREAMS.values())
    statements = sum(s.statement is not None for s in STREAMS.values())
    assert len(found) == 3 * len(STREAMS) + references + children + statements
    assert all(check.passed for check in found), [c for c in found if not c.passed]


def test_a_second_run_finds_everything_unchanged(execute: Execute) -> None:
    execute("users")
    users = made(execute("users"))["users"]
    assert users["fetched"] == users["unchanged"] == users["dagster/row_count"] > 0


def test_a_view_alone_is_counted_and_nothing_is_read(execute: Execute, company: Rig) -> None:
    result = execute("transactions")
    assert result.success
    assert made(result)["transactions"]["dagster/row_count"] == 0
    assert not company.requests


def test_streams_that_finished_stand_and_the_failed_are_named(
    execute: Execute, company: Rig
) -> None:
    company.faults.add(CARDS_BROKEN)
    names = ("users", "cards", "card_transactions", "cash_transactions", "transactions")
    result = execute(*names)
    assert not result.success
    assert set(made(result)) == set(names) - {"cards", "transactions"}
    told = failure(result)
    assert told.startswith("1 of 5 streams were not read to their end; the others stand.\ncards: ")
    assert "Traceback" not in told


@pytest.mark.whole
def test_a_stream_that_may_not_be_read_is_a_warning_and_no_failure(
    execute: Execute, company: Rig
) -> None:
    refusal = '{"type": "FORBIDDEN", "message": "Missing required scope"}'
    company.faults.add(
        Fault(FaultKind.STATUS, path="/v1/trips", times=None, status=403, body=refusal)
    )
    result = execute()
    assert result.success
    assert set(made(result)) == set(TABLES) - {"trips", "bookings"}
    warned = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert {c.asset_key.path[-1] for c in warned} == {"trips", "bookings"}
    assert {c.severity for c in warned} == {dg.AssetCheckSeverity.WARN}
    assert all("Missing required scope" in str(c.description) for c in warned)


def test_an_unreachable_warehouse_is_told_in_a_sentence(
    execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "brex_sync.orchestration.assets.open_sync", _refuses("BREX_SYNC_DATABASE_URL is not set")
    )
    assert failure(execute()) == "Nothing was synced. BREX_SYNC_DATABASE_URL is not set"


def _refuses(message: str) -> Any:
    from brex_sync.errors import SettingsError

    def open_sync(*_: Any, **__: Any) -> Any:
        raise SettingsError(message)

    return open_sync


def test_the_launchpads_choices_reach_the_sync(execute: Execute, asked: dict[str, Any]) -> None:
    config = {"full": True, "accept_deletions": True}
    result = execute("users", run_config={"ops": {"brex_tables": {"config": config}}})
    assert result.success
    options = Options(full=True, accept_deletions=True)
    assert asked == {"run_id": result.run_id, "kind": "manual", "options": options}


def test_a_reconciliation_shows_what_differed_and_mends_it(execute: Execute, company: Rig) -> None:
    names = ("cards", "card_transactions")
    company.world.collection("card_transactions").add(spent("old", "2020-01-01"))
    execute(*names)
    company.world.collection("card_transactions").edit("old", description="edited")
    chosen = {"ops": {"brex_tables": {"config": {"reconcile": True}}}}
    shown = made(execute(*names, run_config=chosen))
    told = "0 missing, 1 stale, 0 gone\nstale: old (description)"
    assert shown["card_transactions"]["differed_from_brex"] == told
    assert shown["cards"]["differed_from_brex"] == "nothing differed"
    assert "differed_from_brex" not in made(execute(*names))["cards"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"reconcile": True, "since": "soon"}, "since: 'soon' is no date such as 2026-11-24"),
        ({"reconcile": True, "since": "2099-01-01"}, "2099-01-01 is in the future"),
        ({"since": "2020-01-01"}, "since: it goes with `reconcile` or `backfill`"),
        ({"backfill": True}, "users has no date filter at Brex"),
    ],
)
def test_a_choice_that_does_nothing_is_told_in_a_sentence(
    execute: Execute, asked: dict[str, Any], why: str
) -> None:
    chosen = {"ops": {"brex_tables": {"config": asked}}}
    assert failure(execute("users", run_config=chosen)).startswith(f"Nothing was synced. {why}")


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        ({}, "manual"),
        ({"dagster/schedule_name": "brex_schedule"}, "schedule"),
        ({"dagster/sensor_name": "brex_first_sync"}, "schedule"),
    ],
)
def test_the_log_of_runs_says_what_started_them(
    execute: Execute, company: Rig, tags: dict[str, str], kind: str
) -> None:
    run_id = execute("users", tags=tags).run_id
    assert company.rows("SELECT run_id, kind, state FROM brex_sync.runs") == [
        (run_id, kind, "finished")
    ]


@pytest.mark.parametrize(
    "again", [{"dagster/retry_number": "1"}, {"dagster/is_resume_retry": "true"}]
)
def test_a_retry_takes_up_only_what_is_unfinished(
    execute: Execute, company: Rig, asked: dict[str, Any], again: dict[str, str]
) -> None:
    first = execute("users").run_id
    company.requests.clear()
    tags = again | {"dagster/root_run_id": first}
    shown = made(_retry(execute, tags))
    assert set(shown) == {"users", "cards"}
    assert shown["users"]["dagster/row_count"] > 0
    assert shown["users"]["synced_through"]
    assert asked["run_id"] == first
    assert {request.path for request in company.requests} == {"/v2/cards"}


def _retry(execute: Execute, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    return execute("users", "cards", tags=tags)


@pytest.mark.parametrize("doubt", [None, "the list lost half of its rows"])
def test_missing_rows_in_doubt_fail_the_check_with_the_reason_and_others_wait(
    execute: Execute, check_alone: CheckAlone, company: Rig, doubt: str | None
) -> None:
    execute("users")
    row = {"connection": "brex", "stream": "users", "slice": "", "run_id": "r", "doubt": doubt}
    with company.engine.begin() as db:
        missing = [row | {"key": f"u{n}", "since": sa.func.now()} for n in range(7)]
        db.execute(sa.insert(missing_rows).values(missing))
    check = check_alone("users", checks.COUNTS)
    assert check.passed is (doubt is None)
    assert (doubt or "a later run decides") in str(check.description)
    assert check.metadata["not_marked_as_deleted"].value == 7


def test_a_check_alone_reads_nothing_from_brex(
    execute: Execute, check_alone: CheckAlone, company: Rig
) -> None:
    execute("users")
    company.requests.clear()
    check = check_alone("users", checks.KEYS)
    assert check.passed
    assert not company.requests


def test_the_first_sync_is_asked_for_once(
    execute: Execute, build: Build, database_url: str
) -> None:
    sensor = (
        build(BREX_SYNC_DATABASE_URL=database_url)
        .get_repository_def()
        .get_sensor_def("brex_first_sync")
    )
    asked = sensor(dg.build_sensor_context())
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == "first sync of brex"
    execute("users")
    answer = sensor(dg.build_sensor_context())
    assert isinstance(answer, dg.SkipReason)
    assert "synced before" in str(answer.skip_message)


def test_statements_that_do_not_add_up_are_a_warning_with_numbers_and_rows(
    execute: Execute, company: Rig
) -> None:
    truth = company.world.collection("card_statements")
    [first, *_] = truth.items()
    end = first["end_balance"]["amount"]
    truth.edit(first["id"], end_balance={"amount": end + 7, "currency": "USD"})
    kinds = ("accounts", "transactions", "statements")
    result = execute(*(f"{of}_{kind}" for of in ("card", "cash") for kind in kinds))
    assert result.success
    card, cash = (
        next(c for c in result.get_asset_check_evaluations()
             if (c.asset_key.path[-1], c.check_name) == (name, checks.STATEMENTS))
        for name in ("card_statements", "cash_statements")
    )  # fmt: skip
    assert cash.passed
    assert not card.passed
    assert card.severity is dg.AssetCheckSeverity.WARN
    assert f"ends with {end + 7} at Brex and {end} by the transactions" in card.description
    assert card.metadata["that_do_not_add_up"].value == 1
    assert len(str(card.metadata[first["id"]].value).splitlines()) > 1
