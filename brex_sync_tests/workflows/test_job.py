"""Workflows as Dagster jobs, run in this process and re-executed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from brex_sync import definitions
from brex_sync.http_server import running
from brex_sync.orchestration.workflows import WAITING, form_of
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.settings import load_settings
from brex_sync.warehouse.workflows import waits
from brex_sync.workflows import load
from brex_sync_tests.conftest import REFUSED
from brex_sync_tests.workflows.conftest import Desk

Execute = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def execute(
    desk: Desk, leaver: str, clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Execute]:
    """Runs a workflow's job with what the launchpad would give it."""
    url = desk.rig.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("BREX_SYNC_DATABASE_URL", url)
    with ExitStack() as stack:
        monkeypatch.setenv("BREX_API_URL", stack.enter_context(running(desk.rig.app)))
        load_settings.cache_clear()
        repository = definitions.build().get_repository_def()

        def run(name: str, given: dict[str, Any], **kw: Any) -> dg.ExecuteInProcessResult:
            config = {"ops": {f"perform_{name}": {"config": given}}}
            job = repository.get_job(name)
            return job.execute_in_process(run_config=config, raise_on_error=False, **kw)

        yield run


def failure(result: dg.ExecuteInProcessResult) -> str:
    [step] = [event for event in result.all_events if event.is_step_failure]
    assert step.step_failure_data.user_failure_data is not None, step.step_failure_data.error
    return str(step.step_failure_data.user_failure_data.description)


def test_a_job_performs_the_workflow_and_shows_what_was_done(execute: Execute, desk: Desk) -> None:
    result = execute("lock_card", {"card_id": "c1", "reason": "FRAUD"})
    assert result.success
    assert desk.item("cards", "c1")["status"] == "LOCKED"
    assert desk.writes[0].body == {"reason": "FRAUD", "description": None}
    by = desk.rig.one("SELECT asked_by FROM brex_sync.writes")
    assert by == f"Dagster run {result.run_id}"
    (output,) = [e for e in result.all_events if e.is_successful_output]
    assert output.step_output_data.metadata["writes"].value == 1


def test_re_executed_it_goes_on_with_what_is_left(execute: Execute, desk: Desk) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=403, body=REFUSED)
    )
    given = {"user_id": "leaver", "cards": "terminate", "confirm": True}
    failed = execute("offboard_user", given)
    told = failure(failed)
    assert told.startswith("disable user: PUT /v2/users/leaver answered 403: no scope")
    assert "3 steps are complete: terminate card " in told
    assert "completed steps are not repeated" in told
    tags = {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    assert execute("offboard_user", given, tags=tags).success
    assert len(desk.did()) == len(set(desk.did())) == 4
    changed = execute("offboard_user", given | {"reason": "FRAUD"}, tags=tags)
    assert "was started with other inputs" in failure(changed)


def test_it_asks_before_what_cannot_be_undone(execute: Execute, desk: Desk) -> None:
    told = failure(execute("terminate_card", {"card_id": "c1"}))
    assert told == (
        "Nothing was written. Card c1 is ended for good. Set confirm to true if that is wanted."
    )
    assert not desk.rig.world.writes


def test_a_run_that_waits_ends_well_and_the_sensor_goes_on_with_it(
    execute: Execute, desk: Desk
) -> None:
    given = {"first_name": "A", "last_name": "L", "email": "a@x.example", "card_name": "First"}
    result = execute("invite_user", given | {"confirm": True})
    assert result.success
    (output,) = [e for e in result.all_events if e.is_successful_output]
    told = output.step_output_data.metadata["waiting_for"].value
    assert "waits until status is ACTIVE; status is INVITED" in told
    sensor = definitions.build().get_repository_def().get_sensor_def(WAITING)

    def tick() -> str:
        if desk.rig.rows("SELECT FROM brex_sync.workflow_runs WHERE next_look_at IS NOT NULL"):
            waits.make_due(desk.rig.engine, "brex")
        with dg.build_sensor_context() as context:
            evaluated = sensor.evaluate_tick(context)
        return str(evaluated.skip_message)

    assert "waits until status is ACTIVE" in tick()
    user = desk.first("users", email="a@x.example")["id"]
    desk.rig.world.collection("users").edit(user, status="ACTIVE")
    assert tick() == f"{result.run_id}: finished"
    assert desk.first("cards", card_name="First")["owner"]["user_id"] == user
    assert tick() == "no waiting workflow run is due"


def test_a_run_that_fails_while_it_waits_fails_the_tick(execute: Execute, desk: Desk) -> None:
    given = {"first_name": "A", "last_name": "L", "email": "a@x.example", "card_name": "First"}
    result = execute("invite_user", given | {"confirm": True})
    user = desk.first("users", email="a@x.example")["id"]
    desk.rig.world.collection("users").edit(user, status="DISABLED")
    waits.make_due(desk.rig.engine, "brex")
    sensor = definitions.build().get_repository_def().get_sensor_def(WAITING)
    told = f"workflow run {result.run_id} failed: accept invitation: status is DISABLED"
    with dg.build_sensor_context() as context, pytest.raises(dg.Failure, match=told):
        sensor.evaluate_tick(context)


def test_a_rehearsal_writes_nothing(execute: Execute, desk: Desk) -> None:
    assert execute("offboard_user", {"user_id": "leaver", "dry_run": True}).success
    assert not desk.rig.world.writes


def test_bad_lines_fail_the_run_before_anything_is_written(
    execute: Execute, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "memos.csv").write_text("expense_id,memo\ne1,\ne2,Zoë\n")
    told = failure(execute("set_memos", {"memos": str(tmp_path / "memos.csv")}))
    assert told == (
        "Nothing was written. line 2: memo: Field required\n"
        "line 3: memo: Brex takes only plain (ASCII) characters"
    )


def test_the_form_has_types_choices_and_no_secret() -> None:
    vendor = form_of(load()["create-vendor"], ["brex", "brex_uk"]).to_fields_dict()
    assert set(vendor) == {"company_name", "email", "phone", "connection", "confirm", "dry_run"}
    leaver = form_of(load()["offboard-user"], ["brex", "brex_uk"]).to_fields_dict()
    assert leaver["user_id"].is_required
    assert leaver["cards"].default_value == "lock"
    assert choices(leaver["cards"]) == ["lock", "terminate"]
    assert choices(leaver["connection"]) == ["brex", "brex_uk"]


def choices(field: Any) -> list[str]:
    kind = getattr(field.config_type, "inner_type", field.config_type)
    return [value.config_value for value in kind.enum_values]
