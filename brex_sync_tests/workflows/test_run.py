"""How workflows are performed: noted, continued, refused."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from brex_sync.connections.vault import Vault, new_key
from brex_sync.errors import OtherInputs, PostgresError, RunBusy, WorkflowError
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.warehouse.schema.roles import let_people_read
from brex_sync.warehouse.state.leases import Terms
from brex_sync.warehouse.workflows import workflow_runs
from brex_sync.warehouse.workflows.workflow_runs import RunState
from brex_sync.workflows.run_request import recall
from brex_sync.workflows.step_runner import idempotency_key
from brex_sync_tests.conftest import FOR_HUNG, REFUSED, end_leases
from brex_sync_tests.workflows.conftest import Desk

RUN = "4f1c9a52-7d55-4d6f-8f3e-0a7d2b1c9e01"
LOCK_1, LOCK_2 = ("POST", "/v2/cards/c1/lock"), ("POST", "/v2/cards/c2/lock")
DISABLE = ("PUT", "/v2/users/leaver")


def test_offboarding_locks_what_is_open_and_disables(desk: Desk, leaver: str) -> None:
    outcome = desk.perform("offboard-user", user_id=leaver)
    assert (outcome.error, outcome.stale) == (None, ())
    assert sorted(desk.did()[:2]) == [LOCK_1, LOCK_2]
    assert desk.did()[2:] == [DISABLE]
    assert desk.item("users", leaver)["status"] == "DISABLED"
    assert desk.rig.rows("SELECT id, status FROM brex.cards ORDER BY id") == [
        ("c1", "LOCKED"),
        ("c2", "LOCKED"),
    ]
    assert desk.rig.rows("SELECT id, status FROM brex.users") == [(leaver, "DISABLED")]


def test_a_run_that_is_done_is_not_done_again(desk: Desk, leaver: str) -> None:
    first = desk.perform("offboard-user", RUN, user_id=leaver)
    asked = len(desk.rig.requests)
    assert desk.perform("offboard-user", RUN, user_id=leaver) == first
    assert len(desk.rig.requests) == asked


def test_a_run_is_never_taken_for_another(desk: Desk, leaver: str) -> None:
    desk.perform("offboard-user", RUN, user_id=leaver)
    with pytest.raises(OtherInputs, match="with other inputs"):
        desk.perform("offboard-user", RUN, user_id=leaver, cards="terminate")
    with pytest.raises(OtherInputs, match="of another workflow"):
        desk.perform("lock-card", RUN, card_id="c3")


def test_what_failed_is_told_and_what_stands_is_not_done_again(desk: Desk, leaver: str) -> None:
    refusal = '{"type": "FORBIDDEN", "message": "Missing required scope"}'
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=403, body=refusal)
    )
    outcome = desk.perform("offboard-user", RUN, user_id=leaver)
    assert outcome.error is not None
    assert outcome.error.startswith(
        "disable user: PUT /v2/users/leaver answered 403: Missing required scope (Brex trace id "
    )
    assert (outcome.refused, len(outcome.steps)) == (True, 2)
    assert desk.rig.one("SELECT state FROM brex_sync.workflow_runs") == "failed"
    assert desk.rig.one("SELECT count(*) FROM brex.cards WHERE status = 'LOCKED'") == 2
    again = desk.perform("offboard-user", RUN, user_id=leaver)
    assert (again.error, len(again.steps)) == (None, 3)
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]
    keys = desk.rig.rows("SELECT idempotency_key, status FROM brex_sync.writes WHERE method='PUT'")
    assert keys == [
        (idempotency_key(RUN, "disable user"), 403),
        (idempotency_key(RUN, "disable user", 1), 200),
    ]
    assert keys[0][0] != keys[1][0]


def test_a_card_that_brex_does_not_lock_stops_no_other(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/cards/c2/lock", "POST", status=400, body=REFUSED)
    )
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/cards/c1/lock", "POST", status=400, body=REFUSED)
    )
    outcome = desk.perform("offboard-user", user_id=leaver)
    assert outcome.error is not None
    assert sorted(line.partition(":")[0] for line in outcome.error.splitlines()) == [
        "lock card c1",
        "lock card c2",
    ]
    assert not desk.did()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.DONE_STATUS, status=500),
        Fault(FaultKind.HANG),
        Fault(FaultKind.HTML),
        Fault(FaultKind.TRUNCATED),
        Fault(FaultKind.EMPTY),
        Fault(FaultKind.STATUS, status=429, headers={"Retry-After": "0"}),
    ],
    ids=lambda fault: fault.kind.value + str(fault.status),
)
def test_a_write_whose_answer_is_spoilt_is_done_once(desk: Desk, leaver: str, fault: Any) -> None:
    fault.path, fault.method, fault.times = "/v2/cards/c1/lock", "POST", 1
    desk.rig.faults.add(fault)
    if fault.kind is FaultKind.HANG:
        desk.patience = FOR_HUNG
    outcome = desk.perform("offboard-user", user_id=leaver)
    assert outcome.error is None
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]
    spoilt = desk.rig.rows("SELECT attempts, status FROM brex_sync.writes WHERE path LIKE '%c1%'")
    assert spoilt == [(2, 200)]


def test_an_outcome_that_is_not_known_is_told_and_asked_for_with_the_same_key(
    desk: Desk, leaver: str
) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.DONE_STATUS, "/v2/cards/c1/lock", "POST", times=3, status=503)
    )
    outcome = desk.perform("offboard-user", RUN, user_id=leaver)
    assert outcome.error is not None
    assert "lock card c1: POST /v2/cards/c1/lock answered 503" in outcome.error
    assert "whether Brex did it is not known" in outcome.error
    assert not outcome.refused
    assert DISABLE not in desk.did()
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]
    assert desk.rig.rows(
        "SELECT idempotency_key, attempts, status FROM brex_sync.writes "
        "WHERE path LIKE '%c1%' ORDER BY id"
    ) == [
        (idempotency_key(RUN, "lock card c1"), 3, 503),
        (idempotency_key(RUN, "lock card c1"), 1, 200),
    ]


def test_a_refusal_after_an_outcome_that_is_not_known_changes_no_key(desk: Desk) -> None:
    desk.rig.faults.add(Fault(FaultKind.DONE_STATUS, "/v1/vendors", "POST", status=500))
    desk.rig.faults.add(Fault(FaultKind.STATUS, "/v1/vendors", "POST", status=403, body=REFUSED))
    outcome = desk.perform("create-vendor", RUN, company_name="Acme")
    assert outcome.error is not None
    assert "answered 403: no scope" in outcome.error
    assert "whether Brex did it is not known" in outcome.error
    assert not outcome.refused
    assert desk.perform("create-vendor", RUN, company_name="Acme").error is None
    assert desk.did() == [("POST", "/v1/vendors")]
    assert desk.rig.rows("SELECT DISTINCT idempotency_key FROM brex_sync.writes") == [
        (idempotency_key(RUN, "create vendor"),)
    ]


def test_a_refusal_of_what_an_earlier_attempt_began_changes_no_key(desk: Desk) -> None:
    desk.rig.faults.add(Fault(FaultKind.DONE_STATUS, "/v1/vendors", "POST", times=3, status=500))
    assert desk.perform("create-vendor", RUN, company_name="Acme").error is not None
    desk.rig.faults.add(Fault(FaultKind.STATUS, "/v1/vendors", "POST", status=403, body=REFUSED))
    assert desk.perform("create-vendor", RUN, company_name="Acme").error is not None
    assert desk.perform("create-vendor", RUN, company_name="Acme").error is None
    assert desk.did() == [("POST", "/v1/vendors")]


def test_cards_that_come_between_two_attempts_change_nothing(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=400, body=REFUSED)
    )
    desk.perform("offboard-user", RUN, user_id=leaver)
    late = desk.item("cards", "c1") | {"id": "c0", "status": "ACTIVE"}
    desk.rig.world.collection("cards").add(late)
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]


def test_the_credential_s_own_user_is_not_offboarded(desk: Desk) -> None:
    own = desk.rig.world.collection("current_user").items()[0]["id"]
    outcome = desk.perform("offboard-user", user_id=own)
    assert outcome.faults == ("user_id: the credential is this user's own, and would end with it",)
    assert outcome.refused
    assert not desk.did()


def test_a_user_who_is_not_there_is_told_before_anything_is_written(desk: Desk) -> None:
    outcome = desk.perform("offboard-user", user_id="nobody/../x")
    assert outcome.error is not None
    assert "GET /v2/users/nobody%2F..%2Fx answered 404" in outcome.error
    assert not desk.rig.rows("SELECT FROM brex_sync.writes")


def test_a_row_that_cannot_be_fetched_again_is_said_and_fails_nothing(
    desk: Desk, leaver: str
) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/cards/c1", "GET", times=None, status=403, body=REFUSED)
    )
    outcome = desk.perform("lock-card", card_id="c1")
    assert outcome.error is None
    assert outcome.stale[0].startswith("cards will be brought up to date by the next sync: ")
    assert desk.rig.one("SELECT state FROM brex_sync.workflow_runs") == "finished"


def test_the_record_of_writes_is_complete(desk: Desk, leaver: str) -> None:
    desk.perform("lock-card", RUN, card_id="c1", reason="FRAUD", note="seen abroad")
    ((_, *row),) = desk.rig.rows(
        "SELECT id, connection, workflow, run_id, step, asked_by, method, path, body, "
        "idempotency_key, attempts, status, message, answered_at >= sent_at, "
        "trace_id ~ '^[0-9a-f]{32}$' FROM brex_sync.writes"
    )
    body = {"reason": "FRAUD", "description": "seen abroad"}
    assert row == [
        "brex", "lock-card", RUN, "lock card", "a test", "POST", "/v2/cards/c1/lock", body,
        idempotency_key(RUN, "lock card"), 1, 200, None, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE brex_sync.writes SET asked_by = 'somebody else'",
        "UPDATE brex_sync.writes SET answered_at = now(), status = 200",
        "DELETE FROM brex_sync.writes",
        "TRUNCATE brex_sync.writes",
    ],
)
def test_the_record_of_writes_cannot_be_changed(desk: Desk, leaver: str, statement: str) -> None:
    desk.perform("lock-card", card_id="c1")
    refused = pytest.raises(PostgresError, match="neither changed nor removed")
    with refused, desk.rig.engine.begin() as db:
        db.exec_driver_sql(statement)


def test_two_processes_do_not_perform_one_run_at_once(desk: Desk, leaver: str) -> None:
    desk.terms = Terms(length=60, beat=0.1)
    desk.rig.faults.add(Fault(FaultKind.DELAY, "/v2/users/leaver", "PUT", seconds=0.9))
    desk.rig.faults.add(Fault(FaultKind.HANG, "/v2/users/leaver", "PUT"))
    asked = desk.asked("offboard-user", RUN, user_id=leaver)

    async def both() -> list[Any]:
        return await asyncio.gather(
            desk.performed(asked), desk.performed(asked), return_exceptions=True
        )

    results = asyncio.run(both())
    (busy,) = [result for result in results if isinstance(result, RunBusy)]
    assert str(busy) == f"run {RUN} is being run by another process"
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]
    assert workflow_runs.find(desk.rig.engine, RUN).state is RunState.FINISHED


def test_a_run_whose_holder_died_is_taken_over_once_its_lease_has_ended(
    desk: Desk, leaver: str
) -> None:
    with desk.rig.engine.begin() as db:
        db.exec_driver_sql(
            "INSERT INTO brex_sync.leases (kind, name, slot, holder, taken_at, ends_at) VALUES "
            f"('workflow', '{RUN}', '', 'a dead one', now(), now() + interval '2 seconds')"
        )
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert desk.rig.rows("SELECT FROM brex_sync.leases") == []


@pytest.mark.parametrize("path", ["/v2/users/me", "/v2/cards", "/lock"])
def test_a_process_that_wakes_up_after_a_takeover_writes_nothing_more(
    desk: Desk, leaver: str, path: str
) -> None:
    def taken(app: Any) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            if scope["path"].endswith(path):
                with desk.rig.engine.begin() as db:
                    db.exec_driver_sql("UPDATE brex_sync.leases SET holder = 'the next'")

        return answer

    desk.rig.wrap = taken
    with pytest.raises(RunBusy, match=f"run {RUN} was taken over by another process"):
        desk.perform("offboard-user", RUN, user_id=leaver)
    assert len(desk.did()) == (1 if path.endswith("lock") else 0)
    sent = len(desk.did())
    assert len(desk.rig.rows("SELECT FROM brex_sync.writes")) == sent
    desk.rig.wrap = lambda app: app
    end_leases(desk.rig.engine)
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]


def test_a_run_is_seen_to_run_by_whoever_looks(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(Fault(FaultKind.DELAY, "/v2/users/leaver", "PUT", seconds=0.3))

    async def look() -> list[Any]:
        asked = desk.asked("offboard-user", RUN, user_id=leaver)
        task = asyncio.create_task(desk.performed(asked))
        while not desk.did():
            await asyncio.sleep(0.01)
        seen = [workflow_runs.find(desk.rig.engine, RUN).state]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [*seen, workflow_runs.find(desk.rig.engine, RUN).state]

    assert asyncio.run(look()) == [RunState.RUNNING, RunState.INTERRUPTED]
    assert desk.perform("offboard-user", RUN, user_id=leaver).error is None
    assert sorted(desk.did()) == [LOCK_1, LOCK_2, DISABLE]


def test_what_a_run_was_given_is_known_to_whoever_has_the_key(desk: Desk, leaver: str) -> None:
    asked = desk.asked("lock-card", RUN, card_id="c1", note="seen in Oslo")
    asyncio.run(desk.performed(asked))
    connection, known = recall(desk.rig.engine, desk.vault, desk.workflows, RUN, "somebody")
    assert (connection, known.inputs, known.by) == ("brex", asked.inputs, "somebody")
    assert "Oslo" not in desk.rig.one("SELECT sealed FROM brex_sync.workflow_inputs")
    with pytest.raises(WorkflowError, match="of lock-card, which is no longer declared"):
        recall(desk.rig.engine, desk.vault, {}, RUN, "somebody")
    other = new_key()
    workflow_runs.reseal(
        desk.rig.engine, lambda sealed: Vault(lambda: other).seal(desk.vault.open(sealed))
    )
    _, again = recall(desk.rig.engine, Vault(lambda: other), desk.workflows, RUN, "somebody")
    assert again.inputs == asked.inputs


def test_no_credential_is_stored(desk: Desk, leaver: str) -> None:
    desk.rig.faults.add(
        Fault(FaultKind.STATUS, "/v2/users/leaver", "PUT", status=400, body=REFUSED)
    )
    outcome = desk.perform("offboard-user", user_id=leaver)
    assert desk.rig.token not in repr(outcome)
    for table in ("writes", "workflow_runs", "workflow_steps", "workflow_inputs"):
        for (row,) in desk.rig.rows(f"SELECT t::text FROM brex_sync.{table} t"):
            assert desk.rig.token not in row


def test_people_may_read_the_record_and_not_what_is_sealed(desk: Desk, leaver: str) -> None:
    desk.perform("lock-card", card_id="c1")
    tables = ("writes", "workflow_runs", "workflow_steps", "workflow_inputs")
    with desk.rig.engine.connect() as db:
        if not db.scalar(sa.text("SELECT true FROM pg_roles WHERE rolname = 'brex_reader'")):
            db.exec_driver_sql("CREATE ROLE brex_reader")
        let_people_read(db)
        may = {
            table: db.scalar(
                sa.text("SELECT has_table_privilege('brex_reader', :table, 'SELECT')"),
                {"table": f"brex_sync.{table}"},
            )
            for table in tables
        }
        db.rollback()
    assert may == {table: table != "workflow_inputs" for table in tables}
