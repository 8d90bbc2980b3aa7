"""A connection's health in Dagster: kept alive, shown, told once, and skipped while it is ill."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from brex_sync.connections.credentials import now_utc
from brex_sync.errors import PostgresUnavailable
from brex_sync.orchestration.connection import CHECK
from brex_sync.sandbox.oauth import CLIENT_ID, CLIENT_SECRET, ISSUER
from brex_sync_tests.connections.conftest import Desk, desk, new_desk
from brex_sync_tests.connections.test_alerts import Target, target
from brex_sync_tests.orchestration.conftest import Build

__all__ = ["desk", "new_desk", "target"]
HEALTH = dg.AssetKey(["brex", "connection"])
Repository = Callable[[], dg.RepositoryDefinition]
Keep = Callable[[], dg.ExecuteInProcessResult]


@pytest.fixture
def repository(build: Build, desk: Desk, database_url: str, target: Target) -> Repository:
    """The definitions of one connection by OAuth, with an alert target."""

    def load() -> dg.RepositoryDefinition:
        return build(
            BREX_CONFIGURATION="brex",
            BREX_CLIENT_ID=CLIENT_ID,
            BREX_CLIENT_SECRET=CLIENT_SECRET,
            BREX_API_URL=desk.url,
            BREX_AUTH_URL=desk.url + ISSUER,
            BREX_SYNC_DATABASE_URL=database_url,
            BREX_SYNC_ALERT_URL=target.url,
        ).get_repository_def()

    return load


@pytest.fixture
def keep(repository: Repository) -> Keep:
    """Runs the keepalive job."""
    return lambda: repository().get_job("brex_keepalive").execute_in_process(raise_on_error=False)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.get_asset_materialization_events()
    return {label: value.value for label, value in event.materialization.metadata.items()}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.check_name == CHECK
    return evaluation


def tick(repository: Repository) -> dg.RunRequest | dg.SkipReason:
    """What the schedule does now."""
    context = dg.build_schedule_context(scheduled_execution_time=now_utc())
    return repository().get_schedule_def("brex_schedule")(context)  # type: ignore[return-value]


def look(repository: Repository, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """What the keepalive sensor decides."""
    context = dg.build_sensor_context(cursor=cursor)
    return repository().get_sensor_def("brex_keepalive")(context)  # type: ignore[return-value]


def test_the_health_is_an_asset_beside_the_tables(repository: Repository) -> None:
    repo = repository()
    assert HEALTH in repo.asset_graph.get_all_asset_keys()
    assert repo.get_sensor_def("brex_keepalive").default_status is dg.DefaultSensorStatus.RUNNING


def test_what_is_fresh_is_shown_and_left_alone(keep: Keep, desk: Desk) -> None:
    desk.oauth()
    result = keep()
    assert check(result).passed
    found = shown(result)
    assert (found["state"], found["days_left"]) == ("CONNECTED", 90)
    assert "users.readonly" in found["scopes"]
    assert desk.refreshes == []


def test_what_is_due_is_renewed_and_a_warning_comes_from_60_days_on(keep: Keep, desk: Desk) -> None:
    desk.oauth()
    desk.age(days=61)
    desk.faults.add(_token_endpoint_down())
    warned = check(keep())
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warned.metadata["days_left"].value == 29
    desk.age(hours=1)
    assert check(keep()).passed
    assert desk.refreshes == ["HTTP 503", ""]


def _token_endpoint_down() -> Any:
    from brex_sync.sandbox.faults import Fault, FaultKind

    return Fault(FaultKind.STATUS, f"{ISSUER}/v1/token", status=503)


def test_after_91_days_a_check_fails_one_alert_is_sent_and_syncs_are_skipped(
    keep: Keep, desk: Desk, repository: Repository, target: Target
) -> None:
    desk.oauth()
    assert isinstance(tick(repository), dg.RunRequest)
    desk.age(days=91)
    result = keep()
    assert (check(result).passed, check(result).severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert shown(result)["state"] == "RECONNECT_REQUIRED"
    for _ in range(3):
        skipped = tick(repository)
        assert isinstance(skipped, dg.SkipReason)
        assert "brex-sync connect brex" in str(skipped.skip_message)
        keep()
    first = repository().get_sensor_def("brex_first_sync")(dg.build_sensor_context())
    assert isinstance(first, dg.SkipReason)
    assert "brex-sync connect brex" in str(first.skip_message)
    assert desk.refreshes == ["invalid_grant"]
    assert len(target.told) == 1
    desk.oauth()
    assert isinstance(tick(repository), dg.RunRequest)
    assert check(keep()).passed


def test_a_run_started_by_hand_says_what_to_do(repository: Repository, desk: Desk) -> None:
    desk.oauth()
    desk.age(days=91)
    result = repository().get_job("brex_sync").execute_in_process(raise_on_error=False)
    [step] = [e for e in result.all_events if e.is_step_failure]
    assert step.step_failure_data.user_failure_data is not None
    told = str(step.step_failure_data.user_failure_data.description)
    assert told.startswith("Nothing was synced. brex must be connected again: ")
    assert "Run `brex-sync connect brex`" in told


def test_the_sensor_asks_once_for_what_is_due(repository: Repository, desk: Desk) -> None:
    desk.oauth()
    first = look(repository)
    assert isinstance(first, dg.SensorResult)
    assert [r.run_key for r in first.run_requests or []] == [None]
    assert isinstance(look(repository, first.cursor), dg.SkipReason)
    desk.age(hours=21)
    due = [look(repository, first.cursor) for _ in range(2)]
    keys = {r.run_key for d in due for r in d.run_requests or []}  # type: ignore[union-attr]
    assert len(keys) == 1
    assert None not in keys
    assert desk.refreshes == []


def test_the_sensor_notices_that_a_person_is_needed_and_is_quiet_afterwards(
    repository: Repository, desk: Desk
) -> None:
    desk.oauth()
    before = look(repository)
    desk.age(days=91)
    with pytest.raises(Exception, match="invalid_grant"):
        desk.credentials().keep_alive()
    noticed = look(repository, before.cursor)  # type: ignore[union-attr]
    assert isinstance(noticed, dg.SensorResult)
    assert len(noticed.run_requests or []) == 1
    assert isinstance(look(repository, noticed.cursor), dg.SkipReason)


def test_a_warehouse_that_is_away_is_said_and_does_not_stop_the_schedule(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise PostgresUnavailable("connection refused")

    monkeypatch.setattr("brex_sync.orchestration.connection.open_warehouse", away)
    assert isinstance(tick(repository), dg.RunRequest)
    skipped = look(repository)
    assert isinstance(skipped, dg.SkipReason)
    assert "connection refused" in str(skipped.skip_message)


def test_a_lost_key_is_told_once_though_nothing_can_be_opened(
    keep: Keep, desk: Desk, target: Target
) -> None:
    desk.oauth()
    desk.age(days=2)
    (desk.home / "encryption.key").unlink()
    for _ in range(3):
        failed = check(keep())
        assert not failed.passed
        assert "BREX_SYNC_ENCRYPTION_KEY" in str(failed.description)
    assert len(target.told) == 1
    assert desk.row().used_at is not None
    assert desk.now() - (desk.row().used_at or desk.now()) > timedelta(days=1)
