"""What whoever declares a workflow is held to."""

import asyncio
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from brex_sync.errors import BadInputs
from brex_sync.workflows.declare import Call, Inputs, Step, Steps, read, workflow, write
from brex_sync.workflows.fields import Amount, minor
from brex_sync.workflows.forms import InputKind, entries
from brex_sync.workflows.run_request import RunRequest
from brex_sync_tests.workflows.conftest import Desk

LOCK = Call("POST /v2/cards/{id}/lock", "cards")
LOOK = Call("GET /v2/users/{id}", "users.readonly")
SET_LIMIT = Call("POST /v2/users/{id}/limit", "users")
OTHER = {"reason": "OTHER"}


class Nothing(Inputs):
    """No inputs."""


def perform(desk: Desk, declared: Any, run_id: str = "a-run") -> Any:
    return asyncio.run(desk.performed(RunRequest(declared, Nothing(), run_id, "a test")))


@pytest.mark.parametrize(
    "path",
    ["/v2/cards/{id}/pan", "/v2/cards/c1/PAN", "v2/users", "//evil.example/v2", "/v2//users",
     "/v2/../v2/users", "https://evil.example/"],
)  # fmt: skip
def test_a_path_that_brex_must_not_be_asked_for_is_refused(path: str) -> None:
    with pytest.raises(BadInputs, match="is no path to ask Brex for"):
        write("bad", Call(f"POST {path}", "cards"), id="c1")


@given(st.text(min_size=1))
def test_no_id_leads_to_another_path(key: str) -> None:
    if key in (".", "..") or key.lower() == "pan":
        with pytest.raises(BadInputs, match="is no path"):
            read("look", LOOK, id=key)
        return
    url = read("look", LOOK, id=key).url
    assert url.startswith("/v2/users/")
    assert not set(url.removeprefix("/v2/users/")) & set("/?#\\")


def test_a_stream_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no stream is called kards"):
        Call("POST /v2/cards/{id}/lock", "cards", refetch="kards")
    with pytest.raises(ValueError, match="keeps no id by which to fetch its row again"):
        Step("create", Call("POST /v2/users", "users", refetch="users"))


def test_two_steps_of_one_name_are_refused(desk: Desk, leaver: str) -> None:
    @workflow(LOCK)
    def twice(given: Nothing) -> Steps:
        for key in ("c1", "c2"):
            yield write("lock", LOCK, id=key, body=OTHER)

    assert perform(desk, twice).error == "two steps are called 'lock': each needs its own name"
    assert len(desk.did()) == 1


def test_a_list_with_two_steps_of_one_name_stops_there(desk: Desk, leaver: str) -> None:
    @workflow(LOCK)
    def twice(given: Nothing) -> Steps:
        yield [
            write(name, LOCK, id=key, body=OTHER)
            for name, key in (("a", "c1"), ("a", "c2"), ("b", "c2"))
        ]

    assert "two steps are called 'a'" in perform(desk, twice).error
    assert desk.did() == [("POST", "/v2/cards/c1/lock")]


def test_a_workflow_says_when_it_needs_a_confirmation() -> None:
    def lock(given: Nothing) -> Steps:
        yield write("lock", LOCK, id="c1", body=OTHER)

    always = workflow(LOCK, confirm=lambda _: "It is locked.")(lock)
    for made, when, what in (
        (workflow(LOCK)(lock), "never", None),
        (always, "always", "It is locked."),
    ):
        assert (made.confirm_when, made.confirm(Nothing())) == (when, what)


def test_a_workflow_that_was_changed_meanwhile_does_not_go_on(desk: Desk, leaver: str) -> None:
    def at(key: str, then: Any) -> Any:
        def lock_both(given: Nothing) -> Steps:
            yield write("lock", LOCK, id=key, body=OTHER)
            yield then

        return workflow(LOCK, LOOK)(lock_both)

    perform(desk, at("c1", read("look", LOOK, id="nobody")))
    outcome = perform(desk, at("c2", read("look", LOOK, id="leaver")))
    assert outcome.error is not None
    assert "started by another version of the workflow" in outcome.error
    assert desk.did() == [("POST", "/v2/cards/c1/lock")]


def test_a_workflow_with_a_fault_of_its_own_can_go_on_once_it_is_mended(
    desk: Desk, leaver: str
) -> None:
    def ends(with_fault: bool) -> Any:
        def lock_one(given: Nothing) -> Steps:
            yield write("lock", LOCK, id="c1", body=OTHER)
            if with_fault:
                raise KeyError("a slip")

        return workflow(LOCK)(lock_one)

    with pytest.raises(KeyError, match="a slip"):
        perform(desk, ends(True))
    assert desk.rig.rows("SELECT state, message FROM brex_sync.workflow_runs") == [
        ("failed", "the workflow itself has a fault: KeyError")
    ]
    assert perform(desk, ends(False)).error is None
    assert len(desk.did()) == 1


def test_steps_of_the_same_name_in_two_runs_have_two_keys(desk: Desk, leaver: str) -> None:
    desk.perform("lock-card", card_id="c1")
    desk.perform("lock-card", card_id="c1")
    assert len({entry.key for entry in desk.writes}) == 2


class Everything(Inputs):
    """Inputs of every kind."""

    text: Amount = Field(description="An amount.")
    maybe: str | None = None
    texts: list[str] = Field([])
    choice: Literal["a", "b"] = "a"
    maybe_choice: Literal["a", "b"] | None = None
    choices: list[Literal["a", "b"]] = Field([])
    flag: bool = False
    number: int = 3
    nested: Nothing | None = None
    several: list[Nothing] = Field([])
    secret: str = Field("", json_schema_extra={"private": True})


def test_a_form_has_an_entry_of_the_right_kind_for_every_input() -> None:
    found = {entry.name: entry for entry in entries(Everything)}
    kinds = {name: entry.kind for name, entry in found.items()}
    assert kinds == {
        "text": InputKind.TEXT,
        "maybe": InputKind.TEXT,
        "texts": InputKind.TEXTS,
        "choice": InputKind.CHOICE,
        "maybe_choice": InputKind.CHOICE,
        "choices": InputKind.CHOICES,
        "flag": InputKind.FLAG,
        "number": InputKind.TEXT,
        "nested": InputKind.NESTED,
        "several": InputKind.NESTED,
        "secret": InputKind.TEXT,
    }
    assert [name for name, entry in found.items() if entry.required] == ["text"]
    assert [name for name, entry in found.items() if entry.private] == ["secret"]
    assert found["maybe_choice"].choices == ("a", "b")


@given(st.integers(0, 10**14), st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]))
def test_an_amount_is_sent_exactly(amount: int, currency: tuple[str, int]) -> None:
    code, places = currency
    whole, part = divmod(amount, 10**places)
    said = f"{whole}.{part:0{places}d} {code}" if places else f"{whole} {code}"
    assert minor(said) == {"amount": amount, "currency": code}


def test_a_step_shows_its_request() -> None:
    step = write("set", SET_LIMIT, id="a b", body={"secret": 1})
    assert str(step) == "POST /v2/users/a%20b/limit"
    assert "secret" not in repr(step)
    assert isinstance(step, Step)
