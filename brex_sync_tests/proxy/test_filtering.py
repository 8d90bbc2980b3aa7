"""jq programs: within limits, without our environment, and ended with whoever asked."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from brex_sync.client import filtering
from brex_sync.client.filtering import CHILD, Filter
from brex_sync.errors import FilterError
from brex_sync_tests.connections.conftest import Commands, commands, desk, new_desk
from brex_sync_tests.waiting import HANGS, wait_until

__all__ = ["commands", "desk", "new_desk"]
ENDLESS = "def f: f; f"


def of_jq(parent: int) -> list[psutil.Process]:
    """The processes of jq that somebody started, himself or through another."""
    children = psutil.Process(parent).children(recursive=True)
    return [one for one in children if str(CHILD) in _words(one)]


@pytest.mark.parametrize("program", [ENDLESS, "repeat(1)", "[range(1e12)]", "last(range(1e12))"])
def test_a_program_that_does_not_end_is_ended(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    chosen = Filter(program)
    monkeypatch.setattr(filtering, "DEADLINE", 0.3)
    with pytest.raises(FilterError, match=r"not done with one answer within .* does it end at all"):
        chosen.results(b"{}")
    assert not of_jq(os.getpid())


@pytest.mark.parametrize("program", ['"x" * 1e9', "def f: 1 + f; f"])
def test_a_program_that_takes_all_memory_is_ended(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(filtering, "DEADLINE", HANGS)
    with pytest.raises(FilterError, match="needs too much memory"):
        Filter(program).results(b"{}")


def test_the_environment_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREX_API_KEY", "bxt_secret")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/lib")
    assert Filter("$ENV, env").results(b"1") == ["{}", "{}"]


def test_no_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jq").write_text("def secret: 1;")
    (tmp_path / ".jq").write_text("def secret: 1;")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for program in ('import "a" as a; a::secret', 'include "a"; secret', "secret"):
        with pytest.raises(FilterError, match=r"^--jq: "):
            Filter(program)


def test_a_program_may_stop_early_and_the_next_answer_is_still_filtered() -> None:
    chosen = Filter('if . == 1 then error("one") else [limit(2; repeat(.))] end')
    with pytest.raises(FilterError, match=r"^--jq: one$"):
        chosen.results(b"1")
    assert chosen.results(b"2") == ["[2, 2]"]


def test_many_items_and_large_ones_go_through() -> None:
    chosen = Filter(".[0]")
    assert chosen.results(b"[" + b'"' + b"x" * 3_000_000 + b'"]') == ['"' + "x" * 3_000_000 + '"']
    assert [chosen.results(b"[%d]" % n) for n in range(500)] == [[str(n)] for n in range(500)]


def test_the_process_ends_with_the_filter() -> None:
    chosen = Filter(".")
    assert of_jq(os.getpid())
    del chosen
    assert not of_jq(os.getpid())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_whose_program_does_not_end_can_be_stopped(
    commands: Commands, number: signal.Signals
) -> None:
    process = commands.start(
        "request", "GET", "/v2/company", "--jq", ENDLESS, BREX_API_KEY="bxt_sandbox"
    )
    found: list[psutil.Process] = []

    def is_busy() -> bool:
        assert process.poll() is None, process.communicate()
        found[:] = of_jq(os.getpid())
        return any(one.cpu_times().user > 0.3 for one in found)

    wait_until(is_busy)
    began = time.monotonic()
    process.send_signal(number)
    printed, _ = process.communicate(timeout=HANGS)
    assert process.returncode not in (0, None)
    assert time.monotonic() - began < filtering.DEADLINE
    assert "Traceback" not in printed
    wait_until(lambda: not any(c.is_running() for c in found))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
