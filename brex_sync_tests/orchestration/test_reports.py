"""The month's report: an asset of the file, made on the 5th and once after each close."""

import re
import stat
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pytest
import sqlalchemy as sa

from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.state import closes
from brex_sync_tests.orchestration.conftest import Build
from brex_sync_tests.pages.conftest import Shown, make_marts

Run = Callable[..., dg.ExecuteInProcessResult]
OCTOBER, NOVEMBER = date(2025, 10, 1), date(2025, 11, 1)
CLOSED = date(2026, 1, 5)


@pytest.fixture
def repository(build: Build, database_url: str) -> dg.RepositoryDefinition:
    return build(BREX_SYNC_DATABASE_URL=database_url).get_repository_def()


@pytest.fixture
def run(repository: dg.RepositoryDefinition) -> Run:
    """Runs the job of the report, of the month given."""

    def go(month: str | None = None) -> dg.ExecuteInProcessResult:
        chosen = {} if month is None else {"month": month}
        return repository.get_job("brex_month_report").execute_in_process(
            run_config={"ops": {"brex_make_report": {"config": chosen}}}, raise_on_error=False
        )

    return go


@pytest.fixture
def look(repository: dg.RepositoryDefinition) -> Callable[[str | None], Any]:
    """What the sensor of closes decides, with a cursor of earlier."""

    def evaluate(cursor: str | None = None) -> Any:
        context = dg.build_sensor_context(cursor=cursor)
        return repository.get_sensor_def("brex_report_closes")(context)

    return evaluate


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(["brex", "month_report"])
    return {label: value.value for label, value in event.materialization.metadata.items()}


def month_of(result: Any) -> str:
    """The month of the one run that a tick starts."""
    assert isinstance(result, dg.SensorResult), result
    [request] = result.run_requests or []
    month = str(request.run_config["ops"]["brex_make_report"]["config"]["month"])
    assert month in str(request.run_key)
    return month


def last_month(engine: sa.Engine) -> date:
    with engine.connect() as db:
        today: date = db.execute(sa.text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def test_the_report_of_the_last_month_is_a_private_file_with_its_picture(
    run: Run, database_url: str, engine: sa.Engine, tmp_path: Path
) -> None:
    make_marts(database_url)
    month = f"{last_month(engine):%Y-%m}"
    result = run()
    assert result.success
    file = tmp_path / "reports" / f"brex-{month}.html"
    assert "80.00 USD" in Shown(file.read_text()).text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    found = shown(result)
    assert (found["path"], found["month"]) == (str(file), month)
    assert found["bytes"] == file.stat().st_size
    assert "80.00 USD" in found["picture"]
    assert "day 1 to day 31, 0.00 to 80.00." in found["picture"]
    [image] = re.findall(r"\(data:image/svg\+xml;base64,([^)]+)\)", found["picture"])
    drawn = ElementTree.fromstring(b64decode(image))  # noqa: S314 - it is ours
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_a_report_is_replaced_whole(run: Run, database_url: str, tmp_path: Path) -> None:
    make_marts(database_url)
    folder = tmp_path / "reports"
    folder.mkdir(0o755)
    file = folder / "brex-2025-10.html"
    file.write_text("an earlier report")
    assert run("2025-10").success
    assert "brex, October 2025" in Shown(file.read_text()).text
    assert [path.name for path in folder.iterdir()] == [file.name]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_month_without_spend_says_so(run: Run, database_url: str) -> None:
    make_marts(database_url)
    result = run("2020-01")
    assert result.success
    assert "There is no spend in January 2020." in shown(result)["picture"]


def test_before_the_first_sync_a_report_says_that_there_is_nothing(
    run: Run, tmp_path: Path
) -> None:
    result = run("2025-10")
    assert result.success
    assert "Nothing yet" in shown(result)["picture"]
    assert "Nothing yet" in (tmp_path / "reports" / "brex-2025-10.html").read_text()


@pytest.mark.parametrize(
    ("month", "told"), [("2999-01", "has not begun"), ("October", "is not a month")]
)
def test_a_report_that_cannot_be_made_fails_with_one_sentence(
    run: Run, tmp_path: Path, month: str, told: str
) -> None:
    result = run(month)
    assert not result.success
    [step] = [event for event in result.all_events if event.is_step_failure]
    assert step.step_failure_data.user_failure_data is not None
    said = str(step.step_failure_data.user_failure_data.description)
    assert told in said
    assert said.startswith("No report was made: ")
    assert "\n" not in said
    assert not (tmp_path / "reports").exists()


def test_a_warehouse_that_is_away_fails_with_one_sentence(build: Build) -> None:
    away = build(BREX_SYNC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    result = (
        away.get_repository_def()
        .get_job("brex_month_report")
        .execute_in_process(raise_on_error=False)
    )
    [step] = [event for event in result.all_events if event.is_step_failure]
    assert step.step_failure_data.user_failure_data is not None
    said = str(step.step_failure_data.user_failure_data.description)
    assert said.startswith("No report was made: ")
    assert "\n" not in said
    sensor = away.get_repository_def().get_sensor_def("brex_report_closes")
    assert isinstance(sensor(dg.build_sensor_context()), dg.SkipReason)


@pytest.mark.parametrize(
    ("tick", "month"),
    [
        (datetime(2026, 11, 5, 6, tzinfo=UTC), "2026-10"),
        (datetime(2026, 1, 5, 6, tzinfo=UTC), "2025-12"),
    ],
)
def test_the_schedule_makes_the_report_of_the_month_before(
    repository: dg.RepositoryDefinition, tick: datetime, month: str
) -> None:
    schedule = repository.get_schedule_def("brex_report_monthly")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 5 * *", "UTC")
    answer = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=tick))
    [request] = answer.run_requests or []
    assert request.run_config == {"ops": {"brex_make_report": {"config": {"month": month}}}}
    assert dg.validate_run_config(repository.get_job("brex_month_report"), request.run_config)


def test_each_close_makes_one_report_and_a_tick_starts_one_run(
    look: Callable[..., Any], engine: sa.Engine
) -> None:
    warehouse = Warehouse(engine, "brex")
    assert isinstance(look(), dg.SkipReason)
    closes.close(warehouse, NOVEMBER, CLOSED)
    closes.close(warehouse, OCTOBER, CLOSED)
    closes.close(Warehouse(engine, "another"), date(2025, 9, 1), CLOSED)
    first = look()
    assert month_of(first) == "2025-10"
    second = look(first.cursor)
    assert month_of(second) == "2025-11"
    assert isinstance(look(second.cursor), dg.SkipReason)


def test_a_month_that_is_closed_again_has_its_report_made_again(
    look: Callable[..., Any], engine: sa.Engine
) -> None:
    warehouse = Warehouse(engine, "brex")
    closes.close(warehouse, OCTOBER, CLOSED)
    first = look()
    assert closes.reopen(warehouse, OCTOBER)
    assert isinstance(look(first.cursor), dg.SkipReason)
    closes.close(warehouse, OCTOBER, CLOSED)
    again = look(first.cursor)
    assert month_of(again) == "2025-10"
    assert again.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_close_on_a_later_day_waits_for_that_day(
    look: Callable[..., Any], engine: sa.Engine
) -> None:
    closes.close(Warehouse(engine, "brex"), OCTOBER, date(2999, 1, 1))
    assert isinstance(look(), dg.SkipReason)
