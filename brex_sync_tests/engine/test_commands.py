"""What the command line prints of the past and of proofs, over real HTTP and a real Postgres."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from brex_sync.cli import cli
from brex_sync.errors import ConnectionBusy, SettingsError
from brex_sync.http_server import running
from brex_sync.sandbox.faults import Fault, FaultKind
from brex_sync.settings import load_settings
from brex_sync.sync.turns import CONNECTION, Note, Turn
from brex_sync.warehouse.state import leases
from brex_sync.warehouse.state.leases import Terms
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


@contextmanager
def other_run(rig: Rig) -> Iterator[Callable[[], None]]:
    """Another run has the connection; yields what ends it."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        taken = Turn(rig.warehouse, "run-1", "`brex-sync sync` (process 1 on there)").taken()
        runner.run(taken.__aenter__())
        stack.callback(lambda: runner.run(taken.__aexit__(None, None, None)))
        yield stack.close


@pytest.mark.parametrize("words", [("sync",), ("reconcile",), ("backfill",)])
def test_the_loser_says_once_who_has_the_connection_and_asks_for_nothing(
    command: Command, rig: Rig, words: tuple[str, ...]
) -> None:
    with other_run(rig):
        code, told = command(*words)
    assert code == 3
    [line] = told.strip().splitlines()
    assert "run run-1, started by `brex-sync sync` (process 1 on there) since 20" in line
    assert "`--wait`" in line
    assert not rig.requests
    assert rig.one("SELECT count(*) FROM brex_sync.runs") == 0


def test_who_waits_begins_once_the_holder_has_ended(command: Command, rig: Rig) -> None:
    with other_run(rig) as end:
        timer = Timer(1, end)
        timer.start()
        code, told = command("sync", "--stream", "titles", "--wait")
        timer.join()
    assert code == 0
    assert told.count("Waiting: brex is being synced by run run-1") == 1


HOLDER = """
import asyncio, sys
from brex_sync.sync.turns import Turn
from brex_sync.warehouse import Warehouse
from brex_sync.warehouse.database import open_engine
async def main():
    async with Turn(Warehouse(open_engine(sys.argv[1]), "brex"), "killed", "a test").taken():
        print("taken", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_a_holder_that_was_killed_is_waited_for_by_nobody(
    command: Command, rig: Rig, database_url: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, database_url], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"taken\n"
        assert command("sync", "--stream", "titles")[0] == 3
        holder.kill()
    assert command("sync", "--stream", "titles")[0] == 0


def test_of_two_that_begin_at_once_one_has_the_connection(rig: Rig) -> None:
    async def one(number: int) -> bool:
        try:
            async with Turn(rig.warehouse, f"run-{number}", "a test").taken():
                await asyncio.sleep(0.5)
        except ConnectionBusy:
            return False
        return True

    async def both() -> list[bool]:
        return await asyncio.gather(*map(one, range(3)))

    assert sorted(asyncio.run(both())) == [False, False, True]


def test_a_holder_elsewhere_is_alive_while_its_heart_beats(rig: Rig) -> None:
    elsewhere = Note("far", "a test", "other-boot pid:[1] 7 1.0")
    text = msgspec.json.encode(elsewhere).decode()

    async def take() -> None:
        async with Turn(rig.warehouse, "near", "a test").taken():
            pass

    beating = leases.held(rig.engine, CONNECTION, "brex", Terms(600, 0.5), note=text)
    with beating, pytest.raises(ConnectionBusy, match="run far"):
        asyncio.run(take())
    with leases.held(rig.engine, CONNECTION, "brex", Terms(2, 60), note=text):
        asyncio.run(take())


def test_status_tells_the_last_run_and_what_is_not_well(command: Command, rig: Rig) -> None:
    code, told = command("status")
    assert code == 1
    assert "No run is known" in told
    assert "never synced: run `brex-sync sync`" in told
    assert command("sync")[0] == 0
    code, told = command("status")
    assert (code, "Not well" in told) == (0, False), told
    assert "(manual) finished, 20" in told

    ago = "UPDATE brex_sync.checkpoints SET synced_at = now() - interval '{}' WHERE stream = '{}'"
    execute(rig, ago.format("119 minutes", "users"))
    execute(rig, ago.format("24 hours", "user_limits"))
    assert command("status")[0] == 0
    execute(rig, ago.format("121 minutes", "users"))
    code, told = command("status")
    assert code == 1
    assert "Not well: users: not synced for more than 2 intervals" in told
    execute(rig, ago.format("0 minutes", "users"))

    unlike = '{"type":"INVALID","message":"no"}'
    rig.faults.add(Fault(FaultKind.STATUS, status=400, path="/v2/titles", body=unlike))
    assert command("sync", "--stream", "titles")[0] == 1
    rig.faults.clear()
    code, told = command("status")
    assert code == 1
    assert "(manual) failed" in told
    assert "First error: titles: " in told

    execute(rig, "UPDATE brex_sync.runs SET state = 'running', finished_at = NULL")
    code, told = command("status")
    assert code == 1
    assert "interrupted" in told


def execute(rig: Rig, statement: str) -> None:
    with rig.engine.begin() as db:
        db.execute(sa.text(statement))


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


def test_export_writes_what_changed_since_the_last_one(
    command: Command, rig: Rig, tmp_path: Any
) -> None:
    spend(rig, 40)
    only = ("--stream", "card_transactions")
    export = ("export", "-o", str(tmp_path / "lake"), "--table", "card_transactions")
    assert command("sync", *only)[0] == 0
    assert "brex.card_transactions: 40 rows to " in command(*export)[1]
    assert "brex.card_transactions: nothing changed" in command(*export)[1]
    rig.world.collection("card_transactions").edit("t0030", description="edited")
    assert command("sync", *only, "--full")[0] == 0
    assert "brex.card_transactions: 1 rows to " in command(*export)[1]
    everything = command("export", "-o", str(tmp_path / "all"), "--format", "csv")[1]
    assert "brex.users: 0 rows to" in everything
    assert "brex.late_changes: 0 rows to" in everything


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--table", "card_transaction"), "there is no brex.card_transaction; there is accounting"),
        (("--mart", "spending"), "there is no brex_marts.spending; there is"),
        (("--for-spreadsheets",), "--for-spreadsheets goes with --format csv"),
    ],
)
def test_export_says_what_it_cannot_do(
    command: Command, words: tuple[str, ...], told: str, tmp_path: Any
) -> None:
    code, said = command("export", "-o", str(tmp_path), *words)
    assert code == 1
    assert told in said
