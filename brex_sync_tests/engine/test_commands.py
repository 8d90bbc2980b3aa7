"""What the command line prints of the past and of proofs, over real HTTP and a real Postgres."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from brex_sync.cli import cli
from brex_sync.serving import running
from brex_sync.settings import SettingsError, load_settings
from brex_sync_tests.conftest import Rig
from brex_sync_tests.engine.items import day, spend

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(
    rig: Rig, database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """Runs a command against the rig's Brex and warehouse; its exit code, and what it printed."""
    monkeypatch.chdir(tmp_path)
    with running(rig.app) as url:
        monkeypatch.setenv("BREX_CONFIGURATION", "sandbox")
        monkeypatch.setenv("BREX_API_URL", url)
        monkeypatch.setenv("BREX_SYNC_DATABASE_URL", database_url)
        monkeypatch.setenv("BREX_SYNC_HOME", str(tmp_path))
        load_settings.cache_clear()

        def run(*words: str) -> tuple[int, str]:
            result = CliRunner().invoke(cli, words)
            if isinstance(result.exception, SettingsError):
                return 1, str(result.exception)
            return result.exit_code, result.output

        yield run
    load_settings.cache_clear()


def test_reconcile_says_that_nothing_differed_or_what_did(command: Command, rig: Rig) -> None:
    spend(rig, 40)
    only = ("--stream", "card_transactions")
    assert command("sync", *only)[0] == 0
    code, told = command("reconcile", *only)
    assert code == 0
    assert "card_transactions: nothing differed" in told
    rig.world.collection("card_transactions").edit("t0030", description="edited")
    code, told = command("reconcile", *only, "--since", day(rig.world, 35))
    assert code == 0
    assert "card_transactions: 0 missing, 1 stale, 0 gone" in told
    assert "stale: t0030 (description)" in told
    assert rig.rows("SELECT kind, count(*) FROM brex_sync.runs GROUP BY 1 ORDER BY 1") == [
        ("manual", 1),
        ("reconcile", 2),
    ]


def test_a_date_that_is_none_is_told_in_a_sentence(command: Command) -> None:
    assert command("reconcile", "--since", "soon") == (
        1,
        "'soon' is no date such as 2026-11-24",
    )


def test_backfill_reads_from_a_date_on_and_says_so_in_the_log(command: Command, rig: Rig) -> None:
    spend(rig, 40)
    only = ("--stream", "card_transactions")
    command("sync", *only)
    for key in ("t0020", "t0039"):
        rig.world.collection("card_transactions").edit(key, description="edited")
    assert command("backfill", "--from", day(rig.world, 30), *only)[0] == 0
    edited = "SELECT id FROM brex.card_transactions WHERE description = 'edited' ORDER BY id"
    assert rig.rows(edited) == [("t0020",)]
    assert command("backfill", *only)[0] == 0
    assert rig.rows(edited) == [("t0020",), ("t0039",)]
    assert rig.one("SELECT count(*) FROM brex_sync.runs WHERE kind = 'backfill'") == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("backfill", "--from", "2099-01-01"), "2099-01-01 is in the future"),
        (("reconcile", "--since", "2099-01-01"), "2099-01-01 is in the future"),
        (("backfill", "--stream", "users"), "users has no date filter"),
        (("backfill", "--from", "2020-01-01", "--stream", "users"), "so a backfill does nothing"),
        (("sync", "--stream", "transactions"), "fill it are card_transactions, cash_transactions"),
        (("reconcile", "--stream", "card_transaction"), "did you mean card_transactions"),
    ],
)
def test_what_would_do_nothing_is_told_before_anything_is_asked(
    command: Command, rig: Rig, words: tuple[str, ...], told: str
) -> None:
    code, said = command(*words)
    assert code == 1
    assert told in said
    assert not rig.requests


def test_a_backfill_of_streams_with_and_without_a_filter_says_which_it_only_syncs(
    command: Command, rig: Rig
) -> None:
    spend(rig, 3)
    both = ("--stream", "card_transactions", "--stream", "titles")
    code, told = command("backfill", "--from", "1999-01-01", *both)
    assert code == 0
    assert "titles has no date filter" in told
    assert len(rig.live()) == 3


def test_months_are_closed_listed_and_opened_again(command: Command, rig: Rig) -> None:
    assert "2026-02" in command("close", "2026-02", "--on", "2026-03-05")[1]
    assert command("close", "2026-01")[0] == 0
    assert rig.one("SELECT closed_on FROM brex_sync.closes WHERE month = '2026-01-01'") == (
        rig.now().date()
    )
    assert command("closes")[1].index("2026-02") < command("closes")[1].index("2026-01")
    assert "2026-02" not in command("reopen", "2026-02")[1]
    assert command("reopen", "2026-02") == (1, "2026-02 is not closed in brex")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("close", "2026-13"), "'2026-13' is no month such as 2026-10"),
        (
            ("close", "2026-02", "--on", "2026-02-28"),
            "2026-02 is not over on 2026-02-28; close it on a later day with --on",
        ),
    ],
)
def test_a_close_that_makes_no_sense_is_refused(
    command: Command, words: tuple[str, ...], told: str
) -> None:
    assert command(*words) == (1, told)
