"""The log of runs tells, in columns to chart, what every run did to every stream."""

from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from brex_sync.errors import LeaseLost
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.streams import STREAMS, VIEWS
from brex_sync.warehouse.prepare.tables import prepare
from brex_sync.warehouse.state import run_log
from brex_sync.warehouse.state.leases import Terms
from brex_sync_tests.conftest import SHORT, end_leases
from brex_sync_tests.engine.crashing import CARDS, Moment, command
from brex_sync_tests.engine.items import day, spend, spent
from brex_sync_tests.waiting import wait_until

COUNTS = "fetched, inserted, updated, unchanged, deleted, quarantined"


def test_a_run_and_its_streams_are_noted_with_their_numbers(rig: Any) -> None:
    spend(rig, 4)
    rig.sync("card_transactions")
    truth = rig.world.collection("card_transactions")
    truth.edit("t0000", description="edited")
    truth.delete("t0001")
    truth.add(spent("bad", day(rig.world, 0)) | {"amount": "much"})
    rig.sync("card_transactions")
    assert rig.rows(f"SELECT {COUNTS} FROM brex_sync.run_streams ORDER BY id") == [
        (4, 4, 0, 0, 0, 0),
        (4, 0, 1, 2, 0, 1),
    ]
    [(state, through, requests, seconds)] = rig.rows(
        "SELECT s.state, synced_through, requests, seconds FROM brex_sync.runs r "
        "JOIN brex_sync.run_streams s USING (run_id) "
        "WHERE r.state = 'finished' AND r.kind = 'manual' "
        "AND r.started_at <= s.started_at AND s.finished_at <= r.finished_at "
        "ORDER BY r.started_at LIMIT 1"
    )
    assert (state, str(through), requests) == ("finished", day(rig.world, 0), 1)
    assert seconds > 0


def test_a_failed_stream_fails_its_run_and_says_why(company: Any) -> None:
    company.faults.add(Fault(FaultKind.STATUS, path="/v2/cards", times=None, status=500))
    company.sync("users", "cards")
    assert company.rows(
        "SELECT r.state, s.stream, s.state, s.message LIKE '%500%', s.synced_through IS NULL "
        "FROM brex_sync.runs r JOIN brex_sync.run_streams s USING (run_id) ORDER BY stream"
    ) == [
        ("failed", "cards", "failed", True, True),
        ("failed", "users", "finished", None, False),
    ]


def test_a_run_that_is_cut_off_is_not_called_finished(rig: Any) -> None:
    spend(rig, 4)

    class Stop(BaseException):
        pass

    def stop(_: Any) -> None:
        raise Stop

    with pytest.raises((Stop, BaseExceptionGroup)):
        rig.sync("card_transactions", progress=stop)
    for log in ("runs", "run_streams"):
        found = rig.rows(f"SELECT state, finished_at IS NULL FROM brex_sync.{log}")
        assert found == [("stopped", False)]


LOG = (
    "SELECT r.state, s.stream, s.state, r.finished_at IS NULL, s.finished_at IS NULL "
    "FROM brex_sync.runs r JOIN brex_sync.run_streams s USING (run_id) "
    "ORDER BY r.started_at, s.id"
)


def test_a_run_that_was_killed_is_called_interrupted_by_the_next_and_one_that_lives_is_not(
    rig: Any, tmp_path: Path
) -> None:
    rig.faults.add(Fault(FaultKind.HANG, CARDS))
    seen: list[Any] = []

    def look_and_kill(child: Any) -> None:
        rig.sync("titles")
        seen.extend(rig.rows(LOG))
        child.kill()

    ended = command(
        rig, tmp_path, "--stream", "card_transactions", moment=Moment(1, 0), strike=look_and_kill
    )
    assert ended.code == -SIGKILL
    living = ("running", "card_transactions", "running", True, True)
    other = ("finished", "titles", "finished", False, False)
    assert seen == [living, other]
    assert rig.rows(LOG) == seen
    end_leases(rig.engine)
    rig.sync("titles")
    dead = ("interrupted", "card_transactions", "interrupted", False, False)
    assert rig.rows(LOG) == [dead, other, other]
    heard_of = "SELECT finished_at = started_at FROM brex_sync.runs WHERE state = 'interrupted'"
    assert rig.one(heard_of)


