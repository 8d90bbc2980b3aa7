"""Where the browser comes back to: only the right answer counts, whatever else comes."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from brex_sync.connections.callback import Receiver, listening
from brex_sync.errors import NoReceiver
from brex_sync_tests.e2e.conftest import free_port

STATE = "s3cret-state"


@pytest.fixture
def address() -> str:
    return f"http://127.0.0.1:{free_port()}/callback"


@pytest.fixture
def receiver(address: str) -> Iterator[Receiver]:
    with listening(address, STATE) as receiver:
        yield receiver


@pytest.mark.parametrize(
    "query",
    [
        "", "code=1", "state=", "state=wrong", "state=%C3%A9", "state=é", "state=%FF%FE",
        "state=%00", f"state={STATE}x", f"state={STATE}&state=wrong", f"state=wrong&state={STATE}",
        f"State={STATE}", "state=" + "x" * 20_000, "state=%ED%A0%80", f"state[]={STATE}",
        "&&=&", "%",
    ],
)  # fmt: skip
def test_another_answer_is_none_of_ours(address: str, receiver: Receiver, query: str) -> None:
    answer = httpx.get(f"{address}?{query}")
    assert (answer.status_code, receiver.came.empty()) == (400, True)
    assert STATE not in answer.text


def test_only_a_page_load_of_the_right_path_counts(address: str, receiver: Receiver) -> None:
    right = f"?code=1&state={quote(STATE)}"
    assert httpx.get(f"{address}/more{right}").status_code == 400
    assert httpx.post(f"{address}{right}").status_code == 400
    assert receiver.came.empty()
    answer = httpx.get(f"{address}{right}")
    assert answer.status_code == 200
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert receiver.wait(0) == f"/callback{right}"


@pytest.mark.parametrize(
    "other",
    [
        "https://127.0.0.1/callback",
        "http://evil.com/callback",
        "https:evil.com",
        "https://",
        "http:",
    ],
)
def test_another_machine_is_not_listened_on(other: str) -> None:
    with pytest.raises(NoReceiver, match="not on this machine"), listening(other, STATE):
        pass


def test_a_port_in_use_is_told(address: str, receiver: Receiver) -> None:
    with pytest.raises(NoReceiver, match="free the port"), listening(address, STATE):
        pass
