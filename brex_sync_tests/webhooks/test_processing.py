"""Events worked off: each is a hint to fetch rows again."""

from brex_sync_tests.engine.truth import assert_equal
from brex_sync_tests.webhooks.conftest import SECRET, Office, told


def test_an_event_brings_its_row_up_to_date(office: Office) -> None:
    office.know(SECRET)
    office.rig.sync("users")
    office.world.collection("users").edit("cuuser_00001", department_id="dept_0002")
    office.deliver(told("USER_UPDATED", user_id="cuuser_00001"))
    assert office.process() == 1
    assert office.events() == [("msg_1", "done", 1, None)]
    assert_equal(office.rig, "users")