def test_an_attempt_that_was_killed_is_told_from_the_next_at_the_same_run(
    rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(rig, 4)
    with monkeypatch.context() as killed:
        killed.setattr(run_log, "finish", lambda *_: None)
        killed.setattr(run_log, "finish_stream", lambda *_: None)
        rig.sync("card_transactions", run_id="one")
    rig.sync("card_transactions", run_id="one")
    assert [row[0::2] for row in rig.rows(LOG)] == [
        ("finished", "interrupted", False),
        ("finished", "finished", False),
    ]


def test_a_run_that_was_taken_for_dead_stops_and_leaves_the_log_to_the_next(rig: Any) -> None:
    spend(rig, 4)
    rig.faults.add(Fault(FaultKind.HANG, "/v2/cards"))

    def take_for_dead(report: Any) -> None:
        if report.stream != "card_transactions" or rig.rows("SELECT FROM brex_sync.leases") == []:
            return

        def is_buried() -> bool:
            """Unless a heartbeat came in between."""
            end_leases(rig.engine)
            return bool(run_log.mark_interrupted(rig.engine, run_log.dead(rig.engine)) == ["one"])

        wait_until(is_buried)

    with pytest.raises(LeaseLost, match="run one was suspended"):
        rig.sync(
            *("card_transactions", "cards"),
            progress=take_for_dead,
            run_id="one",
            lease_terms=Terms(beat=0.05),
            patience=replace(SHORT, deadline=100, total=100),
        )
    states = {row[0] for row in rig.rows(LOG)}
    assert states == {"interrupted"}
    assert rig.sync("card_transactions", "cards").finished


def test_a_run_whose_lease_ended_goes_on_if_nobody_took_it_for_dead(rig: Any) -> None:
    spend(rig, 4)

    def sleep_through(report: Any) -> None:
        end_leases(rig.engine)

    assert rig.sync("card_transactions", progress=sleep_through).finished
    assert rig.rows(LOG) == [("finished", "card_transactions", "finished", False, False)]


def test_a_run_outlives_a_restart_of_its_sessions(rig: Any) -> None:
    spend(rig, 4)

    def cut_off(report: Any) -> None:
        with rig.engine.begin() as db:
            db.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                "datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert run_log.mark_interrupted(rig.engine, run_log.dead(rig.engine)) == []

    assert rig.sync("card_transactions", progress=cut_off).finished
    assert rig.rows(LOG) == [("finished", "card_transactions", "finished", False, False)]


def test_a_run_of_another_connection_is_left_alone(rig: Any) -> None:
    with rig.engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO brex_sync.runs (run_id, connection, kind, started_at, state) "
            "VALUES ('theirs', 'other', 'manual', now(), 'running')"
        )
    rig.sync("titles")
    assert rig.one("SELECT state FROM brex_sync.runs WHERE run_id = 'theirs'") == "running"


def test_a_warehouse_of_an_older_version_gets_the_columns_and_goes_on(apart: Any) -> None:
    with apart.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE brex_sync.runs")
        db.exec_driver_sql("ALTER TABLE brex_sync.run_streams ADD COLUMN counts jsonb NOT NULL")
        db.exec_driver_sql("ALTER TABLE brex_sync.run_streams DROP COLUMN fetched")
        db.exec_driver_sql("ALTER TABLE brex_sync.run_streams ALTER finished_at SET NOT NULL")
        db.exec_driver_sql("COMMENT ON SCHEMA brex_sync IS 'of an older version'")
    spend(apart, 2)
    assert apart.sync("card_transactions").finished
    assert apart.rows("SELECT fetched, counts FROM brex_sync.run_streams") == [(2, None)]


def test_preparing_again_takes_no_lock(rig: Any) -> None:
    prepare(rig.warehouse, STREAMS.values(), VIEWS.values())
    with rig.engine.begin() as reader:
        reader.exec_driver_sql("LOCK TABLE brex.users, brex_sync.runs IN ACCESS EXCLUSIVE MODE")
        prepare(rig.warehouse, STREAMS.values(), VIEWS.values())
